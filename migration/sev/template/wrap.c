/*
 * A wrap: its file, and is it the right one?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "migration/sev/session.h"
#include "file.h"
#include "wrap.h"

/* --- The name of an image --------------------------------------------------- */

static void sum(GChecksum *of, uint8_t *out)
{
    size_t len = SEV_RECORD_DIGEST_LEN;

    g_checksum_get_digest(of, out, &len);
}

void sev_image_id(const GByteArray *manifest, const SevRecord *session,
                  uint8_t *out)
{
    g_autoptr(GChecksum) id = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    sev_record_encode(session, bytes);
    g_checksum_update(id, manifest->data, manifest->len);
    g_checksum_update(id, bytes->data, bytes->len);
    sum(id, out);
}

char *sev_image_id_text(const uint8_t *id)
{
    return sev_span_hex((SevSpan) { id, SEV_RECORD_DIGEST_LEN });
}

/* --- The file --------------------------------------------------------------- */

static const SevRecordType order[] = {
    SEV_RECORD_WRAP, SEV_RECORD_SESSION, SEV_RECORD_LANE, SEV_RECORD_DIGEST,
};

static void add_digest(GByteArray *out)
{
    g_autoptr(GChecksum) of = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[SEV_RECORD_DIGEST_LEN];
    SevRecord rec = {
        .type = SEV_RECORD_DIGEST,
        .u.digest.digest = { digest, sizeof(digest) },
    };

    g_checksum_update(of, out->data, out->len);
    sum(of, digest);
    sev_record_encode(&rec, out);
}

void sev_wrap_encode(GByteArray *out, const uint8_t *image, const char *chip,
                     const GByteArray *session, const SevRecord *lane)
{
    SevRecord wrap = {
        .type = SEV_RECORD_WRAP,
        .u.wrap = {
            .image = { image, SEV_RECORD_DIGEST_LEN },
            .chip = { (const uint8_t *)chip, strlen(chip) },
        },
    };

    sev_record_encode(&wrap, out);
    g_byte_array_append(out, session->data, session->len);
    sev_record_encode(lane, out);
    add_digest(out);
    assert(out->len <= SEV_WRAP_MAX);
}

/* One record at @at, of the type that is due; moves @at behind it. */
static bool next_record(const SevWrap *w, size_t total, size_t *at,
                        SevRecordType due, SevRecord *rec, Error **errp)
{
    const uint8_t *bytes = w->bytes + *at;
    size_t left = total - *at, payload;
    SevRecordType type;

    if (left < SEV_RECORD_HEADER_LEN) {
        error_setg(errp, "SEV: it is cut short at byte %zu", *at);
        return false;
    }
    if (!sev_record_decode_header(bytes, &type, &payload, errp)) {
        return false;
    }
    left -= SEV_RECORD_HEADER_LEN;
    if (type != due || payload > left) {
        error_setg(errp, "SEV: a %s record at byte %zu%s: a %s was due",
                   sev_record_name(type), *at,
                   payload > left ? " is cut short" : "",
                   sev_record_name(due));
        return false;
    }
    *at += SEV_RECORD_HEADER_LEN + payload;
    return sev_record_decode(rec, bytes, SEV_RECORD_HEADER_LEN + payload, errp);
}

static bool decode(SevWrap *w, size_t len, Error **errp)
{
    g_autoptr(GChecksum) of = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[SEV_RECORD_DIGEST_LEN];
    SevRecord last, *to[] = { &w->wrap, &w->session, &w->lane, &last };
    size_t at = 0;

    for (int i = 0; i < ARRAY_SIZE(order); i++) {
        if (order[i] == SEV_RECORD_DIGEST) {
            g_checksum_update(of, w->bytes, at);
        }
        if (!next_record(w, len, &at, order[i], to[i], errp)) {
            return false;
        }
    }
    sum(of, digest);
    if (at != len) {
        error_setg(errp, "SEV: %zu bytes are behind its end", len - at);
        return false;
    }
    if (!sev_span_is_bytes(last.u.digest.digest, digest, sizeof(digest))) {
        error_setg(errp, "SEV: it was changed: it does not have the digest at "
                   "its end");
        return false;
    }
    return true;
}

