/*
 * Records on a QEMUFile, and the order in which a target accepts them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_STREAM_H
#define MIGRATION_SEV_STREAM_H

#include "migration/qemu-file-types.h"
#include "qemu/stats64.h"
#include "record.h"

/* What a target has heard so far. */
typedef enum SevStreamState {
    SEV_STREAM_START,           /* nothing */
    SEV_STREAM_ASKED,           /* HELLO: our certificates are out */
    SEV_STREAM_OFFERED,         /* MANIFEST */
    SEV_STREAM_BLOCKS,          /* SESSION, some BLOCKs */
    SEV_STREAM_PAGES,           /* the first BREAK */
    SEV_STREAM_MAP,             /* the first STATE */
    SEV_STREAM_ENDED,           /* END */
    SEV_STREAM__MAX,
} SevStreamState;

/* The target's half of one migration.  Main thread, in a coroutine. */
typedef struct SevTarget {
    SevStreamState state;
    uint8_t *buf;               /* SEV_RECORD_MAX: the record at hand */
    /* Records of this stream so far, by type: what the error can say. */
    uint64_t seen[SEV_RECORD__MAX];
    /* pages.c: blocks in the order of their BLOCK records, and counts. */
    GArray *blocks;
    Stat64 packets;             /* channel threads count here, too */
    uint64_t private_pages;
    /* template-image.c: the file at hand, and where the stream goes on in it
     * after the next BREAK, or 0 */
    QEMUFile *file;
    uint64_t resume_at;
    bool digest_seen;
} SevTarget;

SevTarget *sev_target_new(void);
void sev_target_free(SevTarget *t);

/*
 * Append a record to @f.  Errors of the file surface where upstream looks for
 * them.
 */
void sev_stream_put(QEMUFile *f, const SevRecord *rec);

/* For who writes a record without the above: its fault point, if armed. */
void sev_stream_put_fault(QEMUFile *f, SevRecordType type);

/* Read the records of one section, up to BREAK or END. */
bool sev_stream_load(SevTarget *t, QEMUFile *f, Error **errp);

/* The same for one record at the start of @buf, whose rest is not looked at. */
bool sev_stream_load_bytes(SevTarget *t, const uint8_t *buf, size_t len,
                           Error **errp);

/* "the last record was PAGES, number 17", for a stream that was cut short. */
char *sev_stream_where(const SevTarget *t);

#endif /* MIGRATION_SEV_STREAM_H */
