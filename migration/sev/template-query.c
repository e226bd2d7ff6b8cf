/*
 * query-sev-template: what lies in a template, without a guest.
 *
 * Walks the file from record to record, whatever QEMU has put between them,
 * as scripts/analyze-sev-stream.py does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "crypto/hash.h"
#include "qapi/qapi-commands-sev-overlay.h"
#include "pages.h"
#include "session.h"
#include "tap.h"
#include "template-file.h"
#include "trace.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

/* Before the digest: length of a name, name, instance 0, version 1. */
static const char end_section[] = "\x10sev-template-end\0\0\0\0\0\0\0\1";
#define END_LEN (sizeof(end_section) - 1)

enum {
    SETTLE_EACH = 1 * MiB,      /* how often what was walked over is given back */
    TAIL_MAX = 4 * MiB,         /* the end section, and upstream's description */
};

typedef struct QueryBlock {
    uint64_t length, layout, pages, headers;
    char *name;
} QueryBlock;

typedef struct Query {
    SevTemplateInfo *info;
    SevTemplateFile file;
    SevTemplateFile ram;        /* of IN_PLACE, if it is known */
    GArray *blocks;             /* of QueryBlock */
    SevVerifier *verifier;
    QCryptoHash *hash;          /* of the stream up to @hashed */
    size_t hashed;              /* 0 before the first BREAK */
    size_t settled;             /* hashed and given back, as far as possible */
    bool has_manifest, has_session, has_end;
} Query;

static void query_block_clear(void *opaque)
{
    g_free(((QueryBlock *)opaque)->name);
}

static QueryBlock *query_block(Query *q, uint64_t number, Error **errp)
{
    if (number >= q->blocks->len) {
        error_setg(errp, "RAM block number %" PRIu64 ", there are %u", number,
                   q->blocks->len);
        return NULL;
    }
    return &g_array_index(q->blocks, QueryBlock, number);
}

/* --- Packets ------------------------------------------------------------------ */