static bool read_file(SevWrap *w, size_t *len, Error **errp)
{
    SevTemplateFile f = { .fd = -1 };
    bool ok = sev_template_file_open(&f, w->path, errp);

    if (ok && f.len > SEV_WRAP_MAX) {
        error_setg(errp, "SEV: wrap '%s' has %" PRIu64 " bytes, a wrap has %d "
                   "at most", w->path, f.len, SEV_WRAP_MAX);
        ok = false;
    }
    if (ok) {
        *len = f.len;
        w->bytes = g_malloc(*len);
        ok = sev_template_file_copy(&f, 0, w->bytes, *len);
        if (!ok) {
            error_setg(errp, "SEV: wrap '%s' cannot be read", w->path);
        }
    }
    sev_template_file_close(&f);
    return ok;
}

SevWrap *sev_wrap_read(const char *path, Error **errp)
{
    ERRP_GUARD();
    g_autoptr(SevWrap) w = g_new0(SevWrap, 1);
    size_t len;

    w->path = g_strdup(path);
    if (!read_file(w, &len, errp)) {
        return NULL;
    }
    if (!decode(w, len, errp)) {
        error_prepend(errp, "Wrap '%s': ", path);
        return NULL;
    }
    return g_steal_pointer(&w);
}

void sev_wrap_free(SevWrap *w)
{
    if (w) {
        g_free(w->path);
        g_free(w->bytes);
        g_free(w);
    }
}

/* --- Is it the right one? --------------------------------------------------- */

bool sev_wrap_is_here(const SevWrap *w, Error **errp)
{
    ERRP_GUARD();

    if (!sev_session_is_here(w->session.u.session.target, w->wrap.u.wrap.chip,
                             errp)) {
        error_prepend(errp, "Wrap '%s': ", w->path);
        return false;
    }
    return true;
}

bool sev_wrap_is_for_method(const SevWrap *w, uint64_t method, Error **errp)
{
    if (method != SEV_METHOD_LANE) {
        error_setg(errp, "SEV: wrap '%s' is for a template that a lane sealed, "
                   "and this one is of packets, which nothing but their own "
                   "platform opens", w->path);
    }
    return method == SEV_METHOD_LANE;
}

static bool same_span(SevSpan a, SevSpan b)
{
    return sev_span_is_bytes(a, b.data, b.len);
}

/* Both are of one guest, so what they say of it is the same. */
static bool same_guest(const SevRecordSession *a, const SevRecordSession *b)
{
    return a->policy == b->policy && a->api_major == b->api_major &&
           a->api_minor == b->api_minor && a->build == b->build &&
           same_span(a->measurement, b->measurement);
}

bool sev_wrap_fits(const SevWrap *w, const GByteArray *manifest,
                   const SevRecord *session, Error **errp)
{
    g_autofree char *theirs = NULL, *ours = NULL;
    uint8_t id[SEV_RECORD_DIGEST_LEN];

    if (!manifest) {
        error_setg(errp, "SEV: wrap '%s' is for a template, and what comes in "
                   "is none", w->path);
        return false;
    }
    sev_image_id(manifest, session, id);
    if (!sev_span_is_bytes(w->wrap.u.wrap.image, id, sizeof(id))) {
        theirs = sev_image_id_text(w->wrap.u.wrap.image.data);
        ours = sev_image_id_text(id);
        error_setg(errp, "SEV: wrap '%s' is of image %s, and this is image %s: "
                   "each image needs a wrap of its own", w->path, theirs, ours);
        return false;
    }
    if (!same_guest(&w->session.u.session, &session->u.session)) {
        error_setg(errp, "SEV: wrap '%s' was changed: its policy, API or "
                   "measurement is not its image's", w->path);
        return false;
    }
    return true;
}

bool sev_wrap_fits_lane(const SevWrap *w, const SevRecordLane *lane,
                        Error **errp)
{
    if (!same_span(w->lane.u.lane.program, lane->program)) {
        error_setg(errp, "SEV: wrap '%s' was changed: it names another program "
                   "than its image", w->path);
        return false;
    }
    return true;
}
