/*
 * The lane as second way to seal pages: LANE and SEALED, both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/sev/template/shared-sum.h"
#include "migration/sev/template/wrap.h"
#include "migration/sev/wire/read.h"
#include "migration/sev/wire/write.h"
#include "target/i386/sev/test/fault.h"
#include "lane.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(SEV_RECORD_LANE_MAX != SEV_LANE_PACKETS_MAX);
QEMU_BUILD_BUG_ON(SEV_LANE_SUM_LEN != SEV_RECORD_DIGEST_LEN);

/* Of the template that is being made: shared pages beside its stream. */
static uint8_t shared_sum[SEV_LANE_SUM_LEN];

static char *hex(const uint8_t *bytes, size_t len)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(out, "%02x", bytes[i]);
    }
    return g_string_free(out, FALSE);
}

static void unhex(uint8_t *bytes, size_t len, const char *text)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = g_ascii_xdigit_value(text[2 * i]) << 4 |
                   g_ascii_xdigit_value(text[2 * i + 1]);
    }
}

/* SHA-256 of what lies beside the stream, block by block. */
typedef struct Sum {
    SevSharedSum pages;
    size_t len;
} Sum;

static void sum_end(Sum *s, uint8_t out[SEV_LANE_SUM_LEN])
{
    s->len = SEV_LANE_SUM_LEN;
    g_checksum_get_digest(s->pages.hash, out, &s->len);
    g_checksum_free(s->pages.hash);
}

/* --- Source ----------------------------------------------------------------- */

bool sev_method_seal(const SevSource *s, const SevPageJob *jobs, size_t n,
                     Error **errp)
{
    return s->method == SEV_METHOD_LANE ? sev_lane_seal(jobs, n, errp)
                                        : sev_send_pages(jobs, n, errp);
}

SevRecord sev_lane_pack(GByteArray *bytes, uint8_t *program,
                        const SevLanePacket *packets, size_t n)
{
    unhex(program, SEV_RECORD_DIGEST_LEN, sev_lane_program());
    for (size_t i = 0; i < n; i++) {
        uint8_t at[8];

        stq_be_p(at, packets[i].at);
        g_byte_array_append(bytes, at, sizeof(at));
        g_byte_array_append(bytes, packets[i].hdr, SEV_RECORD_PACKET_HDR);
        g_byte_array_append(bytes, packets[i].data, SEV_RECORD_PACKET_DATA);
    }
    return (SevRecord) {
        .type = SEV_RECORD_LANE,
        .u.lane = {
            .program = { program, SEV_RECORD_DIGEST_LEN },
            .count = n,
            .packets = { bytes->data, bytes->len },
        },
    };
}

static void put_lane(QEMUFile *f, const SevLanePacket *packets, size_t n)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    uint8_t program[SEV_RECORD_DIGEST_LEN];
    SevRecord rec = sev_lane_pack(bytes, program, packets, n);

    sev_record_put(f, &rec);
}

bool sev_lane_save_begin(SevSource *s, QEMUFile *f, Error **errp)
{
    g_autofree SevLanePacket *packets = NULL;
    size_t n;

    if (s->method != SEV_METHOD_LANE) {
        return true;
    }
    packets = g_new(SevLanePacket, SEV_LANE_PACKETS_MAX);
    if (!sev_lane_send_begin((RAMBlock **)s->blocks->pdata, s->blocks->len,
                             packets, &n, errp)) {
        return false;
    }
    put_lane(f, packets, n);
    return true;
}

static SevRecord sealed_record(const uint8_t *packet)
{
    return (SevRecord) {
        .type = SEV_RECORD_SEALED,
        .u.sealed = { { packet, SEV_RECORD_PACKET_LEN } },
    };
}

static bool seal_digest(const SevLaneSums *sums, uint8_t *packet, Error **errp)
{
    return sev_lane_seal_digest(sums, packet, packet + SEV_RECORD_PACKET_HDR,
                                errp);
}

/* Of blocks whose pages are not in the stream. */
static bool sum_source(SevSource *s, Error **errp)
{
    Sum sum = { .pages.hash = g_checksum_new(G_CHECKSUM_SHA256) };
    bool ok = true;

    RCU_READ_LOCK_GUARD();
    for (guint i = 0; ok && i < s->blocks->len; i++) {
        RAMBlock *rb = g_ptr_array_index(s->blocks, i);

        if (s->image || migrate_ram_is_ignored(rb)) {
            ok = sev_shared_sum_block(&sum.pages, i, rb, -1, 0);
        }
    }
    sum_end(&sum, shared_sum);
    if (!ok) {
        error_setg(errp, "SEV: the shared pages cannot be read");
    }
    return ok;
}

bool sev_lane_save_end(SevSource *s, QEMUFile *f, bool is_template,
                       Error **errp)
{
    g_autofree uint8_t *packet = NULL;
    const SevLaneSums none = { 0 };
    SevRecord rec;

    if (s->method != SEV_METHOD_LANE) {
        return true;
    }
    if (is_template) {
        return sum_source(s, errp);
    }
    packet = g_malloc(SEV_RECORD_PACKET_LEN);
    if (!seal_digest(&none, packet, errp)) {
        return false;
    }
    rec = sealed_record(packet);
    sev_record_put(f, &rec);
    return true;
}

bool sev_lane_save_sealed(QEMUFile *f, const uint8_t *records, Error **errp)
{
    g_autofree uint8_t *packet = NULL;
    SevLaneSums sums = { 0 };
    SevRecord rec;

    if (sev_method() != SEV_METHOD_LANE) {
        return true;
    }
    packet = g_malloc(SEV_RECORD_PACKET_LEN);
    memcpy(sums.shared, shared_sum, sizeof(sums.shared));
    memcpy(sums.records, records, sizeof(sums.records));
    if (!seal_digest(&sums, packet, errp)) {
        return false;
    }
    rec = sealed_record(packet);
    sev_record_put(f, &rec);
    return true;
}

