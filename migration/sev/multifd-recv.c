/*
 * Packets on multifd's channels, opened on the channel threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "io/channel.h"
#include "migration/migration.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/ram.h"
#include "channels.h"
#include "multifd-gate.h"
#include "multifd-recv.h"
#include "pages.h"
#include "ram-sum.h"
#include "return-path.h"
#include "sev.h"
#include "target/i386/sev/test/fault.h"
#include "trace.h"
#include "migration/sev/wire/transcript.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
/* How long a channel waits for a refused source to go */
#define LINGER_S 3
#define LINGER_LOOK_US 10000

/* --- Channel threads -------------------------------------------------------- */

int sev_multifd_recv_setup(MultiFDRecvParams *p, Error **errp)
{
    sev_multifd_gate_wait();
    sev_channels_expect();
    p->iov = g_new0(struct iovec, multifd_ram_page_count());
    p->compress_data = g_malloc(SEV_RECORD_MAX);
    return 0;
}

void sev_multifd_recv_cleanup(MultiFDRecvParams *p)
{
    g_clear_pointer(&p->iov, g_free);
    g_clear_pointer(&p->compress_data, g_free);
}

static bool check_offsets(const ram_addr_t *offsets, uint32_t n, Error **errp)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!QEMU_IS_ALIGNED(offsets[i], PAGE_LEN)) {
            error_setg(errp, "SEV stream: offset 0x" RAM_ADDR_FMT
                       " is not that of a page",
                       offsets[i]);
            return false;
        }
    }
    return true;
}

/* A PAGES record of at most @left bytes, into the channel's buffer. */
static bool read_record(MultiFDRecvParams *p, size_t left, SevRecord *rec,
                        size_t *len, Error **errp)
{
    uint8_t *buf = p->compress_data;
    SevRecordType type;
    size_t payload;

    if (left < SEV_RECORD_HEADER_LEN) {
        error_setg(errp, "SEV stream: %zu bytes are left for a record", left);
        return false;
    }
    if (qio_channel_read_all(p->c, (char *)buf, SEV_RECORD_HEADER_LEN, errp) ||
        !sev_record_decode_header(buf, &type, &payload, errp)) {
        return false;
    }
    *len = SEV_RECORD_HEADER_LEN + payload;
    if (type != SEV_RECORD_PAGES || *len > left) {
        error_setg(errp, "SEV stream: a %s record of %zu bytes, not PAGES of "
                   "at most %zu",
                   sev_record_name(type), *len, left);
        return false;
    }
    return !qio_channel_read_all(p->c, (char *)buf + SEV_RECORD_HEADER_LEN,
                                 payload, errp) &&
           sev_record_decode(rec, buf, *len, errp);
}

/* Are these the pages that the header lists from @first on? */
static bool check_listed(MultiFDRecvParams *p, SevTarget *t, uint32_t first,
                         const SevRecordPages *r, Error **errp)
{
    SevTargetBlock *block = sev_target_block(t, r->block, errp);

    if (!block) {
        return false;
    }
    if (block->rb != p->block || !r->count ||
        r->count > p->normal_num - first) {
        error_setg(errp, "SEV stream: %" PRIu64 " packets for RAM block %s, "
                   "the header lists %u pages of %s", r->count,
                   block->rb->idstr, p->normal_num - first, p->block->idstr);
        return false;
    }
    for (size_t i = 0; i < r->count; i++) {
        uint64_t offset;

        sev_record_page(r, i, &offset);
        if (offset != p->normal[first + i]) {
            error_setg(errp, "SEV stream: a packet for 0x%" PRIx64
                       ", the header lists 0x"
                       RAM_ADDR_FMT, offset, p->normal[first + i]);
            return false;
        }
    }
    return true;
}

static bool recv_shared(MultiFDRecvParams *p, uint32_t first, size_t left,
                        Error **errp)
{
    uint32_t n = p->normal_num - first;

    if (left != (size_t)n * PAGE_LEN) {
        error_setg(errp, "SEV stream: %zu bytes are left for %u shared pages",
                   left, n);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        p->iov[i] = (struct iovec) { p->host + p->normal[first + i], PAGE_LEN };
    }
    return !n || !qio_channel_readv_all(p->c, p->iov, n, errp);
}

/*
 * What a lane did not seal.  Its digest tells whether these pages are right; this
 * says which ones came.  Upstream's map of received pages is the main channel's.
 */
