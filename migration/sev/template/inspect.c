/*
 * query-sev-template: what each record says, and whether its packets are whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/sev/session.h"
#include "inspect.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

/* --- Packets ---------------------------------------------------------------- */

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

static bool visit_state(SevQuery *q, const SevRecordState *r, Error **errp)
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

static bool visit_shared(SevQuery *q, const SevRecordShared *r, Error **errp)
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

static bool visit_pages(SevQuery *q, const SevRecordPages *r, Error **errp)
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

static bool visit_headers(SevQuery *q, const SevRecordHeaders *r, Error **errp)
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

static bool visit_lane(SevQuery *q, const SevRecordLane *r, Error **errp)
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

/* A vCPU's registers */
static bool visit_vmsa(SevQuery *q, const SevRecordVmsa *r, Error **errp)
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

/* --- The other records ------------------------------------------------------ */

static char *span_text(SevSpan span)
{
    return g_strndup((const char *)span.data, span.len);
}

static bool visit_manifest(SevQuery *q, const SevRecordManifest *r,
                           Error **errp)
{
    SevTemplateInfo *info = q->info;
    Error *why = NULL;

    if (r->layout < SEV_LAYOUT_STREAM || r->layout > SEV_LAYOUT_IN_PLACE) {
        error_setg(errp, "layout %" PRIu64 " is unknown", r->layout);
        return false;
    }
    if (q->has_manifest) {
        error_setg(errp, "there is a second MANIFEST record");
        return false;
    }
    if (r->method != SEV_METHOD_PACKET && r->method != SEV_METHOD_LANE) {
        error_setg(errp, "method %" PRIu64 " is unknown", r->method);
        return false;
    }
    q->has_manifest = true;
    q->method = r->method;
    info->method = r->method == SEV_METHOD_LANE ? SEV_SEAL_METHOD_LANE
                                                : SEV_SEAL_METHOD_PACKETS;
    info->layout = r->layout - SEV_LAYOUT_STREAM;
    info->policy = r->policy;
    info->fingerprint = span_text(r->fingerprint);
    if (q->wrap) {
        if (!sev_wrap_is_for_method(q->wrap, r->method, errp)) {
            return false;
        }
        info->wrapped_for = span_text(q->wrap->session.u.session.target);
    }
    info->here = q->wrap ? sev_wrap_is_here(q->wrap, &why)
                         : sev_session_is_here(r->fingerprint, r->chip, &why);
    if (why) {
        info->why_not_here = g_strdup(error_get_pretty(why));
        error_free(why);
    }
    info->machine = span_text(r->machine);
    info->measurement = r->measurement.len ? span_text(r->measurement) : NULL;
    info->cpu = span_text(r->cpu);
    info->vcpus = r->vcpus;
    info->ram_bytes = r->ram_bytes;
    if (q->verify && r->layout == SEV_LAYOUT_IN_PLACE &&
        q->ram.fd < 0) {
        error_setg(errp, "it was sealed in place: name its RAM file with 'ram' "
                   "to verify it");
        return false;
    }
    return true;
}

/* The name of the image, and the session that opens it. */
static const SevRecordSession *name_image(SevQuery *q, const SevRecord *rec,
                                          Error **errp)
{
    uint8_t id[SEV_RECORD_DIGEST_LEN];

    if (q->has_session) {
        error_setg(errp, "there is a second SESSION record");
        return NULL;
    }
    q->has_session = true;
    sev_image_id(q->manifest, rec, id);
    q->info->image = sev_image_id_text(id);
    if (!q->wrap) {
        return &rec->u.session;
    }
    return sev_wrap_fits(q->wrap, q->manifest, rec, errp)
               ? &q->wrap->session.u.session : NULL;
}

static bool visit_session(SevQuery *q, const SevRecord *rec, Error **errp)
{
    const SevRecordSession *r = name_image(q, rec, errp);
    SevPlatformCerts sender = { 0 };

    if (!r) {
        return false;
    }
    sender.pdh = (uint8_t *)r->pdh.data;
    sender.pdh_len = r->pdh.len;
    q->info->sealed_by = sev_certs_fingerprint(&sender, errp);
    if (!q->info->sealed_by) {
        return false;
    }
    if (!q->info->here) {
        q->info->has_verified = false;  /* no key of this platform opens it */
        return true;
    }
    if (!q->verify && !sev_verifier_possible()) {
        return true;
    }
    q->verifier = sev_verifier_new(r->policy, r->pdh.data, r->pdh.len,
                                   r->session.data, r->session.len, errp);
    q->info->sealed_by_proven = q->verifier;
    if (!q->verify) {
        g_clear_pointer(&q->verifier, sev_verifier_free);
    }
    return q->info->sealed_by_proven;
}

static bool visit_block(SevQuery *q, const SevRecordBlock *r, Error **errp)
{
    SevQueryBlock block = { .length = r->length };

    if (q->blocks->len == SEV_RECORD_BLOCKS_MAX) {
        error_setg(errp, "it has more than %d blocks of RAM",
                   SEV_RECORD_BLOCKS_MAX);
        return false;
    }
    block.name = span_text(r->name);
    g_array_append_val(q->blocks, block);
    return true;
}

bool sev_query_visit(SevQuery *q, const SevRecord *rec, Error **errp)
{
    if (!q->has_manifest && rec->type != SEV_RECORD_MANIFEST) {
        error_setg(errp, "it is a migration stream, not a template");
        return false;
    }
    switch (rec->type) {
    case SEV_RECORD_MANIFEST:
        if (!visit_manifest(q, &rec->u.manifest, errp)) {
            return false;
        }
        q->manifest = g_byte_array_new();
        sev_record_encode(rec, q->manifest);
        return true;
    case SEV_RECORD_SESSION:
        return visit_session(q, rec, errp);
    case SEV_RECORD_BLOCK:
        return visit_block(q, &rec->u.block, errp);
    case SEV_RECORD_LANE:
        return visit_lane(q, &rec->u.lane, errp);
    case SEV_RECORD_IMAGE:
        return sev_query_image(q, &rec->u.image, errp);
    case SEV_RECORD_PAGES:
        return visit_pages(q, &rec->u.pages, errp);
    case SEV_RECORD_HEADERS:
        return visit_headers(q, &rec->u.headers, errp);
    case SEV_RECORD_STATE:
        return visit_state(q, &rec->u.state, errp);
    case SEV_RECORD_VMSA:
        return visit_vmsa(q, &rec->u.vmsa, errp);
    case SEV_RECORD_SHARED:
        return visit_shared(q, &rec->u.shared, errp);
    case SEV_RECORD_END:
        q->has_end = true;
        return true;
    default:
        return true;
    }
}
