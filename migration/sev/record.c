/*
 * Records: encode and decode.
 *
 * Format: docs/interop/sev-record.md
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "record.h"

/* --- Cursor: the only code that moves through bytes -------------------- */

typedef struct Cursor {
    const uint8_t *at;
    size_t left;
    const char *record;                 /* for the error */
} Cursor;

static const uint8_t *cursor_bytes(Cursor *c, const char *field, size_t len,
                                   Error **errp)
{
    const uint8_t *at = c->at;

    if (c->left < len) {
        error_setg(errp, "SEV stream: %s record: field %s needs %zu bytes, "
                   "%zu are left", c->record, field, len, c->left);
        return NULL;
    }
    c->at += len;
    c->left -= len;
    return at;
}

static bool cursor_u64(Cursor *c, const char *field, uint64_t *val,
                       Error **errp)
{
    const uint8_t *at = cursor_bytes(c, field, 8, errp);

    if (!at) {
        return false;
    }
    *val = ldq_be_p(at);
    return true;
}

static bool cursor_blob(Cursor *c, const char *field, size_t min, size_t max,
                        SevSpan *span, Error **errp)
{
    uint64_t len;

    if (!cursor_u64(c, field, &len, errp)) {
        return false;
    }
    if (len < min || len > max) {
        error_setg(errp, "SEV stream: %s record: field %s has %" PRIu64
                   " bytes, not %zu to %zu", c->record, field, len, min, max);
        return false;
    }
    span->len = len;
    span->data = cursor_bytes(c, field, len, errp);
    return span->data;
}

/* Names and fingerprints end up in messages: printable ASCII or nothing. */
static bool cursor_text(Cursor *c, const char *field, size_t min, size_t max,
                        SevSpan *span, Error **errp)
{
    if (!cursor_blob(c, field, min, max, span, errp)) {
        return false;
    }
    for (size_t i = 0; i < span->len; i++) {
        if (!g_ascii_isprint(span->data[i])) {
            error_setg(errp, "SEV stream: %s record: field %s has byte 0x%02x "
                       "at %zu, not printable", c->record, field,
                       span->data[i], i);
            return false;
        }
    }
    return true;
}

/* @count entries of @size bytes, and nothing after them. */
static bool cursor_array(Cursor *c, const char *field, uint64_t count,
                         size_t max, size_t size, SevSpan *span, Error **errp)
{
    if (count > max) {
        error_setg(errp, "SEV stream: %s record: %" PRIu64 " %s, "
                   "the limit is %zu", c->record, count, field, max);
        return false;
    }
    span->len = count * size;
    span->data = cursor_bytes(c, field, span->len, errp);
    return span->data;
}

static void put_u64(GByteArray *out, uint64_t val)
{
    uint64_t be = cpu_to_be64(val);

    g_byte_array_append(out, (const uint8_t *)&be, sizeof(be));
}

static void put_blob(GByteArray *out, SevSpan span)
{
    put_u64(out, span.len);
    g_byte_array_append(out, span.data, span.len);
}

/* --- The records, both ends side by side -------------------------------- */

static void encode_hello(const SevRecord *rec, GByteArray *out)
{
    const SevRecordHello *r = &rec->u.hello;

    put_u64(out, r->policy);
    put_u64(out, r->api_major);
    put_u64(out, r->api_minor);
    put_u64(out, r->build);
    put_blob(out, r->fingerprint);
}

static bool decode_hello(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordHello *r = &rec->u.hello;

    return cursor_u64(c, "policy", &r->policy, errp) &&
           cursor_u64(c, "api-major", &r->api_major, errp) &&
           cursor_u64(c, "api-minor", &r->api_minor, errp) &&
           cursor_u64(c, "build", &r->build, errp) &&
           cursor_text(c, "fingerprint", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->fingerprint, errp);
}

static void encode_certs(const SevRecord *rec, GByteArray *out)
{
    const SevRecordCerts *r = &rec->u.certs;

    put_blob(out, r->pdh);
    put_blob(out, r->plat);
    put_blob(out, r->amd);
}

