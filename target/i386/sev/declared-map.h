/*
 * The page-encryption map that a guest declares: which addresses are shared.
 *
 * A set of ranges in QEMU's interval tree.  Whatever nobody declared shared is
 * private, so a map costs memory only for what was declared: at most one node
 * of 80 bytes for every two pages of the guest, one for a few hundred MiB in
 * practice.
 *
 * Addresses are 64-bit and ranges half-open, [start, end); what the addresses
 * mean is the user's business.  Every call is one step for every other thread;
 * readers run side by side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_DECLARED_MAP_H
#define TARGET_I386_SEV_DECLARED_MAP_H

typedef struct SevDeclaredMap SevDeclaredMap;

/* Everything private. */
SevDeclaredMap *sev_declared_map_new(void);
void sev_declared_map_free(SevDeclaredMap *map);

/* [@start, @end) has changed sides. */
typedef void (*SevDeclaredFn)(uint64_t start, uint64_t end, bool is_private);

/*
 * Declare [@start, @end); an empty range declares nothing.  The last word
 * counts, however it overlaps with earlier ones.  @changed (may be NULL) is
 * called, once the map says so, for every part that was on the other side
 * before; the map is locked then.
 */
void sev_declared_map_set(SevDeclaredMap *map, uint64_t start, uint64_t end,
                          bool is_private, SevDeclaredFn changed);

bool sev_declared_map_is_private(SevDeclaredMap *map, uint64_t addr);

/*
 * The first run of shared addresses in [@start, @end), as long as it is
 * there: [*@run, *@run_end).  False when all of it is private.
 */
bool sev_declared_map_next_shared(SevDeclaredMap *map, uint64_t start,
                                  uint64_t end, uint64_t *run,
                                  uint64_t *run_end);

/* Ranges in the map: neighbours are one. */
size_t sev_declared_map_ranges(SevDeclaredMap *map);

#endif /* TARGET_I386_SEV_DECLARED_MAP_H */
