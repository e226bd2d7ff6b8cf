/*
 * The records, both ends side by side, and the table of them.
 *
 * Format: docs/interop/sev-record.md
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "record-fields.h"

static void encode_hello(const SevRecord *rec, GByteArray *out)
{
    const SevRecordHello *r = &rec->u.hello;

    sev_put_u64(out, r->policy);
    sev_put_u64(out, r->api_major);
    sev_put_u64(out, r->api_minor);
    sev_put_u64(out, r->build);
    sev_put_blob(out, r->fingerprint);
    if (r->handover != SEV_HANDOVER_NONE) {
        sev_put_u64(out, r->handover);
    }
}

/* One of before there was a hand-over ends here. */
static bool decode_handover(SevCursor *c, uint64_t *handover, Error **errp)
{
    if (!c->left) {
        *handover = SEV_HANDOVER_NONE;
        return true;
    }
    if (!sev_cursor_u64(c, "hand-over", handover, errp)) {
        return false;
    }
    if (*handover == SEV_HANDOVER_NONE) {
        error_setg(errp, "SEV stream: HELLO record: field hand-over is 0");
        return false;
    }
    return true;
}

static bool decode_hello(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordHello *r = &rec->u.hello;

    return sev_cursor_u64(c, "policy", &r->policy, errp) &&
           sev_cursor_u64(c, "api-major", &r->api_major, errp) &&
           sev_cursor_u64(c, "api-minor", &r->api_minor, errp) &&
           sev_cursor_u64(c, "build", &r->build, errp) &&
           sev_cursor_text(c, "fingerprint", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->fingerprint, errp) &&
           decode_handover(c, &r->handover, errp);
}

static void encode_certs(const SevRecord *rec, GByteArray *out)
{
    const SevRecordCerts *r = &rec->u.certs;

    sev_put_blob(out, r->pdh);
    sev_put_blob(out, r->plat);
    sev_put_blob(out, r->amd);
}

static bool decode_certs(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordCerts *r = &rec->u.certs;

    return sev_cursor_blob(c, "pdh", 1, SEV_RECORD_PDH_MAX, &r->pdh, errp) &&
           sev_cursor_blob(c, "plat", 1, SEV_RECORD_PLAT_MAX, &r->plat, errp) &&
           sev_cursor_blob(c, "amd", 0, SEV_RECORD_AMD_MAX, &r->amd, errp);
}

static void encode_manifest(const SevRecord *rec, GByteArray *out)
{
    const SevRecordManifest *r = &rec->u.manifest;

    sev_put_u64(out, r->layout);
    sev_put_u64(out, r->policy);
    sev_put_u64(out, r->api_major);
    sev_put_u64(out, r->api_minor);
    sev_put_u64(out, r->build);
    sev_put_u64(out, r->page_size);
    sev_put_u64(out, r->blocks);
    sev_put_u64(out, r->ram_bytes);
    sev_put_blob(out, r->fingerprint);
    sev_put_blob(out, r->measurement);
    sev_put_blob(out, r->machine);
    sev_put_u64(out, r->method);
    sev_put_u64(out, r->vcpus);
    sev_put_blob(out, r->cpu);
    sev_put_blob(out, r->chip);
    sev_put_blob(out, r->ram_layout);
}

static bool decode_manifest(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordManifest *r = &rec->u.manifest;

    return sev_cursor_u64(c, "layout", &r->layout, errp) &&
           sev_cursor_u64(c, "policy", &r->policy, errp) &&
           sev_cursor_u64(c, "api-major", &r->api_major, errp) &&
           sev_cursor_u64(c, "api-minor", &r->api_minor, errp) &&
           sev_cursor_u64(c, "build", &r->build, errp) &&
           sev_cursor_u64(c, "page-size", &r->page_size, errp) &&
           sev_cursor_u64(c, "blocks", &r->blocks, errp) &&
           sev_cursor_u64(c, "ram-bytes", &r->ram_bytes, errp) &&
           sev_cursor_text(c, "fingerprint", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->fingerprint, errp) &&
           sev_cursor_text(c, "measurement", 0, SEV_RECORD_TEXT_MAX,
                       &r->measurement, errp) &&
           sev_cursor_text(c, "machine", 1, SEV_RECORD_TEXT_MAX, &r->machine,
                       errp) &&
           sev_cursor_u64(c, "method", &r->method, errp) &&
           sev_cursor_u64(c, "vcpus", &r->vcpus, errp) &&
           sev_cursor_text(c, "cpu", 1, SEV_RECORD_TEXT_MAX, &r->cpu, errp) &&
           sev_cursor_text(c, "chip", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->chip, errp) &&
           sev_cursor_text(c, "ram-layout", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->ram_layout, errp);
}

