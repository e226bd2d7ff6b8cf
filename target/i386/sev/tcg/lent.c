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
#include "crypt.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/memory.h"
#include "lent.h"
#include "qemu/lockable.h"
#include "system/cpu-timers.h"
#include "target/i386/sev/lane/windows.h"

__thread SevLentFor sev_lent;
__thread bool sev_lent_failed;

static MemoryRegion mailboxes;

void sev_lent_init(void)
{
    RAMBlock *rb = sev_windows_shared();

    if (sev_tcg_active() && !mailboxes.container) {
        memory_region_init_alias(&mailboxes, NULL, "sev-lane.seen", rb->mr, 0,
                                 rb->used_length);
        memory_region_add_subregion(sev_cache_root(), SEV_LENT_SHARED_AT,
                                    &mailboxes);
    }
}

bool sev_lent_possible(Error **errp)
{
    if (!sev_tcg_active()) {
        error_setg(errp, "SEV: the lane runs under TCG only, so far");
        return false;
    }
    if (icount_enabled()) {
        error_setg(errp, "SEV: the lane cannot run with -icount");
        return false;
    }
    return true;
}

void sev_lent_change(CPUState *cs, SevLentFor what)
{
    tlb_flush(cs);
    sev_lent = what;
    sev_lent_failed = false;
}

int sev_lent_exec(CPUState *cs)
{
    int r;

    bql_unlock();
    r = tcg_cpu_exec(cs);
    if (r == EXCP_ATOMIC) {
        cpu_exec_step_atomic(cs);
    }
    bql_lock();
    return r;
}

uint64_t sev_lent_no_breakpoints(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);
    uint64_t dr7 = env->dr[7];

    cpu_x86_update_dr7(env, DR7_FIXED_1);
    return dr7;
}

void sev_lent_breakpoints(CPUState *cs, uint64_t dr7)
{
    cpu_x86_update_dr7(cpu_env(cs), dr7);
}

void sev_lent_hold_interrupts(CPUState *cs)
{
    cpu_env(cs)->hflags2 &= ~(HF2_GIF_MASK | HF2_VGIF_MASK | HF2_NMI_MASK);
}

void sev_lent_evict(RAMBlock *rb, ram_addr_t offset, size_t pages)
{
    SevPageMap *map = sev_page_map(rb);
    size_t first = offset >> TARGET_PAGE_BITS;

    QEMU_LOCK_GUARD(&sev_cache_lock);
    for (size_t page = first; page < first + pages; page++) {
        if (map->state[page] & SEV_PAGE_CACHED) {
            sev_cache_evict_quiet(map->cache, page);
        }
    }
    sev_cache_release(map->cache, first, pages);
}

void sev_lent_evict_code(RAMBlock *rb, ram_addr_t offset)
{
    SevPageMap *map = sev_page_map(rb);
    ram_addr_t addr = map->cache ? map->cache->shadow_addr + offset : 0;

    if (sev_page_state(map, offset >> TARGET_PAGE_BITS) & SEV_PAGE_CACHED) {
        sev_lent_evict(rb, offset, 1);
        tb_invalidate_phys_range(addr, addr + TARGET_PAGE_SIZE - 1);
    }
}

static bool rom_writable;

static void set_rom_writable(SevPageMap *map)
{
    MemoryRegion *mr = map->rb->mr;

    if (map->cache && (mr->rom_device || mr->readonly)) {
        memory_region_set_readonly(&map->cache->shadow, !rom_writable);
    }
}

void sev_lent_rom_writable(bool writable)
{
    if (writable != rom_writable) {
        rom_writable = writable;
        memory_region_transaction_begin();
        sev_page_map_foreach(set_rom_writable);
        memory_region_transaction_commit();
    }
}
