/*
 * What a device writes to a page that the guest last used as private.
 *
 * Firmware clears the C-bit of a buffer, flushes it from the cache, and lets a
 * device fill it before it looks there itself; it declares nothing.  Until then
 * all that is known is that a device wrote, and that its bytes are as they are in
 * DRAM.  So the page is shared from here on, until the guest's next private
 * access: a guest that migrates, or stops, in between finds what was written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cache-int.h"
#include "qemu/lockable.h"
#include "system/confidential-guest-write.h"
#include "host-write.h"
#include "sealed.h"
#include "target/i386/sev/trace.h"

static __thread bool ignored;

/*
 * The bytes in DRAM are the later ones, also of a page whose flush is UNSETTLED.  Not
 * of one that the guest never flushed, which it reads from the cache, or has stored to
 * since: the store wins when the page is written back.  Both are as on silicon.
 */
static bool dram_is_later(SevCacheBlock *b, size_t page)
{
    uint8_t state = b->map->state[page];

    return !(state & SEV_PAGE_CACHED) ||
           (state & SEV_PAGE_FLUSHED && !(state & SEV_PAGE_SYNCING) &&
            !sev_cache_is_newer(b, page));
}

/* Returns whether translated code of the page has to go. */
static bool page_was_written(SevPageMap *map, size_t page)
{
    uint8_t state;

    QEMU_LOCK_GUARD(&sev_cache_lock);
    state = map->state[page];
    if (!map->rb || !(state & SEV_PAGE_PRIVATE) ||
        !dram_is_later(map->cache, page) || !sev_sealed_settle(map, page)) {
        return false;
    }
    trace_sev_cache_host_write(map->rb->idstr, sev_cache_offset(page));
    return sev_cache_share_locked(map, page, state & SEV_PAGE_MAPPED);
}

static void host_wrote(MemoryRegion *mr, hwaddr offset, hwaddr length)
{
    SevPageMap *map = sev_page_map(mr->ram_block);
    size_t end = (offset + length + ~TARGET_PAGE_MASK) >> TARGET_PAGE_BITS;

    if (!map || !map->cache || ignored) {
        return;
    }
    for (size_t page = offset >> TARGET_PAGE_BITS; page < end; page++) {
        if (sev_page_state(map, page) & SEV_PAGE_PRIVATE &&
            page_was_written(map, page)) {
            sev_cache_forget_code(map->cache, page, 1);
        }
    }
}

void sev_host_write_ignore(bool ignore)
{
    ignored = ignore;
}

void sev_host_write_watch(void)
{
    confidential_guest_write = host_wrote;
}