static void encode_session(const SevRecord *rec, GByteArray *out)
{
    const SevRecordSession *r = &rec->u.session;

    sev_put_u64(out, r->policy);
    sev_put_u64(out, r->handle);
    sev_put_u64(out, r->api_major);
    sev_put_u64(out, r->api_minor);
    sev_put_u64(out, r->build);
    sev_put_blob(out, r->measurement);
    sev_put_blob(out, r->target);
    sev_put_blob(out, r->pdh);
    sev_put_blob(out, r->session);
}

static bool decode_session(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordSession *r = &rec->u.session;

    return sev_cursor_u64(c, "policy", &r->policy, errp) &&
           sev_cursor_u64(c, "handle", &r->handle, errp) &&
           sev_cursor_u64(c, "api-major", &r->api_major, errp) &&
           sev_cursor_u64(c, "api-minor", &r->api_minor, errp) &&
           sev_cursor_u64(c, "build", &r->build, errp) &&
           sev_cursor_text(c, "measurement", 0, SEV_RECORD_TEXT_MAX,
                       &r->measurement, errp) &&
           sev_cursor_text(c, "target", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->target, errp) &&
           sev_cursor_blob(c, "pdh", 1, SEV_RECORD_PDH_MAX, &r->pdh, errp) &&
           sev_cursor_blob(c, "session", SEV_RECORD_SESSION_LEN,
                       SEV_RECORD_SESSION_LEN, &r->session, errp);
}

static void encode_block(const SevRecord *rec, GByteArray *out)
{
    const SevRecordBlock *r = &rec->u.block;

    sev_put_u64(out, r->number);
    sev_put_u64(out, r->length);
    sev_put_blob(out, r->name);
}

static bool decode_block(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordBlock *r = &rec->u.block;

    return sev_cursor_u64(c, "number", &r->number, errp) &&
           sev_cursor_u64(c, "length", &r->length, errp) &&
           sev_cursor_text(c, "name", 1, SEV_RECORD_TEXT_MAX, &r->name, errp);
}

static void encode_pages(const SevRecord *rec, GByteArray *out)
{
    const SevRecordPages *r = &rec->u.pages;

    sev_put_u64(out, r->block);
    sev_put_u64(out, r->count);
    g_byte_array_append(out, r->pages.data, r->pages.len);
}

static bool decode_pages(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordPages *r = &rec->u.pages;

    return sev_cursor_u64(c, "block", &r->block, errp) &&
           sev_cursor_u64(c, "count", &r->count, errp) &&
           sev_cursor_array(c, "pages", r->count, SEV_RECORD_PAGES_MAX,
                        SEV_RECORD_PAGE_LEN, &r->pages, errp);
}

static void encode_state(const SevRecord *rec, GByteArray *out)
{
    const SevRecordState *r = &rec->u.state;

    sev_put_u64(out, r->block);
    sev_put_u64(out, r->offset);
    sev_put_u64(out, r->length);
    sev_put_u64(out, r->count);
    g_byte_array_append(out, r->runs.data, r->runs.len);
}

static bool decode_state(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordState *r = &rec->u.state;

    return sev_cursor_u64(c, "block", &r->block, errp) &&
           sev_cursor_u64(c, "offset", &r->offset, errp) &&
           sev_cursor_u64(c, "length", &r->length, errp) &&
           sev_cursor_u64(c, "count", &r->count, errp) &&
           sev_cursor_array(c, "runs", r->count, SEV_RECORD_RUNS_MAX,
                        SEV_RECORD_RUN_LEN, &r->runs, errp);
}

static void encode_image(const SevRecord *rec, GByteArray *out)
{
    const SevRecordImage *r = &rec->u.image;

    sev_put_u64(out, r->block);
    sev_put_u64(out, r->method);
    sev_put_u64(out, r->layout);
    sev_put_u64(out, r->pages);
    sev_put_u64(out, r->headers);
}

static bool decode_image(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordImage *r = &rec->u.image;

    return sev_cursor_u64(c, "block", &r->block, errp) &&
           sev_cursor_u64(c, "method", &r->method, errp) &&
           sev_cursor_u64(c, "layout", &r->layout, errp) &&
           sev_cursor_u64(c, "pages", &r->pages, errp) &&
           sev_cursor_u64(c, "headers", &r->headers, errp);
}

