/*
 * The write-back cache between the vCPUs and DRAM.
 *
 * The ordinary RAM block is DRAM: devices, backends, dumps, migration and
 * the secure processor see only it, ciphertext for private pages.  A shadow
 * RAM block per RAM block holds the cached plaintext of private pages.  What
 * moves data between the two is what moves it on silicon without
 * SME_COHERENT: CLFLUSH and its kin, WBINVD, and eviction; here a stop of
 * the VM and a dirty-log sync evict as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_CACHE_H
#define TARGET_I386_SEV_TCG_CACHE_H

#include "target/i386/sev/page-state.h"

/* The cache of one RAM block. */
typedef struct SevCacheBlock {
    SevPageMap *map;
    MemoryRegion shadow;        /* in the shadow address space, at paddr */
    ram_addr_t shadow_addr;     /* ram_addr_t of the shadow's own block */
    uint8_t *dram;
    uint8_t *plain;
    /*
     * One byte per page: 0 when the host holds no memory for its plaintext,
     * else how many looks at idle pages ago it went into a TLB (tcg/idle.c).
     */
    uint8_t *age;
} SevCacheBlock;

/* A vCPU is about to have the page's plaintext in its TLB. */
static inline void sev_cache_used(SevCacheBlock *b, size_t page)
{
    qatomic_set(&b->age[page], 1);
}

/* The address space of the shadows; a page lies at its paddr. */
MemoryRegion *sev_cache_root(void);

/* Create the cache; blocks get their shadow at machine-init-done. BQL. */
void sev_cache_init(void);

/*
 * Encrypt and decrypt with the key that ACTIVATE bound to the guest, from
 * now on.  No vCPU runs.
 */
struct PspMemKey;
void sev_cache_set_key(struct PspMemKey *key);

/*
 * The guest is not here any more: no key, no plaintext and no packet of it is
 * kept.  No vCPU runs, nor ever will.
 */
void sev_cache_forget(void);

/*
 * Bring a page into the cache (a private access), or push it out and map
 * DRAM (a shared access).  No lock held; any vCPU thread, and for a page that is
 * not sealed the thread that has the lane's session, too.  False: the page cannot
 * be had; the VM stops (tcg/sealed.h), or the memory was just unplugged.
 */
bool sev_cache_fill(SevPageMap *map, size_t page);
bool sev_cache_share(SevPageMap *map, size_t page);

/*
 * Bring a page into the cache that is about to be written as a whole: what DRAM
 * holds is not looked at.  For the lane, while no vCPU of the guest runs.
 */
void sev_cache_fill_blank(SevPageMap *map, size_t page);

/* Write a page back if it is dirty; it stays cached. */
void sev_cache_writeback(SevPageMap *map, size_t page);
void sev_cache_writeback_all(void);

/*
 * The guest declared pages shared or private (KVM_HC_MAP_GPA_RANGE), so many
 * at most.  Shared: written back and dropped, so that state and declaration
 * agree.  Returns how many were something else before: those cost time.
 */
#define SEV_CACHE_DECLARE_MAX 256
size_t sev_cache_declare(SevPageMap *map, size_t page, size_t n,
                         bool is_private);

#endif /* TARGET_I386_SEV_TCG_CACHE_H */
