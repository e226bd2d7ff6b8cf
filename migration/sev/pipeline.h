/*
 * The secure processor works while the line is written.
 *
 * A platform has one mailbox: one command at a time, milliseconds each on
 * silicon.  One thread keeps it busy, with batches of pages that the migration
 * thread puts into a ring, and the migration thread writes what is made.  The
 * ring bounds both: DEPTH records, allocated once.
 *
 *   ram.c -> queue -> [put] batch batch batch [get] -> stream or image
 *                        made by the thread
 *
 * All calls: migration thread, but for new and free.  multifd does without:
 * its channel threads seal and write side by side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_PIPELINE_H
#define MIGRATION_SEV_PIPELINE_H

#include "pages.h"

typedef struct SevPipeline SevPipeline;

/* Pages of one block on their way, and their packets once they are made. */
typedef struct SevBatch {
    RAMBlock *rb;
    ram_addr_t *offsets;        /* SEV_RECORD_PAGES_MAX */
    size_t n;
    size_t taken;               /* what @n was at first */
    uint8_t *buf;               /* SEV_RECORD_MAX: packets from the start */
    Error *err;                 /* why there are none */
} SevBatch;

SevPipeline *sev_pipeline_new(const SevSource *s);

/* Waits for the commands at hand, not for the rest.  Any thread. */
void sev_pipeline_free(SevPipeline *p);

/* Take the first pages of @pages, all of one block; 0: there is no room. */
size_t sev_pipeline_put(SevPipeline *p, const SevPage *pages, size_t n);

/* Pages that were put and are not released yet. */
size_t sev_pipeline_pages(const SevPipeline *p);

/*
 * The oldest batch, when its packets are made or cannot be; NULL if they are
 * not within @ms milliseconds.  It is the caller's until release.
 */
SevBatch *sev_pipeline_get(SevPipeline *p, int ms);
void sev_pipeline_release(SevPipeline *p);

#endif /* MIGRATION_SEV_PIPELINE_H */
