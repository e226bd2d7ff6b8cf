/*
 * What a target knows of the guest that arrives.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_INCOMING_H
#define MIGRATION_SEV_INCOMING_H

#include "exec/ramblock.h"
#include "migration/qemu-file-types.h"
#include "qemu/stats64.h"
#include "migration/sev/wire/record.h"

/* Where one block of a template lies; template/image.h. */
typedef struct SevTargetImage {
    uint64_t layout;
    uint64_t pages, headers;    /* offsets in the file of @fd */
    uint64_t length;            /* of the block when the table was made */
    int fd;
    char *name;                 /* of the file, for messages */
    uint8_t *table;             /* headers: mapped, or our own memory */
    size_t table_len;
    uint64_t headers_seen;      /* HEADERS records have come this far */
} SevTargetImage;

typedef struct SevTargetBlock {
    RAMBlock *rb;
    uint64_t described;         /* STATE records have come this far */
    SevTargetImage *image;      /* NULL: none */
} SevTargetBlock;

/* What a target has heard so far. */
typedef enum SevStreamState {
    SEV_STREAM_START,           /* nothing */
    SEV_STREAM_ASKED,           /* HELLO: our certificates are out */
    SEV_STREAM_OFFERED,         /* MANIFEST */
    SEV_STREAM_BLOCKS,          /* SESSION, some BLOCKs */
    SEV_STREAM_PAGES,           /* the first BREAK */
    SEV_STREAM_MAP,             /* the first STATE */
    SEV_STREAM_ENDED,           /* END */
    SEV_STREAM_ACKED,           /* everything; our ACK is out */
    SEV_STREAM_TOLD,            /* GO: the guest is ours */
    SEV_STREAM__MAX,
} SevStreamState;

/* The target's half of one migration.  Main thread, in a coroutine. */
typedef struct SevTarget {
    SevStreamState state;
    bool asked;                 /* HELLO: ACK and GO are wanted */
    uint8_t *buf;               /* SEV_RECORD_MAX: the record at hand */
    /* Records of this stream so far, by type: what the error can say. */
    uint64_t seen[SEV_RECORD__MAX];
    /* pages-load.c: blocks in the order of their BLOCK records, and counts. */
    GArray *blocks;             /* of SevTargetBlock */
    Stat64 packets;             /* channel threads count here, too */
    uint64_t private_pages;
    /*
     * template/image-read.c: the file at hand, and where the stream goes on in it
     * after the next BREAK, or 0
     */
    QEMUFile *file;
    uint64_t resume_at;
    bool digest_seen;
    /* lane.c: how pages are sealed, what was summed up, was it right? */
    uint64_t method;            /* SEV_METHOD_... */
    struct SevRamSum *ram_sum;  /* of a guest that moves; else NULL */
    uint8_t shared_sum[SEV_RECORD_DIGEST_LEN];
    bool sealed_checked;
    char *uncovered;            /* by the digest: the first such section; NULL: none */
    GByteArray *manifest;       /* the record of a template, or NULL */
} SevTarget;

SevTarget *sev_target_new(void);
void sev_target_free(SevTarget *t);

/* The block with this number on the stream. */
SevTargetBlock *sev_target_block(SevTarget *t, uint64_t number, Error **errp);

#endif /* MIGRATION_SEV_INCOMING_H */