static bool decode_certs(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordCerts *r = &rec->u.certs;

    return cursor_blob(c, "pdh", 1, SEV_RECORD_PDH_MAX, &r->pdh, errp) &&
           cursor_blob(c, "plat", 1, SEV_RECORD_PLAT_MAX, &r->plat, errp) &&
           cursor_blob(c, "amd", 0, SEV_RECORD_AMD_MAX, &r->amd, errp);
}

static void encode_manifest(const SevRecord *rec, GByteArray *out)
{
    const SevRecordManifest *r = &rec->u.manifest;

    put_u64(out, r->layout);
    put_u64(out, r->policy);
    put_u64(out, r->api_major);
    put_u64(out, r->api_minor);
    put_u64(out, r->build);
    put_u64(out, r->page_size);
    put_u64(out, r->blocks);
    put_u64(out, r->ram_bytes);
    put_blob(out, r->fingerprint);
    put_blob(out, r->measurement);
    put_blob(out, r->machine);
    put_u64(out, r->method);
    put_u64(out, r->vcpus);
    put_blob(out, r->cpu);
    put_blob(out, r->chip);
    put_blob(out, r->ram_layout);
}

static bool decode_manifest(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordManifest *r = &rec->u.manifest;

    return cursor_u64(c, "layout", &r->layout, errp) &&
           cursor_u64(c, "policy", &r->policy, errp) &&
           cursor_u64(c, "api-major", &r->api_major, errp) &&
           cursor_u64(c, "api-minor", &r->api_minor, errp) &&
           cursor_u64(c, "build", &r->build, errp) &&
           cursor_u64(c, "page-size", &r->page_size, errp) &&
           cursor_u64(c, "blocks", &r->blocks, errp) &&
           cursor_u64(c, "ram-bytes", &r->ram_bytes, errp) &&
           cursor_text(c, "fingerprint", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->fingerprint, errp) &&
           cursor_text(c, "measurement", 0, SEV_RECORD_TEXT_MAX,
                       &r->measurement, errp) &&
           cursor_text(c, "machine", 1, SEV_RECORD_TEXT_MAX, &r->machine,
                       errp) &&
           cursor_u64(c, "method", &r->method, errp) &&
           cursor_u64(c, "vcpus", &r->vcpus, errp) &&
           cursor_text(c, "cpu", 1, SEV_RECORD_TEXT_MAX, &r->cpu, errp) &&
           cursor_text(c, "chip", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->chip, errp) &&
           cursor_text(c, "ram-layout", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->ram_layout, errp);
}

static void encode_session(const SevRecord *rec, GByteArray *out)
{
    const SevRecordSession *r = &rec->u.session;

    put_u64(out, r->policy);
    put_u64(out, r->handle);
    put_u64(out, r->api_major);
    put_u64(out, r->api_minor);
    put_u64(out, r->build);
    put_blob(out, r->measurement);
    put_blob(out, r->target);
    put_blob(out, r->pdh);
    put_blob(out, r->session);
}

static bool decode_session(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordSession *r = &rec->u.session;

    return cursor_u64(c, "policy", &r->policy, errp) &&
           cursor_u64(c, "handle", &r->handle, errp) &&
           cursor_u64(c, "api-major", &r->api_major, errp) &&
           cursor_u64(c, "api-minor", &r->api_minor, errp) &&
           cursor_u64(c, "build", &r->build, errp) &&
           cursor_text(c, "measurement", 0, SEV_RECORD_TEXT_MAX,
                       &r->measurement, errp) &&
           cursor_text(c, "target", SEV_RECORD_FINGERPRINT_LEN,
                       SEV_RECORD_FINGERPRINT_LEN, &r->target, errp) &&
           cursor_blob(c, "pdh", 1, SEV_RECORD_PDH_MAX, &r->pdh, errp) &&
           cursor_blob(c, "session", SEV_RECORD_SESSION_LEN,
                       SEV_RECORD_SESSION_LEN, &r->session, errp);
}

