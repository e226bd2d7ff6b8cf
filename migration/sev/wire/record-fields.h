/*
 * Fields of a record's payload: a table of them is all that the encoder, the
 * decoder, the limits and the tables in docs/interop/sev-record.rst know.
 *
 * Readers take from the front of what is left and check every length before
 * they use it; an error names the record, the field and the limit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_WIRE_RECORD_FIELDS_H
#define MIGRATION_SEV_WIRE_RECORD_FIELDS_H

#include "record.h"

/* Every number of a record is big-endian. */
typedef enum SevFieldForm {
    SEV_FIELD_END = 0,          /* of the list */
    SEV_FIELD_U64,              /* number of 64 bits */
    SEV_FIELD_LATER,            /* the same, last: left out if 0, else not 0 */
    SEV_FIELD_BLOB,             /* a number, @min to @max; as many bytes */
    SEV_FIELD_WHOLE,            /* the same: @max bytes or none */
    SEV_FIELD_TEXT,             /* a blob of printable ASCII, for messages */
    SEV_FIELD_ENTRIES,          /* @max at most, of @size bytes; @count says */
    SEV_FIELD_BYTES,            /* @size bytes */
    SEV_FIELD_PART,             /* @size bytes of each entry above: no code */
} SevFieldForm;

typedef struct SevField {
    SevFieldForm form;
    const char *name;           /* in errors and in the document */
    const char *meaning;        /* in the document; no code looks at it */
    size_t at;                  /* in SevRecord: of a uint64_t or a SevSpan */
    size_t min, max, size;
    size_t count;               /* in SevRecord: of the number of entries */
} SevField;

typedef struct SevRecordRow {
    const char *name;
    const SevField *fields;     /* in order; NULL: no payload */
} SevRecordRow;

/* By SevRecordType; a number without a name is no record. */
extern const SevRecordRow sev_record_rows[SEV_RECORD__MAX];

/* What the fields' limits make of the payload's, in bytes. */
void sev_fields_limits(const SevField *fields, size_t *min, size_t *max);

/* Append the payload of @rec to @out. */
void sev_fields_encode(const SevField *fields, const SevRecord *rec,
                       GByteArray *out);

/*
 * All of @buf into @rec, whose spans then point into @buf.  @record is its
 * name, for errors.
 */
bool sev_fields_decode(const SevField *fields, const char *record,
                       SevRecord *rec, const uint8_t *buf, size_t len,
                       Error **errp);

#endif /* MIGRATION_SEV_WIRE_RECORD_FIELDS_H */
