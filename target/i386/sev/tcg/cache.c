/*
 * The write-back cache between the vCPUs and DRAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cache-int.h"
#include "accel/tcg/tlb-host-range.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/tb-flush.h"
#include "hw/psp/psp-memory.h"
#include "qemu/lockable.h"
#include "host-write.h"
#include "sealed.h"
#include "target/i386/sev/lane/lend.h"
#include "target/i386/sev/trace.h"

QemuMutex sev_cache_lock;
PspMemKey *sev_cache_vek;
static size_t n_refills;
static bool vcpus_run;                  /* those of the guest; sev_cache_lock */

void sev_cache_set_key(PspMemKey *key)
{
    PspMemKey *old = sev_cache_vek;

    sev_cache_vek = key ? psp_mem_key_ref(key) : NULL;
    if (old) {
        psp_mem_key_unref(old);
    }
}

/*
 * Moves.  First the state says that the page is not where it was, then the TLB
 * entries go: a vCPU that fills its TLB meanwhile either is in time to be
 * invalidated, or finds the new state when it looks again after the fill
 * (sev_tcg_set_page), and waits for the lock.
 */
static void evict_locked(SevCacheBlock *b, size_t page)
{
    bool syncing = b->map->state[page] & SEV_PAGE_SYNCING;

    sev_cache_set_bits(b->map, page, SEV_PAGE_CACHED | SEV_PAGE_UNSETTLED |
                                     SEV_PAGE_SYNCING | SEV_PAGE_FLUSHED, 0);
    tlb_invalidate_host_range_all((uintptr_t)b->plain + sev_cache_offset(page),
                                  TARGET_PAGE_SIZE);
    sev_cache_flush_evicted(b, page, syncing);
}

/*
 * Pages that left the cache have no translated code.  Without the lock: a vCPU
 * that is translating holds a page's TB lock while it fills the next page.
 */
void sev_cache_forget_code(SevCacheBlock *b, size_t page, size_t n)
{
    ram_addr_t addr = b->shadow_addr + sev_cache_offset(page);

    tb_invalidate_phys_range(addr, addr + sev_cache_offset(n) - 1);
}

bool sev_cache_fill(SevPageMap *map, size_t page)
{
    SevCacheBlock *b = map->cache;
    ram_addr_t offset = sev_cache_offset(page);

    QEMU_LOCK_GUARD(&sev_cache_lock);
    if (!map->rb) {
        return false;           /* just unplugged: look again */
    }
    if (map->state[page] & SEV_PAGE_CACHED) {
        return true;
    }
    sev_cache_take(b, page);
    n_refills += !!(map->state[page] & SEV_PAGE_PRIVATE);
    if (map->state[page] & SEV_PAGE_SEALED) {
        if (!sev_sealed_open(map, page, b->plain + offset)) {
            return false;
        }
        sev_cache_set_bits(map, page, 0, SEV_PAGE_CACHED);
        return true;
    }
    if (map->state[page] & SEV_PAGE_MAPPED) {
        sev_cache_set_bits(map, page, SEV_PAGE_MAPPED, 0);
        tlb_invalidate_host_range_all((uintptr_t)b->dram + offset,
                                      TARGET_PAGE_SIZE);
    }
    psp_mem_decrypt(sev_cache_vek, map->rb->offset + offset, b->dram + offset,
                    b->plain + offset, TARGET_PAGE_SIZE);
    sev_page_state_set(map, page, SEV_PAGE_CACHED | SEV_PAGE_PRIVATE);
    return true;
}

void sev_cache_fill_blank(SevPageMap *map, size_t page)
{
    QEMU_LOCK_GUARD(&sev_cache_lock);
    if (!(map->state[page] & SEV_PAGE_CACHED)) {
        sev_cache_take(map->cache, page);
        sev_sealed_replaced(map, page);
        sev_page_state_set(map, page, SEV_PAGE_CACHED | SEV_PAGE_PRIVATE);
    }
}

size_t sev_cache_take_refills(void)
{
    size_t n = n_refills;

    n_refills = 0;
    return n;
}

bool sev_cache_share_locked(SevPageMap *map, size_t page, uint8_t state)
{
    bool cached = map->state[page] & SEV_PAGE_CACHED;

    if (cached) {
        evict_locked(map->cache, page);
    }
    sev_page_state_set(map, page, state);
    return cached;
}

bool sev_cache_share(SevPageMap *map, size_t page)
{
    bool cached = false, settled;

    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        settled = map->rb && sev_sealed_settle(map, page);
        if (settled) {
            cached = sev_cache_share_locked(map, page, SEV_PAGE_MAPPED);
        }
    }
    if (cached) {
        sev_cache_forget_code(map->cache, page, 1);
    }
    return settled;
}

