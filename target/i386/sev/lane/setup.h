/*
 * The lane's program in this guest; for the other files of this folder.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_LANE_SETUP_H
#define TARGET_I386_SEV_LANE_SETUP_H

#include "exec/ramblock.h"

/* Pages of the program's image, and of its page tables. */
size_t sev_lane_program_pages(void);
size_t sev_lane_tables_pages(void);

/* Where the program runs: ring 0, or 3 with "x-ring3:" (setup.c). */
int sev_lane_ring(void);

/* The C-bit of its tables, as a mask; 0 in ring 3. */
uint64_t sev_lane_cbit(void);

/* The lane's own memory, empty if it is new.  BQL held. */
void sev_lane_make_room(void);

/* A RAM block of the guest with @n pages, or NULL. */
RAMBlock *sev_lane_some_memory(size_t n);

/* A new key for the pages of @blocks (session.c). */
bool sev_lane_new_key(RAMBlock *const *blocks, size_t n_blocks, Error **errp);

/* While the guest stands still: nothing of the lane's stays in the cache. */
void sev_lane_leave_cache(void);

#endif /* TARGET_I386_SEV_LANE_SETUP_H */
