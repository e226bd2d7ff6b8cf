/*
 * Pages that nobody used for a while leave the cache.
 *
 * A page in the cache is held twice, in plaintext and as DRAM.  So that this
 * is true of the working set only, all vCPUs are stopped for an instant twice
 * a second: every TLB is flushed, and a page that no vCPU put back into its
 * TLB for two looks or more is written back if DRAM lacks anything, and its
 * plaintext is given back to the host.
 *
 * Nothing is under way meanwhile: no vCPU is between the look at its TLB and
 * the store, or translating.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cache-int.h"
#include "exec/cputlb.h"
#include "exec/ram_addr.h"
#include "hw/core/cpu.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "target/i386/sev/trace.h"

enum {
    LOOK_MS = 500,
    REST_MS = 20,               /* until the next part of a large look */
    PART = 2048,                /* pages that leave in one go */
    LOOKS_LEAST = 2,            /* how long a page must have been idle */
    LOOKS_MOST = 60,
    REFILLS_MANY = 6000,        /* between two looks: 20 to 40 ms of work */
};

static QEMUTimer *look_timer;
static size_t left;             /* of this part */
static bool new_look;           /* not a further part of the last one */
static unsigned looks_idle = LOOKS_LEAST;

/*
 * Pages with translated code stay: the translation is many times their size,
 * and vCPUs go from block to block without a look at the TLB.
 */
static bool has_code(SevCacheBlock *b, size_t page)
{
    return !cpu_physical_memory_get_dirty(
        b->shadow_addr + sev_cache_offset(page), TARGET_PAGE_SIZE,
        DIRTY_MEMORY_CODE);
}

/* Decide about one page that has plaintext; returns whether it has to go. */
static bool look_at_page(SevCacheBlock *b, size_t page)
{
    if (!(b->map->state[page] & SEV_PAGE_CACHED)) {
        return true;            /* the guest shared it */
    }
    if (b->age[page] <= looks_idle) {
        b->age[page] += new_look;
        return false;
    }
    if (!left || has_code(b, page)) {
        return false;
    }
    left--;
    sev_cache_evict_quiet(b, page);
    return true;
}

static void look_at_block(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;
    size_t first = 0, n = 0;

    for (size_t page = 0; b && page < map->npages; page++) {
        if (page % 8 == 0 && !ldq_he_p(b->age + page)) {
            page += 7;
            continue;
        }
        if (!b->age[page] || !look_at_page(b, page)) {
            continue;
        }
        if (first + n != page) {
            sev_cache_release(b, first, n);
            first = page;
            n = 0;
        }
        n++;
    }
    if (b) {
        sev_cache_release(b, first, n);
    }
}

/*
 * Whose working set is larger than what is used in a second would pay for it
 * again and again: wait longer then.
 */
static void adapt(void)
{
    if (sev_cache_take_refills() > REFILLS_MANY) {
        looks_idle = MIN(looks_idle * 2, LOOKS_MOST);
    } else {
        looks_idle = MAX(looks_idle - looks_idle / 8 - 1, LOOKS_LEAST);
    }
}

/* In an exclusive section. */
static void look(CPUState *self, run_on_cpu_data unused)
{
    CPUState *cpu;

    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        if (trace_event_get_state_backends(TRACE_SEV_CACHE_CHECK)) {
            sev_cache_check();
        }
        left = PART;
        if (new_look) {
            adapt();
        }
        sev_page_map_foreach(look_at_block);
        CPU_FOREACH(cpu) {
            tlb_flush(cpu);
        }
    }
    trace_sev_cache_look(PART - left, looks_idle);
    new_look = left;
    timer_mod(look_timer, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL_RT) +
                          (left ? LOOK_MS : REST_MS));
}

static void look_soon(void *unused)
{
    if (first_cpu) {
        async_safe_run_on_cpu(first_cpu, look, RUN_ON_CPU_NULL);
    }
}

void sev_cache_watch_idle(void)
{
    new_look = true;
    look_timer = timer_new_ms(QEMU_CLOCK_VIRTUAL_RT, look_soon, NULL);
    timer_mod(look_timer, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL_RT) + LOOK_MS);
}
