/*
 * Packets on multifd's channels, made on the channel threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "migration/multifd.h"
#include "migration/ram.h"
#include "multifd.h"
#include "multifd-gate.h"
#include "multifd-recv.h"
#include "fail.h"
#include "pages.h"
#include "return-path.h"
#include "seal.h"
#include "migration/sev/wire/transcript.h"
#include "target/i386/sev/test/fault.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
/* PAGES records of one multifd packet, all of whose pages may be private */
#define RECORDS_MAX DIV_ROUND_UP(MULTIFD_PACKET_SIZE / PAGE_LEN, \
                                 SEV_RECORD_PAGES_MAX)

static const SevSource *source;
/* Those of the migration under way, by number; main thread at its end */
static MultiFDSendParams *channels[UINT8_MAX + 1];

void sev_multifd_set_source(const SevSource *s)
{
    source = s;
}

/* One channel's */
typedef struct SendData {
    ram_addr_t offsets[MULTIFD_PACKET_SIZE / PAGE_LEN];     /* private pages */
    uint8_t records[RECORDS_MAX][SEV_RECORD_MAX];
} SendData;

static int send_setup(MultiFDSendParams *p, Error **errp)
{
    /* Nothing here can fail, and upstream could not stand it. */
    sev_fault(SEV_FAULT_CHANNEL_SETUP, NULL);
    p->iov = g_new0(struct iovec, 1 + RECORDS_MAX + multifd_ram_page_count());
    p->compress_data = g_new(SendData, 1);
    channels[p->id] = p;
    return 0;
}

static void send_cleanup(MultiFDSendParams *p, Error **errp)
{
    channels[p->id] = NULL;
    g_clear_pointer(&p->iov, g_free);
    g_clear_pointer(&p->compress_data, g_free);
}

static void add_iov(MultiFDSendParams *p, void *base, size_t len)
{
    p->iov[p->iovs_num++] = (struct iovec) { base, len };
}

/*
 * Move private pages to @d; their number.  The lane's are not here, and what became
 * private since it was given to the channel will come again.
 */
static size_t split_private(MultiFDPages_t *pages, SendData *d)
{
    uint32_t rest = 0, n = 0;

    if (source->method == SEV_METHOD_LANE) {
        return 0;
    }

    for (uint32_t i = 0; i < pages->num; i++) {
        ram_addr_t offset = pages->offset[i];

        if (sev_page_is_private(pages->block, offset) &&
            !sev_page_never_written(pages->block, offset)) {
            d->offsets[n++] = offset;
        } else {
            pages->offset[rest++] = offset;
        }
    }
    pages->num = rest;
    return n;
}

/* Records of @n private pages; *@sealed of them still are. */
static bool seal_private(MultiFDSendParams *p, size_t n, size_t *sealed,
                         Error **errp)
{
    MultiFDPages_t *pages = &p->data->u.ram;
    SendData *d = p->compress_data;

    *sealed = 0;
    for (size_t i = 0, at = 0; at < n; i++, at += SEV_RECORD_PAGES_MAX) {
        size_t count = MIN(n - at, SEV_RECORD_PAGES_MAX), len;

        if (!sev_seal_packets(source, d->records[i], pages->block,
                              d->offsets + at, &count, errp) ||
            !sev_seal_record(source, d->records[i], pages->block,
                             d->offsets + at, &count, &len, errp)) {
            return false;
        }
        if (count) {
            add_iov(p, d->records[i], len);
            sev_transcript_channel(p->id, d->records[i]);
            memmove(d->offsets + *sealed, d->offsets + at,
                    count * sizeof(d->offsets[0]));
            *sealed += count;
        }
    }
    return true;
}

static int send_prepare(MultiFDSendParams *p, Error **errp)
{
    ERRP_GUARD();
    MultiFDPages_t *pages = &p->data->u.ram;
    SendData *d = p->compress_data;
    size_t n = split_private(pages, d), sealed;

    /* Zero pages are looked for among the others only. */
    multifd_send_zero_page_detect(p);
    add_iov(p, p->packet, p->packet_len);
    if (sev_fault(SEV_FAULT_CHANNEL_WRITE, errp) ||
        !seal_private(p, n, &sealed, errp)) {
        sev_migration_set_error(*errp);
        return -1;
    }
    for (uint32_t i = 0; i < pages->normal_num; i++) {
        add_iov(p, pages->block->host + pages->offset[i], PAGE_LEN);
    }
    p->next_packet_size = iov_size(p->iov + 1, p->iovs_num - 1);

    memmove(pages->offset + sealed, pages->offset,
            pages->num * sizeof(pages->offset[0]));
    memcpy(pages->offset, d->offsets, sealed * sizeof(pages->offset[0]));
    pages->num += sealed;
    pages->normal_num += sealed;
    p->flags |= MULTIFD_FLAG_NOCOMP;
    multifd_send_fill_packet(p);
    return 0;
}

bool sev_multifd_is_down(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(channels); i++) {
        if (channels[i] && channels[i]->c &&
            sev_channel_is_down(channels[i]->c)) {
            return true;
        }
    }
    return false;
}

/* --- Registration ----------------------------------------------------------- */

static const MultiFDMethods sev_multifd_methods = {
    .send_setup = send_setup,
    .send_cleanup = send_cleanup,
    .send_prepare = send_prepare,
    .recv_setup = sev_multifd_recv_setup,
    .recv_cleanup = sev_multifd_recv_cleanup,
    .recv = sev_multifd_recv,
};

void sev_multifd_init(void)
{
    sev_multifd_gate_init();
    multifd_register_ops(MULTIFD_COMPRESSION_NONE, &sev_multifd_methods);
}
