/*
 * Pages of the guest -> PAGES records: the source.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "exec/memory.h"
#include "exec/target_page.h"
#include "migration/migration-stats.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "lane.h"
#include "pages.h"
#include "pipeline.h"
#include "ram-sum.h"
#include "migration/sev/wire/write.h"
#include "seal.h"
#include "migration/sev/wire/transcript.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA

/* The queue is sent when this many pages wait ... */
#define QUEUE_FULL 1024
/* ... for at most this long, so that cancel and rate limit are noticed. */
#define TIME_SLICE_NS (50 * SCALE_MS)
/* Who waits for a packet looks so often whether anybody still wants it. */
#define LOOK_MS 20

QEMU_BUILD_BUG_ON(SEV_RECORD_PACKET_HDR != SEV_PACKET_HDR_LEN);
QEMU_BUILD_BUG_ON(SEV_RECORD_PACKET_DATA != SEV_PACKET_DATA_LEN);
QEMU_BUILD_BUG_ON(SEV_RECORD_SESSION_LEN != SEV_SESSION_LEN);

SevPageStats sev_page_stats;

SevSource *sev_source_new(void)
{
    SevSource *s = g_new0(SevSource, 1);

    s->blocks = g_ptr_array_new();
    s->room = 2 * QUEUE_FULL;
    s->queue = g_new(SevPage, s->room);
    s->pipeline = sev_pipeline_new(s);
    memset(&sev_page_stats, 0, sizeof(sev_page_stats));
    return s;
}

void sev_source_free(SevSource *s)
{
    if (s) {
        qatomic_set(&s->stop, true);
        sev_pipeline_free(s->pipeline);
        for (guint i = 0; i < s->blocks->len; i++) {
            RAMBlock *rb = g_ptr_array_index(s->blocks, i);

            memory_region_unref(rb->mr);
        }
        g_ptr_array_unref(s->blocks);
        sev_ram_sum_free(s->ram_sum);
        if (s->sink) {
            s->sink->free(s);
        }
        g_free(s->queue);
        g_free(s);
    }
}

bool sev_pages_save_blocks(SevSource *s, QEMUFile *f, Error **errp)
{
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        SevRecord rec = {
            .type = SEV_RECORD_BLOCK,
            .u.block = {
                .number = s->blocks->len,
                .length = rb->used_length,
                .name = { (const uint8_t *)rb->idstr, strlen(rb->idstr) },
            },
        };

        if (migrate_ram_is_ignored(rb) && !s->in_place) {
            continue;
        }
        if (s->blocks->len == SEV_RECORD_BLOCKS_MAX) {
            error_setg(errp, "SEV: the guest has more than %d blocks of RAM",
                       SEV_RECORD_BLOCKS_MAX);
            return false;
        }
        if (!QEMU_IS_ALIGNED(rb->used_length, PAGE_LEN)) {
            error_setg(errp, "SEV: RAM block %s is 0x" RAM_ADDR_FMT
                       " bytes long, not a whole number of pages", rb->idstr,
                       rb->used_length);
            return false;
        }
        /* A guest may eject a device; its memory stays until we are through. */
        memory_region_ref(rb->mr);
        g_ptr_array_add(s->blocks, rb);
        sev_record_put(f, &rec);
    }
    return true;
}

bool sev_pages_block_number(const SevSource *s, RAMBlock *rb, guint *number,
                            Error **errp)
{
    if (!g_ptr_array_find(s->blocks, rb, number)) {
        error_setg(errp, "SEV: RAM block %s appeared during migration",
                   rb->idstr);
        return false;
    }
    return true;
}

void sev_pages_queue(SevSource *s, RAMBlock *rb, ram_addr_t offset)
{
    if (s->count == s->room) {
        if (s->head >= s->room / 2) {
            s->count -= s->head;
            memmove(s->queue, s->queue + s->head, s->count * sizeof(SevPage));
            s->head = 0;
        } else {
            s->room *= 2;
            s->queue = g_renew(SevPage, s->queue, s->room);
        }
    }
    s->queue[s->count++] = (SevPage) { .rb = rb, .offset = offset };
}

