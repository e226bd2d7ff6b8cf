/*
 * A vCPU that is lent to the lane, under TCG.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "accel/tcg/tcg-accel-ops.h"
#include "cache-int.h"
#include "cache.h"
#include "crypt.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/memory.h"
#include "lent.h"
#include "qemu/lockable.h"
#include "qemu/madvise.h"
#include "system/cpu-timers.h"
#include "target/i386/sev/lane/windows.h"

__thread SevLentFor sev_lent;
__thread bool sev_lent_failed;

static MemoryRegion mailboxes;

static void room(void)
{
    RAMBlock *rb = sev_windows_shared();

    if (sev_tcg_active() && !mailboxes.container) {
        memory_region_init_alias(&mailboxes, NULL, "sev-lane.seen", rb->mr, 0,
                                 rb->used_length);
        memory_region_add_subregion(sev_cache_root(), SEV_LENT_SHARED_AT,
                                    &mailboxes);
    }
}

static bool possible(Error **errp)
{
    if (icount_enabled()) {
        error_setg(errp, "SEV: the lane cannot run with -icount");
        return false;
    }
    return true;
}

static bool in_parallel(void)
{
    return qemu_tcg_mttcg_enabled();
}

/* What its TLB holds is another one's from now on. */
static void change(CPUState *cs, SevLentFor what)
{
    tlb_flush(cs);
    sev_lent = what;
    sev_lent_failed = false;
}

static __thread uint64_t guest_dr7;

/* TCG keeps DR7 twice; hardware breakpoints are off until the guest is back. */
static void take(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);

    guest_dr7 = env->dr[7];
    cpu_x86_update_dr7(env, DR7_FIXED_1);
}

static void enter(CPUState *cs, SevLentFor what)
{
    cpu_env(cs)->hflags2 &= ~(HF2_GIF_MASK | HF2_VGIF_MASK | HF2_NMI_MASK);
    change(cs, what);
}

/* As the accelerator's loop does, once. */
static const char *run(CPUState *cs)
{
    int r;

    bql_unlock();
    r = tcg_cpu_exec(cs);
    if (r == EXCP_ATOMIC) {
        cpu_exec_step_atomic(cs);
    }
    bql_lock();
    if (sev_lent_failed) {
        return "met a page that cannot be opened";
    }
    if (r == EXCP_DEBUG) {
        return "met a debugger's breakpoint";
    }
    return r == EXCP_HLT || r == EXCP_HALTED ? "was halted or reset" : NULL;
}

static void leave(CPUState *cs)
{
    change(cs, SEV_LENT_NOT);
}

static void give_back(CPUState *cs)
{
    cpu_x86_update_dr7(cpu_env(cs), guest_dr7);
}

/* With the cache's lock. */
static void evict_pages(RAMBlock *rb, ram_addr_t offset, size_t pages)
{
    SevPageMap *map = sev_page_map(rb);
    size_t first = offset >> TARGET_PAGE_BITS;

    for (size_t page = first; page < first + pages; page++) {
        if (map->state[page] & SEV_PAGE_CACHED) {
            sev_cache_evict_quiet(map->cache, page);
        }
    }
    sev_cache_release(map->cache, first, pages);
}

/* Into the cache, as fill_lent() of tlb.c would do it on the vCPU. */
static void fill(SevPageMap *map, size_t page, SevLentFor what)
{
    uint8_t state = sev_page_state(map, page);

    if (state & (SEV_PAGE_CACHED | SEV_PAGE_SEALED)) {
        return;         /* a vCPU opens what is sealed, and stops if it cannot */
    }
    if (what == SEV_LENT_WRITE) {
        sev_cache_fill_blank(map, page);
        /* This thread takes the page fault, if there is one, and not the vCPU. */
        map->cache->plain[sev_cache_offset(page)] = 0;
    } else if (state & SEV_PAGE_PRIVATE) {
        sev_cache_fill(map, page);
    }
}

/*
 * The thread that evicts holds the lock for long, and the vCPU would wait for it at
 * its first page: so the pages are there before the vCPU comes.  Memory for them in
 * one call costs a fraction of what its page faults do; where Linux does not know
 * that call (before 5.14) there is a fault for each.
 */
static void ready(RAMBlock *rb, ram_addr_t offset, size_t pages,
                  SevLentFor what)
{
    SevPageMap *map = sev_page_map(rb);
    size_t first = offset >> TARGET_PAGE_BITS;

    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        if (sev_cache_vcpus_run()) {
            return;
        }
        /* Whatever is not evicted after all is found by idle.c. */
        for (size_t page = first; page < first + pages; page++) {
            sev_cache_used(map->cache, page);
        }
    }
    qemu_madvise(map->cache->plain + offset, sev_cache_offset(pages),
                 QEMU_MADV_POPULATE_WRITE);
    for (size_t page = first; page < first + pages; page++) {
        fill(map, page, what);
    }
}

/* evict_pages() for the program's own page, which has translated code. */
static void evict_code(RAMBlock *rb, ram_addr_t offset)
{
    SevPageMap *map = sev_page_map(rb);
    ram_addr_t addr = map->cache ? map->cache->shadow_addr + offset : 0;

    if (sev_page_state(map, offset >> TARGET_PAGE_BITS) & SEV_PAGE_CACHED) {
        WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
            evict_pages(rb, offset, 1);
        }
        tb_invalidate_phys_range(addr, addr + TARGET_PAGE_SIZE - 1);
    }
}

/*
 * Nothing is cached while a VM is stopped.  Of one that runs the vCPUs have these
 * pages in their TLBs.  The program's own page no vCPU of the guest ever sees.
 */
static void evict(RAMBlock *rb, ram_addr_t offset, size_t pages, bool code)
{
    if (code) {
        evict_code(rb, offset);
        return;
    }
    QEMU_LOCK_GUARD(&sev_cache_lock);
    if (!sev_cache_vcpus_run()) {
        evict_pages(rb, offset, pages);
    }
}

static void write_back(RAMBlock *rb, ram_addr_t offset)
{
    sev_cache_writeback(sev_page_map(rb), offset >> TARGET_PAGE_BITS);
}

static bool rom_writable;

static void set_rom_writable(SevPageMap *map)
{
    MemoryRegion *mr = map->rb->mr;

    if (map->cache && (mr->rom_device || mr->readonly)) {
        memory_region_set_readonly(&map->cache->shadow, !rom_writable);
    }
}

/*
 * The lane writes pages of ROMs and flash; nothing else can while no vCPU of
 * the guest runs.
 */
static bool open_windows(bool writable, Error **errp)
{
    if (writable != rom_writable) {
        rom_writable = writable;
        memory_region_transaction_begin();
        sev_page_map_foreach(set_rom_writable);
        memory_region_transaction_commit();
    }
    return true;
}

static void close_windows(void)
{
    open_windows(false, &error_abort);
    /* Several MiB of sealed pages that nobody reads any more. */
    qemu_madvise(sev_windows_host(LANE_SHARED),
                 LANE_MAX_SLOTS * LANE_SHARED_STRIDE, QEMU_MADV_DONTNEED);
}

const SevLentOps sev_lent_tcg = {
    .possible = possible,
    .in_parallel = in_parallel,
    .room = room,
    .open = open_windows,
    .close = close_windows,
    .take = take,
    .enter = enter,
    .run = run,
    .leave = leave,
    .give_back = give_back,
    .ready = ready,
    .evict = evict,
    .write_back = write_back,
};
