/*
 * query-sev-template: whether the packets and the shared pages are whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "inspect.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

/* What a lane sealed only a clone can open; its packets are in LANE. */
static bool check_packet(SevQuery *q, SevQueryBlock *b, uint64_t offset,
                         const uint8_t *hdr, const uint8_t *data, Error **errp)
{
    if (!q->verifier || q->method != SEV_METHOD_PACKET) {
        return true;
    }
    if (!sev_verifier_check(q->verifier, hdr, data)) {
        error_setg(errp, "the packet for block '%s' offset 0x%" PRIx64
                   " fails its MAC", b->name, offset);
        return false;
    }
    q->info->verified++;
    return true;
}

/* The same; its data lies at @at in @file. */
static bool check_page(SevQuery *q, SevQueryBlock *b, uint64_t offset,
                       const uint8_t *hdr, const SevTemplateFile *file,
                       uint64_t at, Error **errp)
{
    uint8_t data[PAGE_LEN];

    if (q->verifier && !sev_template_file_copy(file, at, data, PAGE_LEN)) {
        error_setg(errp, "the page for block '%s' offset 0x%" PRIx64
                   " cannot be read", b->name, offset);
        return false;
    }
    return check_packet(q, b, offset, hdr, data, errp);
}

/* [@offset, @offset + @length) of a block is private. */
static bool check_run(SevQuery *q, SevQueryBlock *b, uint64_t offset,
                      uint64_t length, Error **errp)
{
    q->info->private_pages += length / PAGE_LEN;
    if (!q->verifier || b->layout != SEV_LAYOUT_MAPPED) {
        return true;
    }
    for (; length; length -= PAGE_LEN) {
        uint8_t hdr[HDR_LEN];

        if (!sev_template_file_copy(&q->file, b->headers + offset / PAGE_LEN *
                                    HDR_LEN, hdr, HDR_LEN)) {
            error_setg(errp, "the headers of block '%s' cannot be read",
                       b->name);
            return false;
        }
        if (!check_page(q, b, offset, hdr, &q->file, b->pages + offset, errp)) {
            return false;
        }
        offset += PAGE_LEN;
    }
    return true;
}

/* [@offset, @end) of a block is not private. */
static bool check_gap(SevQuery *q, uint64_t number, const SevQueryBlock *b,
                      uint64_t offset, uint64_t end, Error **errp)
{
    const SevTemplateFile *file = b->layout == SEV_LAYOUT_MAPPED ? &q->file
                                                                 : &q->ram;

    if (!q->verify || !b->layout || file->fd < 0) {
        return true;
    }
    if (!sev_shared_sum_file(&q->shared, number, file->fd, b->pages, offset,
                             end - offset)) {
        error_setg(errp, "the pages of block '%s' from 0x%" PRIx64 " to 0x%"
                   PRIx64 " cannot be read", b->name, offset, end);
        return false;
    }
    return true;
}

bool sev_query_state(SevQuery *q, const SevRecordState *r, Error **errp)
{
    SevQueryBlock *b = sev_query_block(q, r->block, errp);
    uint64_t at = r->offset, offset, length;

    if (!b) {
        return false;
    }
    if (at != b->described || !sev_query_range_ok(at, r->length, b->length)) {
        error_setg(errp, "page state of block '%s' for 0x%" PRIx64 "+0x%"
                   PRIx64 ", expected from 0x%" PRIx64 " up to 0x%" PRIx64,
                   b->name, at, r->length, b->described, b->length);
        return false;
    }
    b->described += r->length;
    for (size_t i = 0; i < r->count; i++) {
        sev_record_run(r, i, &offset, &length);
        /* Each behind the last: no page is looked at twice. */
        if (!QEMU_IS_ALIGNED(offset | length, PAGE_LEN) || offset < at ||
            !sev_query_range_ok(offset, length, b->described)) {
            error_setg(errp, "run 0x%" PRIx64 "+0x%" PRIx64 " of block '%s' is "
                       "not in 0x%" PRIx64 " to 0x%" PRIx64, offset, length,
                       b->name, at, b->described);
            return false;
        }
        if (!check_gap(q, r->block, b, at, offset, errp) ||
            !check_run(q, b, offset, length, errp)) {
            return false;
        }
        at = offset + length;
    }
    return check_gap(q, r->block, b, at, b->described, errp);
}

bool sev_query_shared(SevQuery *q, const SevRecordShared *r, Error **errp)
{
    if (!q->verify) {
        return true;
    }
    if (q->shared.pages != r->pages || q->shared.sum != r->sum) {
        error_setg(errp, "its %" PRIu64 " shared pages do not have the sum of "
                   "its SHARED record, which is of %" PRIu64,
                   q->shared.pages, r->pages);
        return false;
    }
    return true;
}

bool sev_query_pages(SevQuery *q, const SevRecordPages *r, Error **errp)
{
    SevQueryBlock *b = sev_query_block(q, r->block, errp);
    uint64_t offset;

    for (size_t i = 0; b && i < r->count; i++) {
        const uint8_t *packet = sev_record_page(r, i, &offset);

        if (!check_packet(q, b, offset, packet, packet + HDR_LEN, errp)) {
            return false;
        }
    }
    return b;
}

bool sev_query_headers(SevQuery *q, const SevRecordHeaders *r, Error **errp)
{
    SevQueryBlock *b = sev_query_block(q, r->block, errp);
    uint64_t offset = r->offset;

    for (size_t i = 0; b && q->ram.fd >= 0 && i < r->count; i++) {
        if (!sev_query_range_ok(offset, PAGE_LEN, q->ram.len)) {
            error_setg(errp, "page 0x%" PRIx64 " is not in the RAM file",
                       offset);
            return false;
        }
        if (!check_page(q, b, offset, r->headers.data + i * HDR_LEN, &q->ram,
                        offset, errp)) {
            return false;
        }
        offset += PAGE_LEN;
    }
    return b;
}

bool sev_query_lane(SevQuery *q, const SevRecordLane *r, Error **errp)
{
    if (q->wrap && !sev_wrap_fits_lane(q->wrap, r, errp)) {
        return false;
    }
    r = q->wrap ? &q->wrap->lane.u.lane : r;
    if (q->method != SEV_METHOD_LANE || q->info->lane_program) {
        error_setg(errp, "there is a LANE record too many");
        return false;
    }
    for (size_t i = 0; q->verifier && i < r->count; i++) {
        const uint8_t *packet = r->packets.data + i * SEV_RECORD_PAGE_LEN + 8;

        if (!sev_verifier_check(q->verifier, packet, packet + HDR_LEN)) {
            error_setg(errp, "packet %zu of the lane's program and key fails "
                       "its MAC", i);
            return false;
        }
        q->info->verified++;
    }
    q->info->lane_program = sev_span_hex(r->program);
    return true;
}

bool sev_query_vmsa(SevQuery *q, const SevRecordVmsa *r, Error **errp)
{
    const uint8_t *packet = r->packet.data;

    if (!q->verifier) {
        return true;
    }
    if (!sev_verifier_check_vcpu(q->verifier, packet, packet + HDR_LEN)) {
        error_setg(errp, "the packet of the registers of vCPU number %" PRIu64
                   " fails its MAC", r->number);
        return false;
    }
    q->info->verified++;
    return true;
}