/* What has to be done for a page that is declared shared? */
static bool is_shared_already(const SevPageMap *map, size_t page)
{
    return !(map->state[page] & (SEV_PAGE_PRIVATE | SEV_PAGE_CACHED |
                                 SEV_PAGE_SEALED));
}

/*
 * As sev_cache_share_locked() for each page, but with one pass over the TLBs.  What does
 * not open stays as it is.  Returns how many pages changed.
 */
static size_t share_run_locked(SevPageMap *map, size_t first, size_t n,
                               bool *evicted)
{
    SevCacheBlock *b = map->cache;
    uint8_t old[SEV_CACHE_DECLARE_MAX];
    size_t changed = 0;

    for (size_t i = 0; i < n; i++) {
        old[i] = 0;
        if (is_shared_already(map, first + i) ||
            !sev_sealed_settle(map, first + i)) {
            continue;
        }
        changed++;
        old[i] = map->state[first + i];
        if (old[i] & SEV_PAGE_CACHED) {
            sev_cache_set_bits(map, first + i, SEV_PAGE_CACHED |
                               SEV_PAGE_UNSETTLED | SEV_PAGE_SYNCING |
                               SEV_PAGE_FLUSHED, 0);
            *evicted = true;
        }
    }
    if (*evicted) {
        tlb_invalidate_host_range_all((uintptr_t)b->plain +
                                      sev_cache_offset(first),
                                      sev_cache_offset(n));
    }
    for (size_t i = 0; i < n; i++) {
        if (old[i] & SEV_PAGE_CACHED) {
            sev_cache_flush_evicted(b, first + i, old[i] & SEV_PAGE_SYNCING);
        }
        if (old[i]) {
            sev_page_state_set(map, first + i, old[i] & SEV_PAGE_MAPPED);
        }
    }
    return changed;
}

/* Their content counts as ciphertext now; untouched pages have none. */
static size_t privatize_run_locked(SevPageMap *map, size_t first, size_t n)
{
    size_t changed = 0;

    for (size_t page = first; page < first + n; page++) {
        uint8_t state = map->state[page];

        if (state & SEV_PAGE_MAPPED && !(state & SEV_PAGE_PRIVATE)) {
            sev_page_state_set(map, page, state | SEV_PAGE_PRIVATE);
            changed++;
        }
    }
    return changed;
}

size_t sev_cache_declare(SevPageMap *map, size_t page, size_t n,
                         bool is_private)
{
    bool evicted = false;
    size_t changed;

    assert(n <= SEV_CACHE_DECLARE_MAX);
    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        if (!map->rb) {
            return 0;
        }
        changed = is_private ? privatize_run_locked(map, page, n)
                             : share_run_locked(map, page, n, &evicted);
    }
    if (evicted) {
        sev_cache_forget_code(map->cache, page, n);
    }
    return changed;
}

static void drop_block(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;

    if (!b) {
        return;
    }
    sev_cache_flush_stopped(b);
    for (size_t page = 0; page < map->npages; page++) {
        qatomic_store_release(&map->state[page],
                              map->state[page] &
                              (SEV_PAGE_PRIVATE | SEV_PAGE_SEALED));
    }
    sev_cache_release(b, 0, map->npages);
}

bool sev_cache_vcpus_run(void)
{
    return vcpus_run;
}

/*
 * Nothing is cached while the VM is stopped: loadvm, the secure processor,
 * dumps and debuggers may look at DRAM and change it.  Comes before the vCPUs go
 * on and after they have stopped, unlike the run state, which changes first.  A
 * vCPU that has stopped may be lent all the same, and the lane's program loses no
 * page while it runs.
 */
void sev_cache_vm_state(void *opaque, bool running, RunState state)
{
    CPUState *cpu;

    if (running) {
        sev_host_write_watch();
    } else {
        sev_lend_quiesce();
    }
    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        vcpus_run = running;
        if (!running) {
            sev_page_map_foreach(drop_block);
        }
    }
    if (running) {
        return;
    }
    CPU_FOREACH(cpu) {
        tlb_flush(cpu);
    }
    if (first_cpu) {
        tb_flush(first_cpu);
    }
    trace_sev_cache_dropped();
}

static void forget_block(SevPageMap *map)
{
    for (size_t page = 0; page < map->npages; page++) {
        sev_sealed_replaced(map, page);         /* nobody will open it */
        sev_cache_set_bits(map, page, ~SEV_PAGE_PRIVATE, 0);
    }
    if (map->cache) {
        sev_cache_release(map->cache, 0, map->npages);
    }
}

void sev_cache_forget(void)
{
    QEMU_LOCK_GUARD(&sev_cache_lock);
    sev_page_map_foreach(forget_block);
    sev_sealed_forget();
    sev_cache_set_key(NULL);
    trace_sev_cache_forgotten();
}
