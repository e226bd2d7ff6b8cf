/*
 * Records of a template, judged without a guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_INSPECT_H
#define MIGRATION_SEV_TEMPLATE_INSPECT_H

#include "crypto/hash.h"
#include "qapi/qapi-types-sev-overlay.h"
#include "migration/sev/wire/record.h"
#include "target/i386/sev/transfer.h"
#include "file.h"
#include "shared-sum.h"
#include "wrap.h"

typedef struct SevQueryBlock {
    uint64_t length, layout, pages, headers;
    uint64_t described;         /* STATE records have come this far */
    char *name;
} SevQueryBlock;

typedef struct SevQuery {
    SevTemplateInfo *info;
    SevTemplateFile file;
    SevTemplateFile ram;        /* of IN_PLACE, if it is known */
    GArray *blocks;             /* of SevQueryBlock */
    SevVerifier *verifier;
    QCryptoHash *hash;          /* of the stream up to @hashed */
    uint64_t hashed;            /* 0 before the first BREAK */
    uint64_t settled;           /* hashed, as far as possible, and ... */
    uint64_t holes;             /* ... its holes counted */
    SevSharedSum shared;        /* of the blocks that STATE described */
    bool verify;                /* MACs and sums, too */
    uint64_t method;            /* of the manifest */
    bool has_manifest, has_session, has_end;
    GByteArray *manifest;       /* the record */
    SevWrap *wrap;              /* what it is to be opened with, or NULL */
    SevTemplateHead *head;      /* not NULL: nothing but that is wanted */
} SevQuery;

static inline bool sev_query_range_ok(uint64_t start, uint64_t len,
                                      uint64_t size)
{
    return start <= size && len <= size - start;
}

/* Block number @number, if there is one (template/inspect-blocks.c). */
SevQueryBlock *sev_query_block(SevQuery *q, uint64_t number, Error **errp);

/* Where a block's image lies: in the file, and apart from all others. */
bool sev_query_image(SevQuery *q, const SevRecordImage *r, Error **errp);

/*
 * A record's packets, or the sum of the shared pages: checked if that is wanted
 * (template/inspect-pages.c).  False: it is not whole, @errp names the page.
 */
bool sev_query_state(SevQuery *q, const SevRecordState *r, Error **errp);
bool sev_query_shared(SevQuery *q, const SevRecordShared *r, Error **errp);
bool sev_query_pages(SevQuery *q, const SevRecordPages *r, Error **errp);
bool sev_query_headers(SevQuery *q, const SevRecordHeaders *r, Error **errp);
bool sev_query_lane(SevQuery *q, const SevRecordLane *r, Error **errp);
bool sev_query_vmsa(SevQuery *q, const SevRecordVmsa *r, Error **errp);

/*
 * The next record, in the stream's order: what it says goes to @q->info, and
 * its packets are checked if there is a verifier.  False: the template is not
 * to be used, @errp says why.
 */
bool sev_query_visit(SevQuery *q, const SevRecord *rec, Error **errp);

/* The whole of it, from the file at @path; any thread (template/query.c). */
SevTemplateInfo *sev_template_look(const char *path, const char *ram,
                                   const char *wrap, bool verify, Error **errp);

#endif /* MIGRATION_SEV_TEMPLATE_INSPECT_H */
