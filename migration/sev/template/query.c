/*
 * query-sev-template: what lies in a template, without a guest.
 *
 * Walks the file from record to record, whatever QEMU has put between them,
 * as scripts/analyze-sev-stream.py does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "migration/sev/wire/digest.h"
#include "inspect.h"

/* Before the digest: length of a name, name, instance 0, version 1. */
static const char end_section[] = "\x10sev-template-end\0\0\0\0\0\0\0\1";
#define END_LEN (sizeof(end_section) - 1)

enum {
    STEP = 1 * MiB,             /* what is searched, or hashed, at once */
    GAP_MAX = 256 * MiB,        /* without a record; behind the last one */
    HOLES_MAX = 64 * MiB,       /* in all that is not an image */
    TAIL_MAX = 4 * MiB,         /* the end section, and upstream's description */
};
QEMU_BUILD_BUG_ON(STEP + TAIL_MAX > SEV_TEMPLATE_FILE_MAX);
QEMU_BUILD_BUG_ON((size_t)SEV_RECORD_MAX > STEP);

/* Behind the image that the first BREAK precedes. */
static uint64_t behind_image(const SevQuery *q, uint64_t at)
{
    for (guint i = 0; i < q->blocks->len; i++) {
        const SevQueryBlock *b = &g_array_index(q->blocks, SevQueryBlock, i);

        if (b->layout == SEV_LAYOUT_MAPPED) {
            at = MAX(at, ROUND_UP(b->pages + b->length,
                                  SEV_RECORD_IMAGE_ALIGN));
        }
    }
    return MIN(at, q->file.len);
}

/* A whole record at @at and its length, or NULL. */
static const uint8_t *record_at(SevQuery *q, uint64_t at, size_t *len)
{
    const uint8_t *bytes = sev_template_file_at(&q->file, at,
                                                SEV_RECORD_HEADER_LEN);
    SevRecordType type;
    size_t payload;

    if (!bytes || ldl_be_p(bytes) != SEV_RECORD_MAGIC ||
        !sev_record_decode_header(bytes, &type, &payload, NULL)) {
        return NULL;
    }
    *len = SEV_RECORD_HEADER_LEN + payload;
    return sev_template_file_at(&q->file, at, *len);
}

/* Where a record may begin, from @at on; or a step further. */
static uint64_t next_magic(SevQuery *q, uint64_t at)
{
    size_t n = MIN(STEP, q->file.len - MIN(at, q->file.len));
    const uint8_t *bytes = sev_template_file_at(&q->file, at, n);
    uint8_t magic[4];
    const uint8_t *found;

    if (!bytes || n < sizeof(magic)) {
        return q->file.len;
    }
    stl_be_p(magic, SEV_RECORD_MAGIC);
    found = memmem(bytes, n, magic, sizeof(magic));
    return found ? at + (found - bytes) : at + n - (sizeof(magic) - 1);
}

/* Where the end section may begin; nothing from there on is hashed before. */
static uint64_t tail_at(const SevQuery *q)
{
    return MAX(q->hashed, q->file.len - MIN(q->file.len, TAIL_MAX));
}

static bool hash_bytes(SevQuery *q, const void *bytes, size_t len, Error **errp)
{
    return qcrypto_hash_update(q->hash, bytes, len, errp) >= 0;
}

/*
 * The walk is at @at: hash what lies behind it.  A stream has next to no holes;
 * who makes one of holes wants us to walk for ever through a file that costs
 * nothing.
 */
static bool settle(SevQuery *q, uint64_t at, Error **errp)
{
    uint64_t to = MIN(at, tail_at(q));

    q->holes += sev_template_file_holes(&q->file, q->settled, at);
    q->settled = at;
    if (q->holes > HOLES_MAX) {
        error_setg(errp, "it has holes of more than %d MiB where records are "
                   "to be", (int)(HOLES_MAX / MiB));
        return false;
    }
    while (q->hashed && q->hashed < to) {
        size_t n = MIN(STEP, to - q->hashed);
        const uint8_t *bytes = sev_template_file_at(&q->file, q->hashed, n);

        if (!bytes) {
            error_setg(errp, "it becomes shorter while it is read");
            return false;
        }
        if (!hash_bytes(q, bytes, n, errp)) {
            return false;
        }
        q->hashed += n;
    }
    return true;
}

/* Of a template's beginning only what depends on its platform is kept. */
static bool keep_record(SevTemplateHead *head, const uint8_t *bytes,
                        size_t len, const SevRecord *rec, Error **errp)
{
    GByteArray **to = rec->type == SEV_RECORD_MANIFEST ? &head->manifest :
                      rec->type == SEV_RECORD_SESSION ? &head->session :
                      rec->type == SEV_RECORD_LANE ? &head->lane : NULL;

    if (!head->manifest && rec->type != SEV_RECORD_MANIFEST) {
        error_setg(errp, "it is a migration stream, not a template");
        return false;
    }
    if (to && *to) {
        error_setg(errp, "there is a second %s record",
                   sev_record_name(rec->type));
        return false;
    }
    if (to) {
        *to = g_byte_array_append(g_byte_array_new(), bytes, len);
    }
    return true;
}

static bool take_record(SevQuery *q, const uint8_t *bytes, size_t len,
                        SevRecord *rec, Error **errp)
{
    if (q->head) {
        return sev_record_decode(rec, bytes, len, errp) &&
               keep_record(q->head, bytes, len, rec, errp);
    }
    return sev_record_decode(rec, bytes, len, errp) &&
           (q->hashed || hash_bytes(q, bytes, len, errp)) &&
           sev_query_visit(q, rec, errp);
}

