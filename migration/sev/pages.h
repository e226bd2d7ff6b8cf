/*
 * Pages of the guest <-> PAGES records: both ends.
 *
 * On the source ram.c finds dirty pages as ever.  A private one is queued here
 * and sealed when the "sev" section has its turn, which is right after ram's.
 * If it has become shared by then, it is skipped: the change of sides marked
 * it dirty, so ram.c meets it again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_PAGES_H
#define MIGRATION_SEV_PAGES_H

#include "qemu/stats64.h"
#include "incoming.h"
#include "target/i386/sev/transfer.h"

/*
 * Written by the migration thread and the channel threads, read by anyone;
 * zeroed by a new source.
 */
typedef struct SevPageStats {
    Stat64 packets;
    Stat64 bytes;               /* of packets: header and data */
    Stat64 skipped;             /* queued, but shared when their turn came */
    Stat64 firmware_ns;
    Stat64 line_wait_ns;        /* the pipeline's packets wait to be written */
    Stat64 page_wait_ns;        /* the pipeline has nothing to do */
    Stat64 target_wait_ns;      /* ... since the target is too far behind */
    Stat64 private_pages;       /* announced at the end */
    Stat64 start_ns, last_ns;   /* session made, last packet made */
} SevPageStats;

extern SevPageStats sev_page_stats;

/* Where packets go that do not go into the stream. */
typedef struct SevSource SevSource;
typedef struct SevPacketSink {
    /* The @n packets of @buf, for pages of @rb at @offsets. */
    bool (*put)(SevSource *s, const uint8_t *buf, RAMBlock *rb,
                const ram_addr_t *offsets, size_t n, Error **errp);
    void (*free)(SevSource *s);
} SevPacketSink;

/*
 * The source's half of one migration.  Migration thread only, from save_setup
 * until that thread has ended; channel threads read @blocks.
 */
struct SevSource {
    GPtrArray *blocks;          /* of RAMBlock *, by number in the stream */
    SevPage *queue;             /* [head, count) of room */
    size_t head, count, room;
    struct SevPipeline *pipeline;       /* what was taken off the queue */
    bool stop;                  /* the source ends; any thread reads it */
    uint64_t method;            /* SEV_METHOD_... */
    struct SevRamSum *ram_sum;  /* lane.c: of a guest that moves; else NULL */
    const SevPacketSink *sink;  /* NULL: packets go into PAGES records */
    struct SevImage *image;     /* of that sink: template/image-write.c */
    bool in_place;              /* blocks left out of the stream are sealed */
    uint64_t placed;            /* packets that lie outside the stream */
    const char *doing;          /* with a line to a target: "pages were sent" */
};

SevSource *sev_source_new(void);
/* Its RAM blocks may go with it: BQL held. */
void sev_source_free(SevSource *s);

/* BLOCK records for every block that ram.c migrates, numbered from 0. */
bool sev_pages_save_blocks(SevSource *s, QEMUFile *f, Error **errp);

/* The number of @rb on the stream. */
bool sev_pages_block_number(const SevSource *s, RAMBlock *rb, guint *number,
                            Error **errp);

/* Queue a page for the next sev_pages_save(). */
void sev_pages_queue(SevSource *s, RAMBlock *rb, ram_addr_t offset);
bool sev_pages_full(const SevSource *s);
uint64_t sev_pages_pending(const SevSource *s);     /* bytes on the stream */

/* So many packets, or pages that the lane sealed, are on their way. */
void sev_pages_count(size_t n);

/*
 * Write the @n sealed pages of @buf, whose offsets these are, where the pages of
 * @s go.  They count from here on.
 */
bool sev_pages_put(SevSource *s, QEMUFile *f, uint8_t *buf, RAMBlock *rb,
                   const ram_addr_t *offsets, size_t n, Error **errp);

/*
 * Write queued pages as PAGES records: all of them, or as many as rate limit
 * and time slice allow.  What the pipeline is still working on then is written
 * by a later call, and counts as pending.
 */
bool sev_pages_save(SevSource *s, QEMUFile *f, bool all, Error **errp);

/* --- The target: handlers of order.c's table ---------------------------- */

bool sev_pages_load_block(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_pages_blocks_complete(SevTarget *t, Error **errp);
/* Any thread, once the blocks are complete. */
bool sev_pages_load(SevTarget *t, const SevRecord *rec, Error **errp);

#endif /* MIGRATION_SEV_PAGES_H */