static void encode_headers(const SevRecord *rec, GByteArray *out)
{
    const SevRecordHeaders *r = &rec->u.headers;

    sev_put_u64(out, r->block);
    sev_put_u64(out, r->offset);
    sev_put_u64(out, r->count);
    g_byte_array_append(out, r->headers.data, r->headers.len);
}

static bool decode_headers(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordHeaders *r = &rec->u.headers;

    return sev_cursor_u64(c, "block", &r->block, errp) &&
           sev_cursor_u64(c, "offset", &r->offset, errp) &&
           sev_cursor_u64(c, "count", &r->count, errp) &&
           sev_cursor_array(c, "headers", r->count, SEV_RECORD_HEADERS_MAX,
                        SEV_RECORD_PACKET_HDR, &r->headers, errp);
}

static void encode_digest(const SevRecord *rec, GByteArray *out)
{
    sev_put_blob(out, rec->u.digest.digest);
}

static bool decode_digest(SevRecord *rec, SevCursor *c, Error **errp)
{
    return sev_cursor_blob(c, "digest", SEV_RECORD_DIGEST_LEN,
                       SEV_RECORD_DIGEST_LEN, &rec->u.digest.digest, errp);
}

static void encode_shared(const SevRecord *rec, GByteArray *out)
{
    sev_put_u64(out, rec->u.shared.pages);
    sev_put_u64(out, rec->u.shared.sum);
}

static bool decode_shared(SevRecord *rec, SevCursor *c, Error **errp)
{
    return sev_cursor_u64(c, "pages", &rec->u.shared.pages, errp) &&
           sev_cursor_u64(c, "sum", &rec->u.shared.sum, errp);
}

static void encode_ack(const SevRecord *rec, GByteArray *out)
{
    sev_put_blob(out, rec->u.ack.digest);
    sev_put_u64(out, rec->u.ack.status);
    sev_put_blob(out, rec->u.ack.report);
}

static bool decode_ack(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordAck *r = &rec->u.ack;

    return sev_cursor_blob(c, "digest", SEV_RECORD_DIGEST_LEN,
                       SEV_RECORD_DIGEST_LEN, &r->digest, errp) &&
           sev_cursor_u64(c, "status", &r->status, errp) &&
           sev_cursor_blob(c, "report", c->left > 8 ? SEV_RECORD_REPORT_LEN : 0,
                       SEV_RECORD_REPORT_LEN, &r->report, errp);
}

static void encode_lane(const SevRecord *rec, GByteArray *out)
{
    const SevRecordLane *r = &rec->u.lane;

    sev_put_blob(out, r->program);
    sev_put_u64(out, r->count);
    g_byte_array_append(out, r->packets.data, r->packets.len);
}

static bool decode_lane(SevRecord *rec, SevCursor *c, Error **errp)
{
    SevRecordLane *r = &rec->u.lane;

    return sev_cursor_blob(c, "program", SEV_RECORD_DIGEST_LEN,
                       SEV_RECORD_DIGEST_LEN, &r->program, errp) &&
           sev_cursor_u64(c, "count", &r->count, errp) &&
           sev_cursor_array(c, "packets", r->count, SEV_RECORD_LANE_MAX,
                        SEV_RECORD_PAGE_LEN, &r->packets, errp);
}

static void encode_sealed(const SevRecord *rec, GByteArray *out)
{
    g_byte_array_append(out, rec->u.sealed.packet.data,
                        rec->u.sealed.packet.len);
}

static bool decode_sealed(SevRecord *rec, SevCursor *c, Error **errp)
{
    return sev_cursor_array(c, "packet", 1, 1, SEV_RECORD_PACKET_LEN,
                            &rec->u.sealed.packet, errp);
}

/* BREAK and GO */
static void encode_break(const SevRecord *rec, GByteArray *out)
{
}

static bool decode_break(SevRecord *rec, SevCursor *c, Error **errp)
{
    return true;
}

static void encode_end(const SevRecord *rec, GByteArray *out)
{
    sev_put_u64(out, rec->u.end.packets);
    sev_put_u64(out, rec->u.end.private_pages);
}

static bool decode_end(SevRecord *rec, SevCursor *c, Error **errp)
{
    return sev_cursor_u64(c, "packets", &rec->u.end.packets, errp) &&
           sev_cursor_u64(c, "private-pages", &rec->u.end.private_pages, errp);
}

/* --- The table: name, payload limits, both directions ------------------- */

#define BLOB(n) (8 + (n))
#define FINGERPRINT BLOB(SEV_RECORD_FINGERPRINT_LEN)
#define TEXT_MAX BLOB(SEV_RECORD_TEXT_MAX)

