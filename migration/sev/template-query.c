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
#include "qapi/qapi-commands-sev-overlay.h"
#include "tap.h"
#include "template-visit.h"

/* Before the digest: length of a name, name, instance 0, version 1. */
static const char end_section[] = "\x10sev-template-end\0\0\0\0\0\0\0\1";
#define END_LEN (sizeof(end_section) - 1)

enum {
    SETTLE_EACH = 1 * MiB,      /* what was walked over is given back */
    GAP_MAX = 256 * MiB,        /* without a record; behind the last one */
    TAIL_MAX = 4 * MiB,         /* the end section, and upstream's description */
};

/* Behind the image that the first BREAK precedes. */
static size_t behind_image(const SevQuery *q, size_t at)
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

/* The length of a whole record at @at, or 0. */
static size_t record_at(SevQuery *q, size_t at)
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
static size_t tail_at(const SevQuery *q)
{
    return MAX(q->hashed, q->file.len - MIN(q->file.len, TAIL_MAX));
}

/* The walk is at @at: hash what lies behind it, and give it back. */
static void settle(SevQuery *q, size_t at)
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

static bool walk(SevQuery *q, Error **errp)
{
    size_t behind = 0;          /* the last record */

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
            if (++at - behind > GAP_MAX) {
                break;
            }
            continue;
        }
        if (!sev_record_decode(&rec, q->file.bytes + at, len, errp) ||
            !sev_query_visit(q, &rec, errp)) {
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
        behind = at;
    }
    if (!q->has_manifest || !q->has_end) {
        error_setg(errp, q->has_manifest ? "it is cut short"
                                         : "it is no template");
    }
    return q->has_manifest && q->has_end;
}

/* The digest in the last section; whatever looks like it before is not it. */
static const uint8_t *find_end(SevQuery *q)
{
    size_t tail = tail_at(q);
    const uint8_t *from, *end, *at, *last = NULL;

    if (tail - q->hashed > GAP_MAX) {
        return NULL;
    }
    for (size_t to = q->hashed; to < tail; to += SETTLE_EACH) {
        if (!sev_template_file_need(&q->file, to,
                                    MIN(SETTLE_EACH, tail - to))) {
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

static bool check_end(SevQuery *q, Error **errp)
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
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SevQuery, query_clear)

SevTemplateInfo *qmp_query_sev_template(const char *path, const char *ram,
                                        bool has_verify, bool verify,
                                        Error **errp)
{
    g_autoptr(SevTemplateInfo) info = g_new0(SevTemplateInfo, 1);
    g_auto(SevQuery) q = { .info = info, .file.fd = -1, .ram.fd = -1 };
    Error *err = NULL;

    if (!sev_template_file_open(&q.file, path, errp) ||
        (ram && !sev_template_file_open(&q.ram, ram, errp))) {
        return NULL;
    }
    q.hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, errp);
    if (!q.hash) {
        return NULL;
    }
    q.blocks = g_array_new(false, false, sizeof(SevQueryBlock));
    g_array_set_clear_func(q.blocks, query_block_clear);
    info->bytes = q.file.len;
    q.verify = info->has_verified = has_verify && verify;
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
