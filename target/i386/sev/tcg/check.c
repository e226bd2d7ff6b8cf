/*
 * What must be true of the cache whenever no vCPU runs.
 *
 * For developers: with "-trace sev_cache_check" every look at idle pages begins
 * with this (docs/devel/sev-cache.rst).  A rule that is broken is our bug: the
 * page is named, and QEMU aborts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cache-int.h"
#include "accel/tcg/tlb-host-range.h"
#include "qemu/error-report.h"
#include "target/i386/sev/trace.h"

static size_t n_cached, n_newer, n_mapped, n_rules;
/*
 * DRAM of a page that counts as clean differs: a device wrote to it before the
 * guest's first shared access, as firmware lets it, or we lost a store.
 */
static size_t n_behind;

static void must(bool holds, SevPageMap *map, size_t page, const char *rule)
{
    n_rules++;
    if (unlikely(!holds)) {
        error_report("SEV cache: block '%s' page 0x%zx state 0x%02x: %s",
                     map->rb->idstr, page, map->state[page], rule);
        abort();
    }
}

static void check_page(SevCacheBlock *b, size_t page)
{
    SevPageMap *map = b->map;
    uint8_t state = map->state[page];
    bool newer = sev_cache_is_newer(b, page);

    if (!(state & SEV_PAGE_CACHED)) {
        must(!(state & (SEV_PAGE_UNSETTLED | SEV_PAGE_SYNCING |
                        SEV_PAGE_FLUSHED)), map, page,
             "UNSETTLED, SYNCING or FLUSHED, not CACHED");
        n_mapped += !!(state & SEV_PAGE_MAPPED);
        return;
    }
    must(!(state & SEV_PAGE_MAPPED), map, page, "both CACHED and MAPPED");
    must(state & SEV_PAGE_PRIVATE, map, page, "CACHED, not PRIVATE");
    must(b->age[page], map, page, "CACHED, not known to have plaintext");
    n_cached++;
    n_newer += newer;
    if (!newer && !(state & (SEV_PAGE_UNSETTLED | SEV_PAGE_SYNCING |
                             SEV_PAGE_SEALED)) &&
        sev_cache_differs_from_dram(b, page)) {
        n_behind++;
    }
}

static void check_block(SevPageMap *map)
{
    for (size_t page = 0; map->cache && page < map->npages; page++) {
        check_page(map->cache, page);
    }
}

/* A TLB entry maps this host page. */
static uintptr_t entry;

static void check_entry_of(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;
    size_t length = b ? sev_cache_offset(map->npages) : 0;
    uintptr_t in_plain = b ? entry - (uintptr_t)b->plain : 0;
    uintptr_t in_dram = b ? entry - (uintptr_t)b->dram : 0;

    if (in_plain < length) {
        in_plain >>= TARGET_PAGE_BITS;
        must(map->state[in_plain] & SEV_PAGE_CACHED, map, in_plain,
             "its plaintext is in a TLB, not CACHED");
    }
    if (in_dram < length) {
        in_dram >>= TARGET_PAGE_BITS;
        must(map->state[in_dram] & SEV_PAGE_MAPPED, map, in_dram,
             "its DRAM is in a TLB, not MAPPED");
    }
}

static void check_entry(uintptr_t host)
{
    entry = host & TARGET_PAGE_MASK;
    sev_page_map_foreach(check_entry_of);
}

void sev_cache_check(void)
{
    n_cached = n_newer = n_mapped = n_behind = n_rules = 0;
    sev_page_map_foreach(check_block);
    tlb_foreach_host_page(check_entry);
    trace_sev_cache_check(n_cached, n_newer, n_mapped, n_behind, n_rules);
}
