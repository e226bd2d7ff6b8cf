/*
 * Records: encode and decode.
 *
 * Format: docs/interop/sev-record.rst
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "record-fields.h"

const char *sev_record_name(SevRecordType type)
{
    return (unsigned)type < SEV_RECORD__MAX && sev_record_rows[type].name
           ? sev_record_rows[type].name : "unknown";
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

char *sev_span_hex(SevSpan span)
{
    GString *out = g_string_sized_new(2 * span.len);

    for (size_t i = 0; i < span.len; i++) {
        g_string_append_printf(out, "%02x", span.data[i]);
    }
    return g_string_free(out, FALSE);
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
    const SevField *fields = sev_record_rows[rec->type].fields;
    size_t start = out->len, len, min, max;

    g_byte_array_set_size(out, start + SEV_RECORD_HEADER_LEN);
    sev_fields_encode(fields, rec, out);
    len = out->len - start - SEV_RECORD_HEADER_LEN;
    sev_fields_limits(fields, &min, &max);
    assert(len >= min && len <= max);
    encode_header(out->data + start, rec->type, len);
}

bool sev_record_decode_header(const uint8_t *buf, SevRecordType *type,
                              size_t *payload_len, Error **errp)
{
    uint32_t magic = ldl_be_p(buf);
    uint16_t version = lduw_be_p(buf + 4);
    uint16_t number = lduw_be_p(buf + 6);
    uint64_t len = ldq_be_p(buf + 8);
    size_t min, max;

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
    if (number >= SEV_RECORD__MAX || !sev_record_rows[number].name) {
        error_setg(errp, "SEV stream: record type %u is unknown", number);
        return false;
    }
    sev_fields_limits(sev_record_rows[number].fields, &min, &max);
    if (len < min || len > max) {
        error_setg(errp, "SEV stream: %s record of %" PRIu64 " bytes, "
                   "not %zu to %zu", sev_record_name(number), len, min, max);
        return false;
    }
    *type = number;
    *payload_len = len;
    return true;
}

bool sev_record_decode(SevRecord *rec, const uint8_t *buf, size_t len,
                       Error **errp)
{
    const SevRecordRow *row;
    size_t payload_len;

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
    row = &sev_record_rows[rec->type];
    return sev_fields_decode(row->fields, row->name, rec,
                             buf + SEV_RECORD_HEADER_LEN, payload_len, errp);
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

/*
 * The one record that is not written by the table of fields: that would copy
 * every packet once more.  test-record.c compares the bytes with those of the
 * table.
 */
static uint8_t *pages_entry(uint8_t *buf, size_t i)
{
    assert(i < SEV_RECORD_PAGES_MAX);
    return buf + SEV_RECORD_HEADER_LEN + SEV_RECORD_PAGES_HEAD +
           i * SEV_RECORD_PAGE_LEN;
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
    size_t len = SEV_RECORD_PAGES_HEAD + count * SEV_RECORD_PAGE_LEN;

    assert(count <= SEV_RECORD_PAGES_MAX);
    encode_header(buf, SEV_RECORD_PAGES, len);
    stq_be_p(buf + SEV_RECORD_HEADER_LEN, block);
    stq_be_p(buf + SEV_RECORD_HEADER_LEN + 8, count);
    return SEV_RECORD_HEADER_LEN + len;
}

void sev_runs_append(GByteArray *runs, uint64_t offset, uint64_t length)
{
    size_t end = runs->len;

    g_byte_array_set_size(runs, end + SEV_RECORD_RUN_LEN);
    stq_be_p(runs->data + end, offset);
    stq_be_p(runs->data + end + 8, length);
}
