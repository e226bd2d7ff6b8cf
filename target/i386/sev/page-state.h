/*
 * What is known about each page of guest RAM: private or shared, and where
 * its content is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_PAGE_STATE_H
#define TARGET_I386_SEV_PAGE_STATE_H

#include "cpu.h"
#include "exec/ramblock.h"
#include "qapi/error.h"

/* RAM blocks of this name are the cache itself (tcg/shadow.c). */
#define SEV_SHADOW_PREFIX "sev-shadow"

struct SevCacheBlock;

/*
 * One byte per page.  Bits are changed under the cache lock (tcg/cache.c) or
 * while no vCPU runs; they are read by anybody, with acquire semantics.
 */
enum {
    /*
     * Last event said private: a private access, an encrypted
     * KVM_HC_MAP_GPA_RANGE, or a command that wrote under the guest's key.
     * A page that was never touched has no bit set.
     */
    SEV_PAGE_PRIVATE = 1 << 0,
    /* TCG: the cache holds the plaintext, perhaps newer than DRAM. */
    SEV_PAGE_CACHED  = 1 << 1,
    /* TCG: some vCPU may have DRAM mapped in its TLB. */
    SEV_PAGE_MAPPED  = 1 << 2,
    /*
     * TCG: no longer marked newer than DRAM, but a store that was under way
     * then may have missed it (tcg/writeback.c, "Stores under way").
     */
    SEV_PAGE_UNSETTLED = 1 << 3,
    /* TCG: DRAM is out of date until the dirty-log sync at hand ends. */
    SEV_PAGE_SYNCING = 1 << 4,
    /*
     * TCG: DRAM holds a transport packet, not memory under the guest's key
     * (tcg/sealed.h).  With CACHED: the cache has what was in the packet.
     */
    SEV_PAGE_SEALED = 1 << 5,
    /*
     * TCG: the guest flushed the page, which is CACHED: what a device writes from
     * now on is what it wants to see (tcg/host-write.c).
     */
    SEV_PAGE_FLUSHED = 1 << 6,
};

/* The state of one RAM block. */
typedef struct SevPageMap {
    RAMBlock *rb;                       /* NULL once the block was removed */
    size_t npages;                      /* for max_length bytes */
    uint8_t *state;
    unsigned long *encrypted;           /* by a launch or a stream, a bit each */
    struct SevCacheBlock *cache;        /* NULL unless TCG */
    struct SevSealedBlock *sealed;      /* NULL: no page is SEALED */
} SevPageMap;

typedef void (*SevPageMapFn)(SevPageMap *map);

/*
 * Start to follow RAM blocks, present and future.  BQL held.
 * @added (may be NULL) is called for each, after its map exists; @removed (may
 * be NULL) before a block goes: it sets the map's rb to NULL.
 */
void sev_page_state_init(SevPageMapFn added, SevPageMapFn removed);

/*
 * The map of @rb, or of the block with @paddr (a ram_addr_t) in it; NULL when
 * it is no memory of the guest.  Any thread, no lock.
 */
SevPageMap *sev_page_map(const RAMBlock *rb);
SevPageMap *sev_page_map_at(ram_addr_t paddr);
void sev_page_map_foreach(SevPageMapFn fn);

static inline uint8_t sev_page_state(const SevPageMap *map, size_t page)
{
    return qatomic_load_acquire(&map->state[page]);
}

/*
 * Set all bits of a page.  When it changes sides between private and shared
 * it is marked dirty for migration, so that it is sent again as what it is.
 */
void sev_page_state_set(SevPageMap *map, size_t page, uint8_t state);

#endif /* TARGET_I386_SEV_PAGE_STATE_H */