static bool walk(SevQuery *q, Error **errp)
{
    uint64_t behind = 0;        /* the last record */

    for (uint64_t at = 0; at < q->file.len && !q->has_end; ) {
        const uint8_t *bytes;
        SevRecord rec;
        size_t len;

        if (at - q->settled >= STEP && !settle(q, at, errp)) {
            return false;
        }
        if ((at >= STEP && !q->has_manifest) || at - behind > GAP_MAX) {
            break;              /* it has one near its start, or none */
        }
        bytes = record_at(q, at, &len);
        if (!bytes) {
            at = next_magic(q, at + 1);
            continue;
        }
        if (!take_record(q, bytes, len, &rec, errp)) {
            return false;
        }
        if (q->head && rec.type == SEV_RECORD_BREAK) {
            return true;
        }
        q->has_manifest |= q->head && q->head->manifest;
        at += len;
        if (rec.type == SEV_RECORD_BREAK && !q->hashed) {
            at = q->hashed = q->settled = behind_image(q, at);
        }
        behind = at;
    }
    if (!q->has_manifest || !q->has_end) {
        error_setg(errp, q->has_manifest ? "it is cut short"
                                         : "it is no template");
    }
    return q->has_manifest && q->has_end;
}

/*
 * The digest in the last section, with @unhashed bytes before it that belong to
 * it; whatever looks like the section before is not it.
 */
static const uint8_t *find_end(SevQuery *q, size_t *unhashed, Error **errp)
{
    uint64_t tail = tail_at(q);
    const uint8_t *bytes, *from, *end, *at, *last = NULL;

    if (!q->hashed || tail - q->hashed > GAP_MAX || !settle(q, tail, errp)) {
        return NULL;
    }
    bytes = sev_template_file_at(&q->file, tail, q->file.len - tail);
    if (!bytes) {
        return NULL;
    }
    from = bytes;
    end = bytes + (q->file.len - tail);
    while ((at = memmem(from, end - from, end_section, END_LEN))) {
        from = last = at + END_LEN;
    }
    if (!last || end - last < SEV_TAP_DIGEST_LEN) {
        return NULL;
    }
    *unhashed = last - bytes;
    return last;
}

static bool check_end(SevQuery *q, Error **errp)
{
    ERRP_GUARD();
    size_t unhashed = 0;
    const uint8_t *at = find_end(q, &unhashed, errp);
    g_autofree uint8_t *digest = NULL;
    size_t len = 0;

    if (!at) {
        if (!*errp) {
            error_setg(errp, "it is cut short: no digest at its end");
        }
        return false;
    }
    if (!hash_bytes(q, at - unhashed, unhashed, errp) ||
        qcrypto_hash_finalize_bytes(q->hash, &digest, &len, errp) < 0) {
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

static void query_block_clear(void *opaque)
{
    g_free(((SevQueryBlock *)opaque)->name);
}

static void query_clear(SevQuery *q)
{
    sev_template_file_close(&q->file);
    sev_template_file_close(&q->ram);
    g_clear_pointer(&q->blocks, g_array_unref);
    g_clear_pointer(&q->hash, qcrypto_hash_free);
    g_clear_pointer(&q->verifier, sev_verifier_free);
    g_clear_pointer(&q->manifest, g_byte_array_unref);
    g_clear_pointer(&q->wrap, sev_wrap_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SevQuery, query_clear)

void sev_template_head_clear(SevTemplateHead *head)
{
    g_clear_pointer(&head->manifest, g_byte_array_unref);
    g_clear_pointer(&head->session, g_byte_array_unref);
    g_clear_pointer(&head->lane, g_byte_array_unref);
}

bool sev_template_head(const char *path, SevTemplateHead *head, Error **errp)
{
    ERRP_GUARD();
    g_auto(SevQuery) q = { .file.fd = -1, .ram.fd = -1, .head = head };

    q.blocks = g_array_new(false, false, sizeof(SevQueryBlock));
    if (!sev_template_file_open(&q.file, path, errp)) {
        return false;
    }
    if (!walk(&q, errp) || !head->session) {
        if (!*errp) {
            error_setg(errp, "it is cut short: there is no session");
        }
        error_prepend(errp, "SEV: template '%s': ", path);
        return false;
    }
    return true;
}

SevTemplateInfo *sev_template_look(const char *path, const char *ram,
                                   const char *wrap, bool verify, Error **errp)
{
    g_autoptr(SevTemplateInfo) info = g_new0(SevTemplateInfo, 1);
    g_auto(SevQuery) q = { .info = info, .file.fd = -1, .ram.fd = -1 };
    Error *err = NULL;

    if (!sev_template_file_open(&q.file, path, errp) ||
        (ram && !sev_template_file_open(&q.ram, ram, errp))) {
        return NULL;
    }
    q.wrap = wrap ? sev_wrap_read(wrap, errp) : NULL;
    if (wrap && !q.wrap) {
        return NULL;
    }
    q.hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, errp);
    if (!q.hash) {
        return NULL;
    }
    q.blocks = g_array_new(false, false, sizeof(SevQueryBlock));
    g_array_set_clear_func(q.blocks, query_block_clear);
    info->bytes = q.file.len;
    q.verify = info->has_verified = verify;
    info->whole = walk(&q, &err) && check_end(&q, &err);
    if (!q.has_manifest) {
        error_setg(errp, "SEV: template '%s': %s", path, error_get_pretty(err));
        error_free(err);
        return NULL;
    }
    if (err) {
        info->wrong = g_strdup(error_get_pretty(err));
        error_free(err);
    }
    return g_steal_pointer(&info);
}
