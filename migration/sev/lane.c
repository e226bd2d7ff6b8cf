/*
 * The lane as second way to seal pages: LANE and the pages, both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/sev/template/wrap.h"
#include "migration/sev/wire/write.h"
#include "lane.h"
#include "ram-sum.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(SEV_RECORD_LANE_MAX != SEV_LANE_PACKETS_MAX);

static void unhex(uint8_t *bytes, size_t len, const char *text)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = g_ascii_xdigit_value(text[2 * i]) << 4 |
                   g_ascii_xdigit_value(text[2 * i + 1]);
    }
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
    if (sev_lane_save_is_live()) {
        s->ram_sum = sev_ram_sum_new(false);
        for (guint i = 0; i < s->blocks->len; i++) {
            sev_ram_sum_add_block(s->ram_sum, g_ptr_array_index(s->blocks, i));
        }
    }
    return true;
}

/* --- Source: what "ram" carries, and what does not go with it any more ------- */

/*
 * A page that went sealed, on the main channel, and goes as it is now, on another:
 * what is sent from here on waits until the target has opened what was before.
 */
static void keep_behind(SevSource *s, unsigned number, ram_addr_t offset)
{
    if (migrate_multifd() &&
        sev_ram_sum_was_sealed(s->ram_sum, number, offset)) {
        trace_sev_lane_flush(number, offset);
        /* If it fails so does ram.c's own next attempt. */
        multifd_ram_flush_and_sync(migrate_get_current()->to_dst_file);
        sev_ram_sum_forget_sealed(s->ram_sum);
    }
}

void sev_lane_save_shared(SevSource *s, RAMBlock *rb, ram_addr_t offset)
{
    guint number;

    if (s->ram_sum && g_ptr_array_find(s->blocks, rb, &number)) {
        keep_behind(s, number, offset);
        sev_ram_sum_page(s->ram_sum, number, offset);
    }
}

void sev_lane_save_sealed_pages(SevSource *s, RAMBlock *rb,
                                const ram_addr_t *offsets, size_t n)
{
    guint number;

    if (s->ram_sum && g_ptr_array_find(s->blocks, rb, &number)) {
        for (size_t i = 0; i < n; i++) {
            sev_ram_sum_sealed(s->ram_sum, number, offsets[i]);
        }
    }
}

void sev_lane_save_round(SevSource *s)
{
    if (s->ram_sum) {
        sev_ram_sum_settle(s->ram_sum);
    }
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

    *program = sev_span_hex(r->program);
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
    if (!t->seen[SEV_RECORD_MANIFEST]) {
        t->ram_sum = sev_ram_sum_new(migrate_multifd());
        for (guint i = 0; i < t->blocks->len; i++) {
            sev_ram_sum_add_block(t->ram_sum, blocks[i]);
        }
    }
    return sev_lane_receive_begin(blocks, t->blocks->len, packets, r->count,
                                  program, errp);
}

void sev_lane_load_section(SevTarget *t)
{
    if (t->ram_sum) {
        sev_ram_sum_received(t->ram_sum);
        sev_ram_sum_settle(t->ram_sum);
    }
}