static bool recv_unsealed(MultiFDRecvParams *p, SevTarget *t, Error **errp)
{
    for (uint32_t i = 0; i < p->normal_num + p->zero_num; i++) {
        ram_addr_t offset = i < p->normal_num ? p->normal[i]
                                              : p->zero[i - p->normal_num];

        if (!sev_ram_sum_has(t->ram_sum, p->block, offset)) {
            error_setg(errp, "SEV stream: a page at 0x" RAM_ADDR_FMT " of %s, "
                       "which no BLOCK record has", offset, p->block->idstr);
            return false;
        }
    }
    for (uint32_t i = 0; i < p->zero_num; i++) {
        uint8_t *page = p->host + p->zero[i];

        if (!buffer_is_zero(page, PAGE_LEN)) {
            memset(page, 0, PAGE_LEN);
        }
        sev_ram_sum_arrived(t->ram_sum, p->block, p->zero[i]);
    }
    /* Other lengths are refused: a PAGES record on a channel is one. */
    if (!recv_shared(p, 0, p->next_packet_size, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < p->normal_num; i++) {
        sev_ram_sum_arrived(t->ram_sum, p->block, p->normal[i]);
    }
    trace_sev_multifd_recv(p->id, 0, p->normal_num, p->zero_num);
    return true;
}

static bool recv_packets(MultiFDRecvParams *p, SevTarget *t, Error **errp)
{
    size_t left = p->next_packet_size, len;
    uint32_t first = 0;

    multifd_recv_zero_page_process(p);
    /* An entry of a record is longer than a shared page. */
    while (left > (size_t)(p->normal_num - first) * PAGE_LEN) {
        SevRecord rec;

        if (!read_record(p, left, &rec, &len, errp) ||
            !check_listed(p, t, first, &rec.u.pages, errp) ||
            !sev_pages_load(t, &rec, errp)) {
            return false;
        }
        sev_transcript_channel(p->id, p->compress_data);
        first += rec.u.pages.count;
        left -= len;
    }
    if (!recv_shared(p, first, left, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < p->normal_num; i++) {
        ramblock_recv_bitmap_set_offset(p->block, p->normal[i]);
    }
    trace_sev_multifd_recv(p->id, first, p->normal_num - first, p->zero_num);
    return true;
}

static bool recv_pages(MultiFDRecvParams *p, Error **errp)
{
    uint32_t flags = p->flags & MULTIFD_FLAG_COMPRESSION_MASK;
    SevTarget *t;
    bool ok;

    if (flags != MULTIFD_FLAG_NOCOMP || migrate_mapped_ram()) {
        error_setg(errp, "SEV stream: compression 0x%x or mapped-ram, neither "
                   "goes with SEV", flags);
        return false;
    }
    if (sev_fault(SEV_FAULT_CHANNEL_WAIT, errp)) {
        return false;
    }
    t = sev_multifd_gate_enter(errp);
    if (!t) {
        return false;
    }
    ok = !sev_fault(SEV_FAULT_CHANNEL_READ, errp) &&
         check_offsets(p->normal, p->normal_num, errp) &&
         check_offsets(p->zero, p->zero_num, errp) &&
         (t->method == SEV_METHOD_LANE ? recv_unsealed(p, t, errp)
                                       : recv_packets(p, t, errp));
    sev_multifd_gate_leave();
    return ok;
}

/*
 * The source shall hear why before its sockets break: tell it, then read on
 * until it hangs up.
 */
static void refuse(MultiFDRecvParams *p, const char *why)
{
    int64_t deadline = get_clock() + LINGER_S * (int64_t)NANOSECONDS_PER_SECOND;
    size_t len = MIN(strlen(why), SEV_RP_REFUSAL_MAX);
    ssize_t got;

    if (!sev_return_path_send(SEV_RP_REFUSAL, why, len, NULL)) {
        return;
    }
    /* A source that does not answer any more must not keep this thread. */
    qio_channel_set_blocking(p->c, false, NULL);
    do {
        got = qio_channel_read(p->c, p->compress_data, SEV_RECORD_MAX, NULL);
        if (got == QIO_CHANNEL_ERR_BLOCK) {
            g_usleep(LINGER_LOOK_US);
        }
    } while ((got > 0 || got == QIO_CHANNEL_ERR_BLOCK) &&
             get_clock() < deadline);
}

int sev_multifd_recv(MultiFDRecvParams *p, Error **errp)
{
    ERRP_GUARD();

    if (recv_pages(p, errp)) {
        return 0;
    }
    error_prepend(errp, "Multifd channel %u: ", p->id);
    /* Now: the source's hanging up must not be taken for the reason. */
    migrate_set_error(migrate_get_current(), *errp);
    refuse(p, error_get_pretty(*errp));
    return -1;
}

void sev_multifd_ended(unsigned channel, Error **errp)
{
    MigrationState *ms = migrate_get_current();
    ERRP_GUARD();

    if (!sev_migration_on) {
        return;
    }
    if (sev_multifd_gate_is_over()) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&ms->error_mutex) {
        if (ms->error) {        /* we hung up ourselves, for a reason */
            error_setg(errp, "%s", error_get_pretty(ms->error));
        } else {
            error_setg(errp, "SEV: multifd channel %u ended before the guest "
                       "was complete", channel);
        }
    }
    if (!sev_multifd_gate_has_packets()) {
        sev_channels_wonder(errp);
    }
    sev_return_path_send(SEV_RP_REFUSAL, error_get_pretty(*errp),
                         MIN(strlen(error_get_pretty(*errp)),
                             SEV_RP_REFUSAL_MAX), NULL);
}
