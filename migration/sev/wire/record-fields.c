/*
 * Fields of a record: the only code that moves through its bytes.
 *
 * Format: docs/interop/sev-record.md
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "record-fields.h"

static const uint8_t *cursor_bytes(SevCursor *c, const char *field, size_t len,
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

bool sev_cursor_u64(SevCursor *c, const char *field, uint64_t *val,
                    Error **errp)
{
    const uint8_t *at = cursor_bytes(c, field, 8, errp);

    if (!at) {
        return false;
    }
    *val = ldq_be_p(at);
    return true;
}

bool sev_cursor_blob(SevCursor *c, const char *field, size_t min, size_t max,
                     SevSpan *span, Error **errp)
{
    uint64_t len;

    if (!sev_cursor_u64(c, field, &len, errp)) {
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

bool sev_cursor_text(SevCursor *c, const char *field, size_t min, size_t max,
                     SevSpan *span, Error **errp)
{
    if (!sev_cursor_blob(c, field, min, max, span, errp)) {
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

bool sev_cursor_array(SevCursor *c, const char *field, uint64_t count,
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

void sev_put_u64(GByteArray *out, uint64_t val)
{
    uint64_t be = cpu_to_be64(val);

    g_byte_array_append(out, (const uint8_t *)&be, sizeof(be));
}

void sev_put_blob(GByteArray *out, SevSpan span)
{
    sev_put_u64(out, span.len);
    g_byte_array_append(out, span.data, span.len);
}