static bool check_packet(Query *q, QueryBlock *b, uint64_t offset,
                         const uint8_t *hdr, const uint8_t *data, Error **errp)
{
    if (!q->verifier) {
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

static bool range_ok(uint64_t start, uint64_t len, uint64_t size)
{
    return start <= size && len <= size - start;
}

/* The same; its data lies at @at in @file. */
static bool check_page(Query *q, QueryBlock *b, uint64_t offset,
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

/* [@offset, @offset + @length) of a MAPPED block is private. */
static bool check_run(Query *q, QueryBlock *b, uint64_t offset,
                      uint64_t length, Error **errp)
{
    if (!QEMU_IS_ALIGNED(offset | length, PAGE_LEN) ||
        !range_ok(offset, length, b->length)) {
        error_setg(errp, "run 0x%" PRIx64 "+0x%" PRIx64 " is not in block '%s'",
                   offset, length, b->name);
        return false;
    }
    q->info->private_pages += length / PAGE_LEN;
    for (; b->layout == SEV_LAYOUT_MAPPED && length; length -= PAGE_LEN) {
        uint8_t hdr[HDR_LEN] = {};

        if (q->verifier &&
            !sev_template_file_copy(&q->file, b->headers + offset / PAGE_LEN *
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

static bool visit_state(Query *q, const SevRecordState *r, Error **errp)
{
    QueryBlock *b = query_block(q, r->block, errp);
    uint64_t offset, length;

    for (size_t i = 0; b && i < r->count; i++) {
        sev_record_run(r, i, &offset, &length);
        if (!check_run(q, b, offset, length, errp)) {
            return false;
        }
    }
    return b;
}

static bool visit_pages(Query *q, const SevRecordPages *r, Error **errp)
{
    QueryBlock *b = query_block(q, r->block, errp);
    uint64_t offset;

    for (size_t i = 0; b && i < r->count; i++) {
        const uint8_t *packet = sev_record_page(r, i, &offset);

        if (!check_packet(q, b, offset, packet, packet + HDR_LEN, errp)) {
            return false;
        }
    }
    return b;
}

static bool visit_headers(Query *q, const SevRecordHeaders *r, Error **errp)
{
    QueryBlock *b = query_block(q, r->block, errp);
    uint64_t offset = r->offset;

    for (size_t i = 0; b && q->ram.bytes && i < r->count; i++, offset += PAGE_LEN) {
        if (!range_ok(offset, PAGE_LEN, q->ram.len)) {
            error_setg(errp, "page 0x%" PRIx64 " is not in the RAM file",
                       offset);
            return false;
        }
        if (!check_page(q, b, offset, r->headers.data + i * HDR_LEN, &q->ram,
                        offset, errp)) {
            return false;
        }
    }
    return b;
}

/* --- The other records --------------------------------------------------------- */

static char *span_text(SevSpan span)
{
    return g_strndup((const char *)span.data, span.len);
}

static bool visit_manifest(Query *q, const SevRecordManifest *r, Error **errp)
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
    q->has_manifest = true;
    info->layout = r->layout - SEV_LAYOUT_STREAM;
    info->policy = r->policy;
    info->fingerprint = span_text(r->fingerprint);
    info->here = sev_session_is_here(r->fingerprint, r->chip, &why);
    if (why) {
        info->why_not_here = g_strdup(error_get_pretty(why));
        error_free(why);
    }
    info->machine = span_text(r->machine);
    info->measurement = r->measurement.len ? span_text(r->measurement) : NULL;
    info->cpu = span_text(r->cpu);
    info->vcpus = r->vcpus;
    info->ram_bytes = r->ram_bytes;
    return true;
}

static bool visit_session(Query *q, const SevRecordSession *r, Error **errp)
{
    if (q->has_session) {
        error_setg(errp, "there is a second SESSION record");
        return false;
    }
    q->has_session = true;
    return !q->info->has_verified ||
           (q->verifier = sev_verifier_new(r->policy, r->pdh.data, r->pdh.len,
                                           r->session.data, r->session.len,
                                           errp));
}

static bool visit_image(Query *q, const SevRecordImage *r, Error **errp)
{
    QueryBlock *b = query_block(q, r->block, errp);

    if (!b) {
        return false;
    }
    if (r->layout == SEV_LAYOUT_MAPPED &&
        (!range_ok(r->pages, b->length, q->file.len) ||
         !range_ok(r->headers, b->length / PAGE_LEN * HDR_LEN, q->file.len))) {
        error_setg(errp, "the image of block '%s' is cut short", b->name);
        return false;
    }
    b->layout = r->layout;
    b->pages = r->pages;
    b->headers = r->headers;
    return true;
}

static void visit_block(Query *q, const SevRecordBlock *r)
{
    QueryBlock block = { .length = r->length, .name = span_text(r->name) };

    g_array_append_val(q->blocks, block);
}

static bool visit(Query *q, const SevRecord *rec, Error **errp)
{
    if (!q->has_manifest && rec->type != SEV_RECORD_MANIFEST) {
        error_setg(errp, "it is a migration stream, not a template");
        return false;
    }
    switch (rec->type) {
    case SEV_RECORD_MANIFEST:
        return visit_manifest(q, &rec->u.manifest, errp);
    case SEV_RECORD_SESSION:
        return visit_session(q, &rec->u.session, errp);
    case SEV_RECORD_BLOCK:
        visit_block(q, &rec->u.block);
        return true;
    case SEV_RECORD_IMAGE:
        return visit_image(q, &rec->u.image, errp);
    case SEV_RECORD_PAGES:
        return visit_pages(q, &rec->u.pages, errp);
    case SEV_RECORD_HEADERS:
        return visit_headers(q, &rec->u.headers, errp);
    case SEV_RECORD_STATE:
        return visit_state(q, &rec->u.state, errp);
    case SEV_RECORD_END:
        q->has_end = true;
        return true;
    default:
        return true;
    }
}

/* --- The walk ------------------------------------------------------------------ */

/* Behind the image that the first BREAK precedes. */
static size_t behind_image(const Query *q, size_t at)
{
    for (guint i = 0; i < q->blocks->len; i++) {
        const QueryBlock *b = &g_array_index(q->blocks, QueryBlock, i);

        if (b->layout == SEV_LAYOUT_MAPPED) {
            at = MAX(at, ROUND_UP(b->pages + b->length,
                                  SEV_RECORD_IMAGE_ALIGN));
        }
    }
    return MIN(at, q->file.len);
}

/* The length of a whole record at @at, or 0. */
static size_t record_at(Query *q, size_t at)
{
    SevRecordType type;
    size_t payload;

    if (!sev_template_file_need(&q->file, at, SEV_RECORD_HEADER_LEN) ||
        ldl_be_p(q->file.bytes + at) != SEV_RECORD_MAGIC ||
        !sev_record_decode_header(q->file.bytes + at, &type, &payload, NULL) ||
        !sev_template_file_need(&q->file, at,
                                SEV_RECORD_HEADER_LEN + payload)) {
        return 0;
    }
    return SEV_RECORD_HEADER_LEN + payload;
}

/* Where the end section may begin; nothing from there on is hashed before. */
static size_t tail_at(const Query *q)
{
    return MAX(q->hashed, q->file.len - MIN(q->file.len, TAIL_MAX));
}

/* The walk is at @at: hash what lies behind it, and give it back. */
static void settle(Query *q, size_t at)
{
    size_t to = MIN(at, tail_at(q));

    if (q->hashed && to > q->hashed) {
        qcrypto_hash_update(q->hash, (const char *)q->file.bytes + q->hashed,
                            to - q->hashed, NULL);
        q->hashed = to;
    }
    sev_template_file_drop(&q->file, q->hashed ? q->hashed : at);
    q->settled = at;
}

static bool walk(Query *q, Error **errp)
{
    for (size_t at = 0; at < q->file.len && !q->has_end; ) {
        size_t len = record_at(q, at);
        SevRecord rec;

        if (at - q->settled >= SETTLE_EACH) {
            settle(q, at);
            if (!q->has_manifest) {
                break;          /* it has one near its start, or none */
            }
        }
        if (!len) {
            at++;
            continue;
        }
        if (!sev_record_decode(&rec, q->file.bytes + at, len, errp) ||
            !visit(q, &rec, errp)) {
            return false;
        }
        if (!q->hashed) {
            qcrypto_hash_update(q->hash, (const char *)q->file.bytes + at, len,
                                NULL);
        }
        at += len;
        if (rec.type == SEV_RECORD_BREAK && !q->hashed) {
            at = q->hashed = q->settled = behind_image(q, at);
        }
    }
    if (!q->has_manifest || !q->has_end) {
        error_setg(errp, q->has_manifest ? "it is cut short"
                                         : "it is no template");
    }
    return q->has_manifest && q->has_end;
}

/* The digest in the last section; whatever looks like it before is not it. */
static const uint8_t *find_end(Query *q)
{
    size_t tail = tail_at(q);
    const uint8_t *from, *end, *at, *last = NULL;

    for (size_t to = q->hashed; to < tail; to += SETTLE_EACH) {
        if (!sev_template_file_need(&q->file, to, MIN(SETTLE_EACH, tail - to))) {
            return NULL;
        }
        settle(q, MIN(to + SETTLE_EACH, tail));
    }
    if (!sev_template_file_need(&q->file, tail, q->file.len - tail)) {
        return NULL;
    }
    from = q->file.bytes + tail;
    end = q->file.bytes + q->file.len;
    while ((at = memmem(from, end - from, end_section, END_LEN))) {
        from = last = at + END_LEN;
    }
    return last && end - last >= SEV_TAP_DIGEST_LEN ? last : NULL;
}

static bool check_end(Query *q, Error **errp)
{
    const uint8_t *at = find_end(q);
    g_autofree uint8_t *digest = NULL;
    size_t len = 0;

    if (!at) {
        error_setg(errp, "it is cut short: no digest at its end");
        return false;
    }
    qcrypto_hash_update(q->hash, (const char *)q->file.bytes + q->hashed,
                        at - q->file.bytes - q->hashed, NULL);
    if (qcrypto_hash_finalize_bytes(q->hash, &digest, &len, errp) < 0) {
        return false;
    }
    if (!sev_span_is_bytes((SevSpan) { at, SEV_TAP_DIGEST_LEN }, digest,
                           len)) {
        error_setg(errp, "it was changed: it does not have the digest at its "
                   "end");
        return false;
    }
    return true;
}

static void query_clear(Query *q)
{
    sev_template_file_close(&q->file);
    sev_template_file_close(&q->ram);
    g_clear_pointer(&q->blocks, g_array_unref);
    g_clear_pointer(&q->hash, qcrypto_hash_free);
    g_clear_pointer(&q->verifier, sev_verifier_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Query, query_clear)

SevTemplateInfo *qmp_query_sev_template(const char *path, const char *ram,
                                        bool has_verify, bool verify,
                                        Error **errp)
{
    g_autoptr(SevTemplateInfo) info = g_new0(SevTemplateInfo, 1);
    g_auto(Query) q = { .info = info, .file.fd = -1, .ram.fd = -1 };
    Error *err = NULL;

    if (!sev_template_file_open(&q.file, path, errp) ||
        (ram && !sev_template_file_open(&q.ram, ram, errp))) {
        return NULL;
    }
    q.hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, errp);
    if (!q.hash) {
        return NULL;
    }
    q.blocks = g_array_new(false, false, sizeof(QueryBlock));
    g_array_set_clear_func(q.blocks, query_block_clear);
    info->bytes = q.file.len;
    info->has_verified = has_verify && verify;
    info->whole = walk(&q, &err) && check_end(&q, &err);
    if (!q.has_manifest) {
        error_setg(errp, "'%s': %s", path, error_get_pretty(err));
        error_free(err);
        return NULL;
    }
    if (err) {
        info->wrong = g_strdup(error_get_pretty(err));
        error_free(err);
    }
    return g_steal_pointer(&info);
}
