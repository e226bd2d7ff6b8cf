/*
 * The lane as second way to seal pages: what a stream has of it, both ends.
 *
 * With method packets the secure processor makes a packet of each private page.
 * With method lane it does so for the lane's program and its key, which go in
 * the LANE record; the program seals the pages, and they travel in the same
 * places as packets.  At the end comes what the program made of its table of
 * versions, in a SEALED record: in the stream of a guest that moves before END,
 * in a template behind the digest of the whole stream, which it covers.
 *
 * A vCPU of the guest does the work, and lending it takes the BQL: so there is
 * no thread beside the migration thread, and pages do not wait sealed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_LANE_H
#define MIGRATION_SEV_LANE_H

#include "pages.h"
#include "target/i386/sev/lane/lane.h"

/* --- Which method; lane-choice.c -------------------------------------------- */

/*
 * Choose how the migration that begins is sealed, from parameter sev-method; or
 * say why it cannot be done so.  Main thread.
 */
bool sev_method_choose(Error **errp);

/* SEV_METHOD_... of the migration at hand.  From then on any thread. */
uint64_t sev_method(void);

/* Why that one, for query-migrate; NULL: it was asked for. */
const char *sev_method_why(void);

/* --- The LANE record, for whoever has its packets --------------------------- */

/*
 * A LANE record of @packets for the guest's program.  It points to @bytes, which
 * they are appended to, and to @program, which has SEV_RECORD_DIGEST_LEN bytes.
 */
SevRecord sev_lane_pack(GByteArray *bytes, uint8_t *program,
                        const SevLanePacket *packets, size_t n);

/* Its @r->count packets, and its program's SHA-256 in hex; caller frees both. */
SevLanePacket *sev_lane_unpack(const SevRecordLane *r, char **program);

/* --- Source; migration thread ----------------------------------------------- */

/* Seal @n pages, by whatever method @s has. */
bool sev_method_seal(const SevSource *s, const SevPageJob *jobs, size_t n,
                     Error **errp);

/* After the BLOCK records: key, program and LANE record, with method lane. */
bool sev_lane_save_begin(SevSource *s, QEMUFile *f, Error **errp);

/* sev_pages_save() of a source with method lane. */
bool sev_lane_save_pages(SevSource *s, QEMUFile *f, bool all, Error **errp);

/*
 * All pages were sealed: SEALED, unless a template's comes later.  For that one
 * the shared pages beside the stream are summed up here.
 */
bool sev_lane_save_end(SevSource *s, QEMUFile *f, bool is_template,
                       Error **errp);

/* SEALED of a template, whose stream has the digest @records. */
bool sev_lane_save_sealed(QEMUFile *f, const uint8_t *records, Error **errp);

/* --- Target; main thread ---------------------------------------------------- */

/* Open @n pages, of any number. */
bool sev_method_open(SevTarget *t, const SevPageJob *jobs, size_t n,
                     Error **errp);

/* Handlers of order.c's table. */
bool sev_lane_load_lane(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_lane_load_sealed(SevTarget *t, const SevRecord *rec, Error **errp);

/* All pages of a template are in RAM: sum up the shared ones beside the stream */
bool sev_lane_load_end(SevTarget *t, Error **errp);

/* SEALED of a template is what comes next, behind its digest @records. */
bool sev_lane_load_sealed_end(SevTarget *t, QEMUFile *f, const uint8_t *records,
                              Error **errp);

#endif /* MIGRATION_SEV_LANE_H */
