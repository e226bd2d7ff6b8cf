/*
 * A sum of the pages of a template that are neither private nor zero.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zlib.h>
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "migration/misc.h"
#include "migration/sev/wire/record.h"
#include "target/i386/sev/transfer.h"
#include "shared-sum.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define CHUNK (16 * PAGE_LEN)

void sev_shared_sum_page(SevSharedSum *s, uint64_t block, uint64_t offset,
                         const uint8_t *bytes)
{
    uint8_t place[16];

    if (buffer_is_zero(bytes, PAGE_LEN)) {
        return;
    }
    stq_be_p(place, block);
    stq_be_p(place + 8, offset);
    s->sum += crc32_z(crc32_z(0, place, sizeof(place)), bytes, PAGE_LEN);
    s->pages++;
    if (s->hash) {
        g_checksum_update(s->hash, place, sizeof(place));
        g_checksum_update(s->hash, bytes, PAGE_LEN);
    }
}

/* Where data begins in [@at, @end), in whole pages from @start on; or @end. */
static uint64_t next_data(int fd, uint64_t start, uint64_t at, uint64_t end)
{
    off_t data = lseek(fd, start + at, SEEK_DATA);

    if (data < 0) {
        return errno == ENXIO ? end : at;       /* no data; not supported */
    }
    return MIN(end, at + QEMU_ALIGN_DOWN(data - (start + at), PAGE_LEN));
}

static bool sum_file(SevSharedSum *s, uint64_t block, int fd, uint64_t start,
                     uint64_t offset, uint64_t end)
{
    g_autofree uint8_t *bytes = g_malloc(CHUNK);

    for (uint64_t at = next_data(fd, start, offset, end); at < end;
         at = next_data(fd, start, at, end)) {
        size_t len = MIN(CHUNK, end - at);
        ssize_t got = RETRY_ON_EINTR(pread(fd, bytes, len, start + at));

        if (got < 0 || got != len) {
            errno = got < 0 ? errno : EIO;
            return false;
        }
        for (size_t i = 0; i < len; i += PAGE_LEN) {
            sev_shared_sum_page(s, block, at + i, bytes + i);
        }
        at += len;
    }
    return true;
}

bool sev_shared_sum_file(SevSharedSum *s, uint64_t block, int fd,
                         uint64_t start, uint64_t offset, uint64_t length)
{
    /* The stream may be read from the same file description. */
    off_t here = lseek(fd, 0, SEEK_CUR);
    bool ok = sum_file(s, block, fd, start, offset, offset + length);

    if (here >= 0 && lseek(fd, here, SEEK_SET) < 0) {
        return false;
    }
    return ok;
}

typedef struct Gaps {
    SevSharedSum *sum;
    uint64_t block, start, at;  /* @at: behind the last private run */
    int fd;
} Gaps;

static bool add_gap(Gaps *g, RAMBlock *rb, uint64_t end)
{
    if (g->fd >= 0) {
        return sev_shared_sum_file(g->sum, g->block, g->fd, g->start, g->at,
                                   end - g->at);
    }
    for (; g->at < end; g->at += PAGE_LEN) {
        sev_shared_sum_page(g->sum, g->block, g->at, rb->host + g->at);
    }
    return true;
}

static bool before_run(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                       void *opaque)
{
    Gaps *g = opaque;
    bool ok = add_gap(g, rb, offset);

    g->at = offset + length;
    return ok;
}

bool sev_shared_sum_block(SevSharedSum *s, uint64_t block, RAMBlock *rb,
                          int fd, uint64_t start)
{
    Gaps g = { .sum = s, .block = block, .start = start, .fd = fd };

    return sev_page_foreach_private(rb, before_run, &g) &&
           add_gap(&g, rb, rb->used_length);
}