static void encode_block(const SevRecord *rec, GByteArray *out)
{
    const SevRecordBlock *r = &rec->u.block;

    put_u64(out, r->number);
    put_u64(out, r->length);
    put_blob(out, r->name);
}

static bool decode_block(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordBlock *r = &rec->u.block;

    return cursor_u64(c, "number", &r->number, errp) &&
           cursor_u64(c, "length", &r->length, errp) &&
           cursor_text(c, "name", 1, SEV_RECORD_TEXT_MAX, &r->name, errp);
}

static void encode_pages(const SevRecord *rec, GByteArray *out)
{
    const SevRecordPages *r = &rec->u.pages;

    put_u64(out, r->block);
    put_u64(out, r->count);
    g_byte_array_append(out, r->pages.data, r->pages.len);
}

static bool decode_pages(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordPages *r = &rec->u.pages;

    return cursor_u64(c, "block", &r->block, errp) &&
           cursor_u64(c, "count", &r->count, errp) &&
           cursor_array(c, "pages", r->count, SEV_RECORD_PAGES_MAX,
                        SEV_RECORD_PAGE_LEN, &r->pages, errp);
}

static void encode_state(const SevRecord *rec, GByteArray *out)
{
    const SevRecordState *r = &rec->u.state;

    put_u64(out, r->block);
    put_u64(out, r->offset);
    put_u64(out, r->length);
    put_u64(out, r->count);
    g_byte_array_append(out, r->runs.data, r->runs.len);
}

static bool decode_state(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordState *r = &rec->u.state;

    return cursor_u64(c, "block", &r->block, errp) &&
           cursor_u64(c, "offset", &r->offset, errp) &&
           cursor_u64(c, "length", &r->length, errp) &&
           cursor_u64(c, "count", &r->count, errp) &&
           cursor_array(c, "runs", r->count, SEV_RECORD_RUNS_MAX,
                        SEV_RECORD_RUN_LEN, &r->runs, errp);
}

static void encode_image(const SevRecord *rec, GByteArray *out)
{
    const SevRecordImage *r = &rec->u.image;

    put_u64(out, r->block);
    put_u64(out, r->method);
    put_u64(out, r->layout);
    put_u64(out, r->pages);
    put_u64(out, r->headers);
}

static bool decode_image(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordImage *r = &rec->u.image;

    return cursor_u64(c, "block", &r->block, errp) &&
           cursor_u64(c, "method", &r->method, errp) &&
           cursor_u64(c, "layout", &r->layout, errp) &&
           cursor_u64(c, "pages", &r->pages, errp) &&
           cursor_u64(c, "headers", &r->headers, errp);
}

static void encode_headers(const SevRecord *rec, GByteArray *out)
{
    const SevRecordHeaders *r = &rec->u.headers;

    put_u64(out, r->block);
    put_u64(out, r->offset);
    put_u64(out, r->count);
    g_byte_array_append(out, r->headers.data, r->headers.len);
}

static bool decode_headers(SevRecord *rec, Cursor *c, Error **errp)
{
    SevRecordHeaders *r = &rec->u.headers;

    return cursor_u64(c, "block", &r->block, errp) &&
           cursor_u64(c, "offset", &r->offset, errp) &&
           cursor_u64(c, "count", &r->count, errp) &&
           cursor_array(c, "headers", r->count, SEV_RECORD_HEADERS_MAX,
                        SEV_RECORD_PACKET_HDR, &r->headers, errp);
}

static void encode_digest(const SevRecord *rec, GByteArray *out)
{
    put_blob(out, rec->u.digest.digest);
}

static bool decode_digest(SevRecord *rec, Cursor *c, Error **errp)
{
    return cursor_blob(c, "digest", SEV_RECORD_DIGEST_LEN,
                       SEV_RECORD_DIGEST_LEN, &rec->u.digest.digest, errp);
}

