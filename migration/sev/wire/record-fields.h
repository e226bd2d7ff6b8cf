/*
 * Fields of a record's payload, read and written.
 *
 * Readers take from the front of what is left and check every length before
 * they use it; an error names the record, the field and the limit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_WIRE_RECORD_FIELDS_H
#define MIGRATION_SEV_WIRE_RECORD_FIELDS_H

#include "record.h"

typedef struct SevCursor {
    const uint8_t *at;
    size_t left;
    const char *record;                 /* for the error */
} SevCursor;

/* Big-endian, 64 bits. */
bool sev_cursor_u64(SevCursor *c, const char *field, uint64_t *val,
                    Error **errp);

/* A length of @min to @max, and as many bytes; @span points at them. */
bool sev_cursor_blob(SevCursor *c, const char *field, size_t min, size_t max,
                     SevSpan *span, Error **errp);

/* Names and fingerprints end up in messages: printable ASCII or nothing. */
bool sev_cursor_text(SevCursor *c, const char *field, size_t min, size_t max,
                     SevSpan *span, Error **errp);

/* @count entries, at most @max, of @size bytes. */
bool sev_cursor_array(SevCursor *c, const char *field, uint64_t count,
                      size_t max, size_t size, SevSpan *span, Error **errp);

void sev_put_u64(GByteArray *out, uint64_t val);
void sev_put_blob(GByteArray *out, SevSpan span);

/* One type of record: its name, the limits of its payload, both directions. */
typedef struct SevRecordRow {
    const char *name;
    size_t min, max;                    /* payload, in bytes */
    void (*encode)(const SevRecord *rec, GByteArray *out);
    bool (*decode)(SevRecord *rec, SevCursor *c, Error **errp);
} SevRecordRow;

/* By SevRecordType; a number without a name is no record. */
extern const SevRecordRow sev_record_rows[SEV_RECORD__MAX];

#endif /* MIGRATION_SEV_WIRE_RECORD_FIELDS_H */
