/*
 * A template in place: private pages of a RAM file become their packets.
 *
 * What Kata does: RAM is a shared memory-backend-file, 'x-ignore-shared'
 * leaves it out of the stream, and the guest never runs again.  The file keeps
 * the packets' data, the stream gets the headers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "migration/sev/lane.h"
#include "migration/sev/wire/write.h"
#include "target/i386/sev/test/fault.h"
#include "in-place.h"
#include "migration/sev/trace.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

bool sev_place_wanted(void)
{
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        if (migrate_ram_is_ignored(rb)) {
            return true;
        }
    }
    return false;
}

void sev_place_save_begin(SevSource *s, QEMUFile *f)
{
    for (guint i = 0; i < s->blocks->len; i++) {
        SevRecord rec = {
            .type = SEV_RECORD_IMAGE,
            .u.image = {
                .block = i,
                .method = s->method,
                .layout = SEV_LAYOUT_IN_PLACE,
            },
        };

        if (migrate_ram_is_ignored(g_ptr_array_index(s->blocks, i))) {
            sev_record_put(f, &rec);
        }
    }
}

typedef struct Placing {
    SevSource *s;
    QEMUFile *f;
    guint block;
    SevOutgoing *outgoing;
    uint8_t *data;              /* SEV_RECORD_PAGES_MAX pages */
    Error **errp;
} Placing;

static void put_headers(Placing *p, ram_addr_t offset, const uint8_t *headers,
                        size_t n)
{
    SevRecord rec = {
        .type = SEV_RECORD_HEADERS,
        .u.headers = {
            .block = p->block,
            .offset = offset,
            .count = n,
            .headers = { headers, n * HDR_LEN },
        },
    };

    sev_record_put(p->f, &rec);
    p->s->placed += n;
    stat64_add(&sev_page_stats.packets, n);
    stat64_add(&sev_page_stats.bytes, n * (HDR_LEN + PAGE_LEN));
}

/* Packets first, and only when all of a batch are made, RAM. */
static bool place_batch(Placing *p, RAMBlock *rb, ram_addr_t offset, size_t n)
{
    uint8_t headers[SEV_RECORD_PAGES_MAX * HDR_LEN];
    SevPageJob jobs[SEV_RECORD_PAGES_MAX];
    int64_t start = get_clock();

    for (size_t i = 0; i < n; i++) {
        jobs[i] = (SevPageJob) {
            .page = { rb, offset + i * PAGE_LEN },
            .hdr = headers + i * HDR_LEN,
            .data = p->data + i * PAGE_LEN,
        };
    }
    if (!sev_method_seal(p->s, jobs, n, p->errp) ||
        !sev_outgoing_take(p->outgoing, SEV_OUTGOING_OVERWRITE, p->errp)) {
        return false;
    }
    memcpy(rb->host + offset, p->data, n * PAGE_LEN);
    put_headers(p, offset, headers, n);
    stat64_add(&sev_page_stats.firmware_ns, get_clock() - start);
    stat64_max(&sev_page_stats.last_ns, get_clock());
    return true;
}

static bool place_run(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                      void *opaque)
{
    Placing *p = opaque;

    while (length && !qemu_file_get_error(p->f)) {
        size_t n = MIN(length / PAGE_LEN, SEV_RECORD_PAGES_MAX);

        if (!place_batch(p, rb, offset, n)) {
            return false;
        }
        offset += n * PAGE_LEN;
        length -= n * PAGE_LEN;
    }
    return true;
}

bool sev_place_save(SevSource *s, QEMUFile *f, SevOutgoing *outgoing,
                    Error **errp)
{
    g_autofree uint8_t *data = g_malloc(SEV_RECORD_PAGES_MAX * PAGE_LEN);
    Placing p = {
        .s = s, .f = f, .outgoing = outgoing, .data = data, .errp = errp,
    };

    for (p.block = 0; p.block < s->blocks->len; p.block++) {
        RAMBlock *rb = g_ptr_array_index(s->blocks, p.block);

        if (!migrate_ram_is_ignored(rb)) {
            continue;
        }
        if (!sev_page_foreach_private(rb, place_run, &p)) {
            return false;
        }
        trace_sev_place_save(rb->idstr, s->placed);
        if (sev_fault(SEV_FAULT_DISK_SYNC, errp)) {
            return false;
        }
        if (fdatasync(rb->fd) && errno != EINVAL && errno != EROFS) {
            error_setg_errno(errp, errno, "SEV: the file of RAM block %s is "
                             "not on the disk", rb->idstr);
            return false;
        }
    }
    return true;
}