const SevRecordRow sev_record_rows[SEV_RECORD__MAX] = {
    [SEV_RECORD_HELLO] = {
        "HELLO", 32 + FINGERPRINT, 40 + FINGERPRINT,
        encode_hello, decode_hello,
    },
    [SEV_RECORD_CERTS] = {
        "CERTS", BLOB(1) + BLOB(1) + BLOB(0),
        BLOB(SEV_RECORD_PDH_MAX) + BLOB(SEV_RECORD_PLAT_MAX) +
        BLOB(SEV_RECORD_AMD_MAX),
        encode_certs, decode_certs,
    },
    [SEV_RECORD_MANIFEST] = {
        "MANIFEST", 80 + 3 * FINGERPRINT + BLOB(0) + BLOB(1) + BLOB(1),
        SEV_RECORD_MANIFEST_MAX - SEV_RECORD_HEADER_LEN,
        encode_manifest, decode_manifest,
    },
    [SEV_RECORD_SESSION] = {
        "SESSION",
        40 + BLOB(0) + FINGERPRINT + BLOB(1) + BLOB(SEV_RECORD_SESSION_LEN),
        40 + TEXT_MAX + FINGERPRINT + BLOB(SEV_RECORD_PDH_MAX) +
        BLOB(SEV_RECORD_SESSION_LEN),
        encode_session, decode_session,
    },
    [SEV_RECORD_BLOCK] = {
        "BLOCK", 16 + BLOB(1), 16 + TEXT_MAX, encode_block, decode_block,
    },
    [SEV_RECORD_PAGES] = {
        "PAGES", 16, SEV_RECORD_PAYLOAD_MAX, encode_pages, decode_pages,
    },
    [SEV_RECORD_STATE] = {
        "STATE", 32, 32 + SEV_RECORD_RUNS_MAX * SEV_RECORD_RUN_LEN,
        encode_state, decode_state,
    },
    [SEV_RECORD_BREAK] = { "BREAK", 0, 0, encode_break, decode_break },
    [SEV_RECORD_END] = { "END", 16, 16, encode_end, decode_end },
    [SEV_RECORD_IMAGE] = { "IMAGE", 40, 40, encode_image, decode_image },
    [SEV_RECORD_HEADERS] = {
        "HEADERS", 24,
        24 + SEV_RECORD_HEADERS_MAX * SEV_RECORD_PACKET_HDR,
        encode_headers, decode_headers,
    },
    [SEV_RECORD_DIGEST] = {
        "DIGEST", BLOB(SEV_RECORD_DIGEST_LEN), BLOB(SEV_RECORD_DIGEST_LEN),
        encode_digest, decode_digest,
    },
    [SEV_RECORD_SHARED] = { "SHARED", 16, 16, encode_shared, decode_shared },
    [SEV_RECORD_ACK] = {
        "ACK", BLOB(SEV_RECORD_DIGEST_LEN) + 8 + BLOB(0),
        BLOB(SEV_RECORD_DIGEST_LEN) + 8 + BLOB(SEV_RECORD_REPORT_LEN),
        encode_ack, decode_ack,
    },
    [SEV_RECORD_LANE] = {
        "LANE", BLOB(SEV_RECORD_DIGEST_LEN) + 8,
        BLOB(SEV_RECORD_DIGEST_LEN) + 8 +
        SEV_RECORD_LANE_MAX * SEV_RECORD_PAGE_LEN,
        encode_lane, decode_lane,
    },
    [SEV_RECORD_SEALED] = {
        "SEALED", SEV_RECORD_PACKET_LEN, SEV_RECORD_PACKET_LEN,
        encode_sealed, decode_sealed,
    },
    [SEV_RECORD_GO] = { "GO", 0, 0, encode_break, decode_break },
};

/* The return path has 16 bits for a length. */
QEMU_BUILD_BUG_ON(SEV_RECORD_HEADER_LEN + BLOB(SEV_RECORD_PDH_MAX) +
                  BLOB(SEV_RECORD_PLAT_MAX) + BLOB(SEV_RECORD_AMD_MAX) >
                  UINT16_MAX);
QEMU_BUILD_BUG_ON(32 + SEV_RECORD_RUNS_MAX * SEV_RECORD_RUN_LEN >
                  SEV_RECORD_PAYLOAD_MAX);
QEMU_BUILD_BUG_ON(24 + SEV_RECORD_HEADERS_MAX * SEV_RECORD_PACKET_HDR >
                  SEV_RECORD_PAYLOAD_MAX);