static void encode_break(const SevRecord *rec, GByteArray *out)
{
}

static bool decode_break(SevRecord *rec, Cursor *c, Error **errp)
{
    return true;
}

static void encode_end(const SevRecord *rec, GByteArray *out)
{
    put_u64(out, rec->u.end.packets);
    put_u64(out, rec->u.end.private_pages);
}

static bool decode_end(SevRecord *rec, Cursor *c, Error **errp)
{
    return cursor_u64(c, "packets", &rec->u.end.packets, errp) &&
           cursor_u64(c, "private-pages", &rec->u.end.private_pages, errp);
}

/* --- The table: name, payload limits, both directions ------------------- */

typedef struct SevRecordRow {
    const char *name;
    size_t min, max;                    /* payload */
    void (*encode)(const SevRecord *rec, GByteArray *out);
    bool (*decode)(SevRecord *rec, Cursor *c, Error **errp);
} SevRecordRow;

#define BLOB(n) (8 + (n))
#define FINGERPRINT BLOB(SEV_RECORD_FINGERPRINT_LEN)
#define TEXT_MAX BLOB(SEV_RECORD_TEXT_MAX)

static const SevRecordRow rows[SEV_RECORD__MAX] = {
    [SEV_RECORD_HELLO] = {
        "HELLO", 32 + FINGERPRINT, 32 + FINGERPRINT,
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
};

/* The return path has 16 bits for a length. */
QEMU_BUILD_BUG_ON(SEV_RECORD_HEADER_LEN + BLOB(SEV_RECORD_PDH_MAX) +
                  BLOB(SEV_RECORD_PLAT_MAX) + BLOB(SEV_RECORD_AMD_MAX) >
                  UINT16_MAX);
QEMU_BUILD_BUG_ON(32 + SEV_RECORD_RUNS_MAX * SEV_RECORD_RUN_LEN >
                  SEV_RECORD_PAYLOAD_MAX);
QEMU_BUILD_BUG_ON(24 + SEV_RECORD_HEADERS_MAX * SEV_RECORD_PACKET_HDR >
                  SEV_RECORD_PAYLOAD_MAX);

const char *sev_record_name(SevRecordType type)
{
    return (unsigned)type < SEV_RECORD__MAX && rows[type].name
           ? rows[type].name : "unknown";
}

bool sev_span_is(SevSpan span, const char *text)
{
    return span.len == strlen(text) &&
           !strncmp((const char *)span.data, text, span.len);
}

bool sev_span_is_bytes(SevSpan span, const void *bytes, size_t len)
{
    return span.len == len && !memcmp(span.data, bytes, len);
}

static void encode_header(uint8_t *buf, SevRecordType type, uint64_t len)
{
    stl_be_p(buf, SEV_RECORD_MAGIC);
    stw_be_p(buf + 4, SEV_RECORD_VERSION);
    stw_be_p(buf + 6, type);
    stq_be_p(buf + 8, len);
}

void sev_record_encode(const SevRecord *rec, GByteArray *out)
{
    const SevRecordRow *row = &rows[rec->type];
    size_t start = out->len, len;

    g_byte_array_set_size(out, start + SEV_RECORD_HEADER_LEN);
    row->encode(rec, out);
    len = out->len - start - SEV_RECORD_HEADER_LEN;
    assert(len >= row->min && len <= row->max);
    encode_header(out->data + start, rec->type, len);
}

bool sev_record_decode_header(const uint8_t *buf, SevRecordType *type,
                              size_t *payload_len, Error **errp)
{
    uint32_t magic = ldl_be_p(buf);
    uint16_t version = lduw_be_p(buf + 4);
    uint16_t number = lduw_be_p(buf + 6);
    uint64_t len = ldq_be_p(buf + 8);
    const SevRecordRow *row;

    if (magic != SEV_RECORD_MAGIC) {
        error_setg(errp, "SEV stream: a record starts with 0x%08x, not 0x%08x",
                   magic, SEV_RECORD_MAGIC);
        return false;
    }
    if (version != SEV_RECORD_VERSION) {
        error_setg(errp, "SEV stream: format version %u, this QEMU reads %u",
                   version, SEV_RECORD_VERSION);
        return false;
    }
    if (number >= SEV_RECORD__MAX || !rows[number].name) {
        error_setg(errp, "SEV stream: record type %u is unknown", number);
        return false;
    }
    row = &rows[number];
    if (len < row->min || len > row->max) {
        error_setg(errp, "SEV stream: %s record of %" PRIu64 " bytes, "
                   "not %zu to %zu", row->name, len, row->min, row->max);
        return false;
    }
    *type = number;
    *payload_len = len;
    return true;
}

bool sev_record_decode(SevRecord *rec, const uint8_t *buf, size_t len,
                       Error **errp)
{
    size_t payload_len;
    Cursor c;

    if (len < SEV_RECORD_HEADER_LEN) {
        error_setg(errp, "SEV stream: a record header of %zu bytes, not %d",
                   len, SEV_RECORD_HEADER_LEN);
        return false;
    }
    memset(rec, 0, sizeof(*rec));
    if (!sev_record_decode_header(buf, &rec->type, &payload_len, errp)) {
        return false;
    }
    if (payload_len != len - SEV_RECORD_HEADER_LEN) {
        error_setg(errp, "SEV stream: %s record announces %zu bytes, "
                   "%zu are there", sev_record_name(rec->type), payload_len,
                   len - SEV_RECORD_HEADER_LEN);
        return false;
    }
    c = (Cursor) {
        .at = buf + SEV_RECORD_HEADER_LEN,
        .left = payload_len,
        .record = sev_record_name(rec->type),
    };
    if (!rows[rec->type].decode(rec, &c, errp)) {
        return false;
    }
    if (c.left) {
        error_setg(errp, "SEV stream: %s record has %zu bytes too many",
                   c.record, c.left);
        return false;
    }
    return true;
}

/* --- Entries of PAGES and STATE ----------------------------------------- */

const uint8_t *sev_record_page(const SevRecordPages *pages, size_t i,
                               uint64_t *offset)
{
    const uint8_t *at = pages->pages.data + i * SEV_RECORD_PAGE_LEN;

    assert(i < pages->count);
    *offset = ldq_be_p(at);
    return at + 8;
}

void sev_record_run(const SevRecordState *state, size_t i,
                    uint64_t *offset, uint64_t *length)
{
    const uint8_t *at = state->runs.data + i * SEV_RECORD_RUN_LEN;

    assert(i < state->count);
    *offset = ldq_be_p(at);
    *length = ldq_be_p(at + 8);
}

static uint8_t *pages_entry(uint8_t *buf, size_t i)
{
    assert(i < SEV_RECORD_PAGES_MAX);
    return buf + SEV_RECORD_HEADER_LEN + 16 + i * SEV_RECORD_PAGE_LEN;
}

uint8_t *sev_pages_packet(uint8_t *buf, size_t i)
{
    return pages_entry(buf, i) + 8;
}

void sev_pages_set_offset(uint8_t *buf, size_t i, uint64_t offset)
{
    stq_be_p(pages_entry(buf, i), offset);
}

size_t sev_pages_end(uint8_t *buf, uint64_t block, size_t count)
{
    size_t len = 16 + count * SEV_RECORD_PAGE_LEN;

    assert(count <= SEV_RECORD_PAGES_MAX);
    encode_header(buf, SEV_RECORD_PAGES, len);
    stq_be_p(buf + SEV_RECORD_HEADER_LEN, block);
    stq_be_p(buf + SEV_RECORD_HEADER_LEN + 8, count);
    return SEV_RECORD_HEADER_LEN + len;
}

void sev_runs_append(GByteArray *runs, uint64_t offset, uint64_t length)
{
    put_u64(runs, offset);
    put_u64(runs, length);
}
