/*
 * The host's memory for plaintext: taken several pages at a time, given back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cache-int.h"
#include "qemu/madvise.h"

enum {
    AHEAD = 16,                 /* pages */
};

/*
 * The pages that get memory together with @page: none of them has any.  They lie
 * behind it when the page before it is in use, and before it when the next one is.
 */
static void find_run(const SevCacheBlock *b, size_t page, size_t *first,
                     size_t *end)
{
    size_t npages = b->map->npages;

    *first = page;
    *end = page + 1;
    if (page && b->age[page - 1]) {
        while (*end < npages && *end - page < AHEAD && !b->age[*end]) {
            ++*end;
        }
    } else if (*end < npages && b->age[*end]) {
        while (*first && page - *first < AHEAD - 1 && !b->age[*first - 1]) {
            --*first;
        }
    }
}

void sev_cache_take(SevCacheBlock *b, size_t page)
{
    size_t first, end;

    if (b->age[page]) {
        sev_cache_used(b, page);
        return;
    }
    find_run(b, page, &first, &end);
    memset(b->age + first, 1, end - first);
    if (end - first > 1) {
        /* Where the kernel cannot, each of them has a page fault. */
        qemu_madvise(b->plain + sev_cache_offset(first),
                     sev_cache_offset(end - first), QEMU_MADV_POPULATE_WRITE);
    }
}

void sev_cache_release(SevCacheBlock *b, size_t page, size_t n)
{
    uint8_t *plain = b->plain + sev_cache_offset(page);

    if (!n) {
        return;
    }
    memset(b->age + page, 0, n);
    if (qemu_madvise(plain, sev_cache_offset(n), QEMU_MADV_DONTNEED) < 0) {
        memset(plain, 0, sev_cache_offset(n));  /* locked in memory */
    }
}
