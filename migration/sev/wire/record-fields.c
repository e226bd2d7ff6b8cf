/*
 * Fields of a record: the only code that moves through its bytes.
 *
 * Format: docs/interop/sev-record.rst
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "record-fields.h"

typedef struct Cursor {
    const uint8_t *at;
    size_t left;
    const char *record;         /* for the error */
} Cursor;

/* --- Decode ------------------------------------------------------------- */

static const uint8_t *take(Cursor *c, const SevField *f, size_t len,
                           Error **errp)
{
    const uint8_t *at = c->at;

    if (c->left < len) {
        error_setg(errp, "SEV stream: %s record: field %s needs %zu bytes, "
                   "%zu are left", c->record, f->name, len, c->left);
        return NULL;
    }
    c->at += len;
    c->left -= len;
    return at;
}

static bool take_u64(Cursor *c, const SevField *f, uint64_t *val, Error **errp)
{
    const uint8_t *at = take(c, f, 8, errp);

    if (!at) {
        return false;
    }
    *val = ldq_be_p(at);
    return true;
}

static bool take_later(Cursor *c, const SevField *f, uint64_t *val,
                       Error **errp)
{
    if (!c->left) {
        *val = 0;
        return true;
    }
    if (!take_u64(c, f, val, errp)) {
        return false;
    }
    if (!*val) {
        error_setg(errp, "SEV stream: %s record: field %s is 0", c->record,
                   f->name);
        return false;
    }
    return true;
}

static bool take_blob(Cursor *c, const SevField *f, size_t min, SevSpan *span,
                      Error **errp)
{
    uint64_t len;

    if (!take_u64(c, f, &len, errp)) {
        return false;
    }
    if (len < min || len > f->max) {
        error_setg(errp, "SEV stream: %s record: field %s has %" PRIu64
                   " bytes, not %zu to %zu", c->record, f->name, len, min,
                   f->max);
        return false;
    }
    span->len = len;
    span->data = take(c, f, len, errp);
    return span->data;
}

static bool take_text(Cursor *c, const SevField *f, SevSpan *span, Error **errp)
{
    if (!take_blob(c, f, f->min, span, errp)) {
        return false;
    }
    for (size_t i = 0; i < span->len; i++) {
        if (!g_ascii_isprint(span->data[i])) {
            error_setg(errp, "SEV stream: %s record: field %s has byte 0x%02x "
                       "at %zu, not printable", c->record, f->name,
                       span->data[i], i);
            return false;
        }
    }
    return true;
}

static bool take_entries(Cursor *c, const SevField *f, uint64_t count,
                         SevSpan *span, Error **errp)
{
    if (count > f->max) {
        error_setg(errp, "SEV stream: %s record: %" PRIu64 " %s, "
                   "the limit is %zu", c->record, count, f->name, f->max);
        return false;
    }
    span->len = count * f->size;
    span->data = take(c, f, span->len, errp);
    return span->data;
}

static bool take_field(Cursor *c, const SevField *f, SevRecord *rec,
                       Error **errp)
{
    void *to = (uint8_t *)rec + f->at;

    switch (f->form) {
    case SEV_FIELD_U64:
        return take_u64(c, f, to, errp);
    case SEV_FIELD_LATER:
        return take_later(c, f, to, errp);
    case SEV_FIELD_BLOB:
        return take_blob(c, f, f->min, to, errp);
    case SEV_FIELD_WHOLE:
        return take_blob(c, f, c->left > 8 ? f->max : 0, to, errp);
    case SEV_FIELD_TEXT:
        return take_text(c, f, to, errp);
    case SEV_FIELD_ENTRIES:
        return take_entries(c, f, *(uint64_t *)((uint8_t *)rec + f->count), to,
                            errp);
    case SEV_FIELD_BYTES:
        return take_entries(c, f, 1, to, errp);
    case SEV_FIELD_PART:
        return true;
    default:
        g_assert_not_reached();
    }
}

bool sev_fields_decode(const SevField *fields, const char *record,
                       SevRecord *rec, const uint8_t *buf, size_t len,
                       Error **errp)
{
    Cursor c = { .at = buf, .left = len, .record = record };

    for (const SevField *f = fields; f && f->form; f++) {
        if (!take_field(&c, f, rec, errp)) {
            return false;
        }
    }
    if (c.left) {
        error_setg(errp, "SEV stream: %s record has %zu bytes too many", record,
                   c.left);
        return false;
    }
    return true;
}

/* --- Encode ------------------------------------------------------------- */

static void put_u64(GByteArray *out, uint64_t val)
{
    uint64_t be = cpu_to_be64(val);

    g_byte_array_append(out, (const uint8_t *)&be, sizeof(be));
}

void sev_fields_encode(const SevField *fields, const SevRecord *rec,
                       GByteArray *out)
{
    for (const SevField *f = fields; f && f->form; f++) {
        const void *from = (const uint8_t *)rec + f->at;
        const uint64_t *number = from;
        const SevSpan *span = from;

        switch (f->form) {
        case SEV_FIELD_LATER:
            if (!*number) {
                break;
            }
            /* fall through */
        case SEV_FIELD_U64:
            put_u64(out, *number);
            break;
        case SEV_FIELD_BLOB:
        case SEV_FIELD_WHOLE:
        case SEV_FIELD_TEXT:
            put_u64(out, span->len);
            /* fall through */
        case SEV_FIELD_ENTRIES:
        case SEV_FIELD_BYTES:
            g_byte_array_append(out, span->data, span->len);
            break;
        default:
            break;
        }
    }
}

/* --- Limits ------------------------------------------------------------- */

void sev_fields_limits(const SevField *fields, size_t *min, size_t *max)
{
    *min = *max = 0;
    for (const SevField *f = fields; f && f->form; f++) {
        switch (f->form) {
        case SEV_FIELD_U64:
            *min += 8;
            /* fall through */
        case SEV_FIELD_LATER:
            *max += 8;
            break;
        case SEV_FIELD_BLOB:
        case SEV_FIELD_WHOLE:
        case SEV_FIELD_TEXT:
            *min += 8 + f->min;
            *max += 8 + f->max;
            break;
        case SEV_FIELD_BYTES:
            *min += f->size;
            /* fall through */
        case SEV_FIELD_ENTRIES:
            *max += f->max * f->size;
            break;
        default:
            break;
        }
    }
}
