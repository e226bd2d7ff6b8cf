/*
 * Pages that the lane seals, on their way out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "lane.h"
#include "seal.h"
#include "trace.h"

/* As in pages.c: cancel and rate limit are noticed. */
#define TIME_SLICE_NS (50 * SCALE_MS)
#define RECORDS DIV_ROUND_UP(SEV_LANE_SEAL_MAX, SEV_RECORD_PAGES_MAX)

/* What is sealed before any of it is written: pages of one block, none twice. */
typedef struct Batch {
    RAMBlock *rb;
    size_t n;
    ram_addr_t offsets[SEV_LANE_SEAL_MAX];
    SevPageJob jobs[SEV_LANE_SEAL_MAX];
    uint8_t records[RECORDS][SEV_RECORD_MAX];
} Batch;

static bool is_in(const Batch *b, ram_addr_t offset)
{
    for (size_t i = b->n; i-- > 0;) {
        if (b->offsets[i] == offset) {
            return true;
        }
    }
    return false;
}

static void add(Batch *b, const SevPage *page)
{
    uint8_t *packet = sev_pages_packet(b->records[b->n / SEV_RECORD_PAGES_MAX],
                                       b->n % SEV_RECORD_PAGES_MAX);

    b->jobs[b->n] = (SevPageJob) {
        .page = *page,
        .hdr = packet,
        .data = packet + SEV_RECORD_PACKET_HDR,
    };
    b->offsets[b->n++] = page->offset;
}

/*
 * The next pages off the queue.  What is not private any more is dirty, and
 * ram.c will meet it again.
 */
static void take(SevSource *s, Batch *b, size_t most)
{
    b->n = 0;
    b->rb = s->queue[s->head].rb;
    for (; b->n < most && s->head < s->count &&
           s->queue[s->head].rb == b->rb; s->head++) {
        const SevPage *page = &s->queue[s->head];

        if (!sev_page_is_private(page->rb, page->offset)) {
            stat64_add(&sev_page_stats.skipped, 1);
        } else if (!is_in(b, page->offset)) {
            add(b, page);
        }
    }
    if (s->head == s->count) {
        s->head = s->count = 0;
    }
}

/*
 * What was sealed is written at once, and all of it: the digest counts it, and
 * had ram.c a turn in between, it could write a newer shared page before.
 */
static bool put(SevSource *s, QEMUFile *f, Batch *b, Error **errp)
{
    for (size_t at = 0, i = 0; at < b->n; at += SEV_RECORD_PAGES_MAX, i++) {
        size_t n = MIN(b->n - at, SEV_RECORD_PAGES_MAX);

        sev_lane_save_sealed_pages(s, b->rb, b->offsets + at, n);
        if (!sev_pages_put(s, f, b->records[i], b->rb, b->offsets + at, n,
                           errp)) {
            return false;
        }
    }
    return true;
}

static bool seal(SevSource *s, Batch *b, Error **errp)
{
    int64_t start = get_clock(), now;

    if (!sev_lane_seal(b->jobs, b->n, errp)) {
        return false;
    }
    now = get_clock();
    stat64_add(&sev_page_stats.firmware_ns, now - start);
    stat64_max(&sev_page_stats.last_ns, now);
    return true;
}

bool sev_lane_save_pages(SevSource *s, QEMUFile *f, bool all, Error **errp)
{
    g_autofree Batch *b = g_new(Batch, 1);
    int64_t deadline = get_clock() + TIME_SLICE_NS;
    /* A target opens one batch while the next is sealed; a file does not mind. */
    size_t most = s->ram_sum ? SEV_LANE_BATCH : SEV_LANE_SEAL_MAX;

    /* An error of the file ends the loop; upstream reports it. */
    while (s->head < s->count && !qemu_file_get_error(f)) {
        if (!all && (migration_rate_exceeded(f) || get_clock() > deadline)) {
            break;
        }
        if (sev_seal_given_up(s)) {
            qemu_file_set_error(f, -ECANCELED);
            break;
        }
        take(s, b, most);
        if (b->n && (!seal(s, b, errp) || !put(s, f, b, errp))) {
            return false;
        }
    }
    return true;
}