/* --- Target ----------------------------------------------------------------- */

bool sev_method_open(SevTarget *t, const SevPageJob *jobs, size_t n,
                     Error **errp)
{
    if (t->method == SEV_METHOD_LANE) {
        return sev_lane_open(jobs, n, errp);
    }
    /* Who fills RAM from an image comes with more than the seam takes at once. */
    for (size_t i = 0; i < n; i += SEV_RECORD_PAGES_MAX) {
        if (!sev_receive_pages(jobs + i, MIN(n - i, SEV_RECORD_PAGES_MAX),
                               errp)) {
            return false;
        }
    }
    return true;
}

static bool lane_fits(SevTarget *t, Error **errp)
{
    if (t->seen[SEV_RECORD_LANE]) {
        error_setg(errp, "SEV stream: there is a second LANE record");
        return false;
    }
    if (t->seen[SEV_RECORD_MANIFEST] && t->method != SEV_METHOD_LANE) {
        error_setg(errp, "SEV stream: a LANE record in a template whose "
                   "manifest has method packets");
        return false;
    }
    return sev_pages_blocks_complete(t, errp);
}

SevLanePacket *sev_lane_unpack(const SevRecordLane *r, char **program)
{
    SevLanePacket *packets = g_new(SevLanePacket, r->count);

    *program = hex(r->program.data, r->program.len);
    for (size_t i = 0; i < r->count; i++) {
        const uint8_t *at = r->packets.data + i * SEV_RECORD_PAGE_LEN;

        packets[i].at = ldq_be_p(at);
        memcpy(packets[i].hdr, at + 8, SEV_RECORD_PACKET_HDR);
        memcpy(packets[i].data, at + 8 + SEV_RECORD_PACKET_HDR,
               SEV_RECORD_PACKET_DATA);
    }
    return packets;
}

bool sev_lane_load_lane(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevWrap *wrap = sev_wrap_in_use();
    const SevRecordLane *r = wrap ? &wrap->lane.u.lane : &rec->u.lane;
    g_autofree SevLanePacket *packets = NULL;
    g_autofree RAMBlock **blocks = g_new(RAMBlock *, t->blocks->len);
    g_autofree char *program = NULL;

    if (!lane_fits(t, errp) ||
        (wrap && !sev_wrap_fits_lane(wrap, &rec->u.lane, errp))) {
        return false;
    }
    packets = sev_lane_unpack(r, &program);
    for (guint i = 0; i < t->blocks->len; i++) {
        blocks[i] = g_array_index(t->blocks, SevTargetBlock, i).rb;
    }
    t->method = SEV_METHOD_LANE;
    return sev_lane_receive_begin(blocks, t->blocks->len, packets, r->count,
                                  program, errp);
}

static bool check(SevTarget *t, const SevRecordSealed *r,
                  const SevLaneSums *sums, Error **errp)
{
    const uint8_t *packet = r->packet.data;

    if (!sev_lane_check_digest(sums, packet, packet + SEV_RECORD_PACKET_HDR,
                               errp)) {
        return false;
    }
    t->sealed_checked = true;
    return true;
}

bool sev_lane_load_sealed(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevLaneSums none = { 0 };

    if (t->method != SEV_METHOD_LANE || t->seen[SEV_RECORD_MANIFEST]) {
        error_setg(errp, "SEV stream: a SEALED record where none belongs");
        return false;
    }
    return check(t, &rec->u.sealed, &none, errp);
}

bool sev_lane_load_end(SevTarget *t, Error **errp)
{
    Sum sum = { .pages.hash = g_checksum_new(G_CHECKSUM_SHA256) };
    bool ok = true;

    for (guint i = 0; ok && i < t->blocks->len; i++) {
        SevTargetBlock *block = &g_array_index(t->blocks, SevTargetBlock, i);

        if (block->image) {
            ok = sev_shared_sum_block(&sum.pages, i, block->rb, -1, 0);
        }
    }
    sum_end(&sum, t->shared_sum);
    if (!ok) {
        error_setg(errp, "SEV: the shared pages cannot be read");
    } else if (!t->seen[SEV_RECORD_MANIFEST] && !t->sealed_checked) {
        error_setg(errp, "SEV stream: END, and no SEALED record before it");
        ok = false;
    }
    return ok;
}

bool sev_lane_load_sealed_end(SevTarget *t, QEMUFile *f, const uint8_t *records,
                              Error **errp)
{
    const size_t len = SEV_RECORD_HEADER_LEN + SEV_RECORD_PACKET_LEN;
    g_autofree uint8_t *bytes = NULL;
    SevLaneSums sums = { 0 };
    SevRecord rec;

    if (t->method != SEV_METHOD_LANE) {
        return true;
    }
    bytes = g_malloc(len);
    if (sev_bulk_get(f, bytes, len) != len) {
        error_setg(errp, "SEV: the template is cut short: its SEALED record is "
                   "not at its end");
        return false;
    }
    if (!sev_record_decode(&rec, bytes, len, errp)) {
        return false;
    }
    if (rec.type != SEV_RECORD_SEALED) {
        error_setg(errp, "SEV stream: a %s record at a template's end, not "
                   "SEALED", sev_record_name(rec.type));
        return false;
    }
    memcpy(sums.shared, t->shared_sum, sizeof(sums.shared));
    memcpy(sums.records, records, sizeof(sums.records));
    return !sev_fault(SEV_FAULT_SEALED_READ, errp) &&
           check(t, &rec.u.sealed, &sums, errp);
}