void sev_pages_count(size_t n)
{
    stat64_add(&sev_page_stats.packets, n);
    stat64_add(&sev_page_stats.bytes,
               n * (SEV_RECORD_PACKET_HDR + SEV_RECORD_PACKET_DATA));
    stat64_add(&mig_stats.normal_pages, n);
}

bool sev_pages_full(const SevSource *s)
{
    return s->count - s->head >= QUEUE_FULL;
}

uint64_t sev_pages_pending(const SevSource *s)
{
    return (s->count - s->head + (uint64_t)sev_pipeline_pages(s->pipeline)) *
           SEV_RECORD_PAGE_LEN;
}

/* Packets of a record, which has its offsets, go where they belong. */
static bool put_record(SevSource *s, QEMUFile *f, uint8_t *buf, RAMBlock *rb,
                       const ram_addr_t *offsets, size_t n, size_t len,
                       Error **errp)
{
    if (s->sink) {
        return s->sink->put(s, buf, rb, offsets, n, errp);
    }
    if (len) {
        sev_record_put_fault(f, SEV_RECORD_PAGES);
        sev_transcript_pages(buf);
        ram_transferred_add(len);
        /* Not copied: written out before the buffer is used again. */
        qemu_put_buffer_async(f, buf, len, false);
        qemu_fflush(f);
    }
    return true;
}

bool sev_pages_put(SevSource *s, QEMUFile *f, uint8_t *buf, RAMBlock *rb,
                   const ram_addr_t *offsets, size_t n, Error **errp)
{
    guint number;

    if (!sev_pages_block_number(s, rb, &number, errp)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        sev_pages_set_offset(buf, i, offsets[i]);
    }
    sev_pages_count(n);
    return put_record(s, f, buf, rb, offsets, n, sev_pages_end(buf, number, n),
                      errp);
}

static bool write_batch(SevSource *s, QEMUFile *f, SevBatch *b, Error **errp)
{
    size_t len;

    if (b->err) {
        error_propagate(errp, g_steal_pointer(&b->err));
        return false;
    }
    if (!sev_seal_record(s, b->buf, b->rb, b->offsets, &b->n, &len, errp)) {
        return false;
    }
    return put_record(s, f, b->buf, b->rb, b->offsets, b->n, len, errp);
}

/* As much of the queue as the pipeline takes. */
static void fill_pipeline(SevSource *s)
{
    size_t taken;

    while (s->head < s->count &&
           (taken = sev_pipeline_put(s->pipeline, &s->queue[s->head],
                                     s->count - s->head))) {
        s->head += taken;
    }
    if (s->head == s->count) {
        s->head = s->count = 0;
    }
}

bool sev_pages_save(SevSource *s, QEMUFile *f, bool all, Error **errp)
{
    int64_t deadline = get_clock() + TIME_SLICE_NS;
    /* ram.c found nothing new: then wait here for what is being made. */
    bool idle = s->head == s->count;

    if (s->method == SEV_METHOD_LANE) {
        return sev_lane_save_pages(s, f, all, errp);
    }
    /* An error of the file ends the loop; upstream reports it. */
    while (!qemu_file_get_error(f)) {
        SevBatch *batch;
        bool ok;

        fill_pipeline(s);
        if (!sev_pipeline_pages(s->pipeline)) {
            break;
        }
        if (!all && (migration_rate_exceeded(f) || get_clock() > deadline)) {
            break;
        }
        if (sev_seal_given_up(s)) {
            qemu_file_set_error(f, -ECANCELED);
            break;
        }
        batch = sev_pipeline_get(s->pipeline, all || idle || s->count ?
                                 LOOK_MS : 0);
        if (batch) {
            ok = write_batch(s, f, batch, errp);
            sev_pipeline_release(s->pipeline);
            if (!ok) {
                return false;
            }
        } else if (!all && !idle && !s->count) {
            break;              /* ram.c may find more meanwhile */
        }
    }
    return true;
}
