/*
 * What the parts of the cache share: tcg/cache.c moves pages in and out, tcg/writeback.c
 * brings DRAM up to date, tcg/shadow.c has room for the plaintext.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_CACHE_INT_H
#define TARGET_I386_SEV_TCG_CACHE_INT_H

#include "cache.h"
#include "sealed.h"
#include "system/runstate.h"

/*
 * Serialises every change of state and every move between cache and DRAM.
 * Taken by vCPU and migration threads, with or without the BQL; a vCPU may
 * hold a TB page lock.  TLB locks nest inside, TB locks must not.  The
 * functions below want it held.
 */
extern QemuMutex sev_cache_lock;

/* The guest's key, or NULL before ACTIVATE. */
extern struct PspMemKey *sev_cache_vek;

static inline ram_addr_t sev_cache_offset(size_t page)
{
    return (ram_addr_t)page << TARGET_PAGE_BITS;
}

/* Bits that say nothing about private or shared. */
static inline void sev_cache_set_bits(SevPageMap *map, size_t page,
                                      uint8_t clear, uint8_t set)
{
    qatomic_store_release(&map->state[page],
                          (map->state[page] & ~clear) | set);
}

/* Is the plaintext of a cached page newer than DRAM, as far as is known? */
bool sev_cache_is_newer(SevCacheBlock *b, size_t page);
bool sev_cache_differs_from_dram(SevCacheBlock *b, size_t page);

/* Encrypt a page that is leaving the cache, if DRAM lacks anything. */
void sev_cache_flush_evicted(SevCacheBlock *b, size_t page, bool syncing);

/* Encrypt every page of the block that is newer than DRAM; no vCPU runs. */
void sev_cache_flush_stopped(SevCacheBlock *b);

/* May a vCPU of the guest run, or hold anything in its TLB? */
bool sev_cache_vcpus_run(void);

/*
 * A cached page leaves the cache while no vCPU runs.  It has no translated
 * code, and the caller flushes the TLBs.
 */
void sev_cache_evict_quiet(SevCacheBlock *b, size_t page);

/*
 * The page's plaintext is about to be written.  To save page faults, pages that are
 * used one after the other get memory together; what is not used goes back at the next
 * look (idle.c).
 */
void sev_cache_take(SevCacheBlock *b, size_t page);

/* Give the memory of plaintext back to the host.  None of it is cached. */
void sev_cache_release(SevCacheBlock *b, size_t page, size_t n);

/*
 * A page is shared from now on: it leaves the cache, and @state is what it is then.
 * Returns whether it was cached: then its code has to go, without the lock.
 */
bool sev_cache_share_locked(SevPageMap *map, size_t page, uint8_t state);
void sev_cache_forget_code(SevCacheBlock *b, size_t page, size_t n);

/* How many pages came back into the cache since the last call. */
size_t sev_cache_take_refills(void);

/* Evict pages that nobody uses, from now on (tcg/idle.c). */
void sev_cache_watch_idle(void);

/* Abort if the cache is not as it must be; no vCPU runs (tcg/check.c). */
void sev_cache_check(void);

/*
 * Nothing is cached while the VM is stopped.  A handler of its run state: BQL held, the
 * main thread or that of a migration.
 */
void sev_cache_vm_state(void *opaque, bool running, RunState state);

/* Follow dirty-log syncs. */
void sev_cache_listen(void);

#endif /* TARGET_I386_SEV_TCG_CACHE_INT_H */
