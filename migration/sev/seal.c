/*
 * Private pages -> the packets of one PAGES record.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/sev/wire/record.h"
#include "seal.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(SEV_RECORD_PAGES_MAX > SEV_PAGE_JOBS_MAX);

/* A turn that took less than this may be longer, one that took more must not. */
#define TURN_MIN_NS (4 * SCALE_MS)
#define TURN_MAX_NS (16 * SCALE_MS)
#define TURN_FIRST  8

/* Written by any thread; whoever writes last has measured last. */
static size_t turn = TURN_FIRST;

size_t sev_seal_turn(void)
{
    return qatomic_read(&turn);
}

static void turn_took(size_t pages, int64_t ns)
{
    if (ns > TURN_MAX_NS && pages > 1) {
        qatomic_set(&turn, pages / 2);
    } else if (ns < TURN_MIN_NS && pages == qatomic_read(&turn)) {
        qatomic_set(&turn, MIN(2 * pages, SEV_RECORD_PAGES_MAX));
    }
}

bool sev_seal_given_up(const SevSource *s)
{
    return qatomic_read(&s->stop) ||
           qatomic_read(&migrate_get_current()->state) ==
           MIGRATION_STATUS_CANCELLING;
}

static bool seal_turn(const SevSource *s, SevPageJob *jobs, size_t n,
                      Error **errp)
{
    int64_t start = get_clock(), now;

    if (sev_seal_given_up(s)) {
        error_setg(errp, "SEV: the migration was given up before all pages "
                   "were packets");
        return false;
    }
    if (!sev_send_pages(jobs, n, errp)) {
        return false;
    }
    now = get_clock();
    turn_took(n, now - start);
    stat64_add(&sev_page_stats.firmware_ns, now - start);
    stat64_max(&sev_page_stats.last_ns, now);
    return true;
}

bool sev_seal_packets(const SevSource *s, uint8_t *buf, RAMBlock *rb,
                      ram_addr_t *offsets, size_t *n, Error **errp)
{
    SevPageJob jobs[SEV_RECORD_PAGES_MAX];
    size_t count = 0;
    guint number;

    if (!sev_pages_block_number(s, rb, &number, errp)) {
        return false;
    }
    for (size_t i = 0; i < *n; i++) {
        if (sev_page_is_private(rb, offsets[i])) {
            uint8_t *packet = sev_pages_packet(buf, count);

            jobs[count] = (SevPageJob) {
                .page = { rb, offsets[i] },
                .hdr = packet,
                .data = packet + SEV_RECORD_PACKET_HDR,
            };
            offsets[count++] = offsets[i];
        }
    }
    stat64_add(&sev_page_stats.skipped, *n - count);
    *n = count;
    for (size_t i = 0, some; i < count; i += some) {
        some = MIN(count - i, sev_seal_turn());
        if (!seal_turn(s, jobs + i, some, errp)) {
            return false;
        }
    }
    return true;
}

bool sev_seal_record(const SevSource *s, uint8_t *buf, RAMBlock *rb,
                     ram_addr_t *offsets, size_t *n, size_t *len, Error **errp)
{
    size_t kept = 0;
    guint number;

    if (!sev_pages_block_number(s, rb, &number, errp)) {
        return false;
    }
    for (size_t i = 0; i < *n; i++) {
        if (!sev_page_is_private(rb, offsets[i])) {
            continue;
        }
        if (kept != i) {
            memcpy(sev_pages_packet(buf, kept), sev_pages_packet(buf, i),
                   SEV_RECORD_PACKET_HDR + SEV_RECORD_PACKET_DATA);
            offsets[kept] = offsets[i];
        }
        sev_pages_set_offset(buf, kept, offsets[kept]);
        kept++;
    }
    trace_sev_pages_save(rb->idstr, kept ? offsets[0] : 0, kept, *n - kept);
    stat64_add(&sev_page_stats.skipped, *n - kept);
    sev_pages_count(kept);
    *n = kept;
    *len = kept ? sev_pages_end(buf, number, kept) : 0;
    return true;
}
