/*
 * The lane as second way to seal pages: what a stream has of it, both ends.
 *
 * With method packets the secure processor makes a packet of each private page.
 * With method lane it does so for the lane's program and its key, which go in
 * the LANE record; the program seals the pages, and they travel in the same
 * places as packets.  At the end comes what the program made of its table of
 * versions, and of sums of all else, in a SEALED record.
 *
 * A vCPU of the guest does the work, and lending it takes the BQL: so there is
 * no thread beside the migration thread, and pages do not wait sealed.  With
 * multifd the sealed pages go on the main channel and the others on the rest.
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
 * Of a guest that moves, or is saved: upstream's "ram" is about to write this
 * page; these went sealed instead; a round is over.
 */
void sev_lane_save_shared(SevSource *s, RAMBlock *rb, ram_addr_t offset);
void sev_lane_save_sealed_pages(SevSource *s, RAMBlock *rb,
                                const ram_addr_t *offsets, size_t n);
void sev_lane_save_round(SevSource *s);

/* --- Target; main thread ---------------------------------------------------- */

/* Open @n pages, of any number. */
bool sev_method_open(SevTarget *t, const SevPageJob *jobs, size_t n,
                     Error **errp);

/* Handler of order.c's table. */
bool sev_lane_load_lane(SevTarget *t, const SevRecord *rec, Error **errp);

/* The "sev" section begins to speak: "ram" has had its turn. */
void sev_lane_load_section(SevTarget *t);

/* --- The digest at the end; lane-end.c --------------------------------------- */

/* Is what is being sent sealed by the lane, and no template?  Any thread. */
bool sev_lane_save_is_live(void);

/* All pages were sealed, the guest stands still: sum up the shared ones. */
bool sev_lane_save_end(SevSource *s, Error **errp);

/*
 * Write SEALED, with method lane: it covers what was sealed, the sum that
 * sev_lane_save_end() made, and the digest @records.
 */
bool sev_lane_save_sealed(QEMUFile *f, const uint8_t *records, Error **errp);

/* END: all pages are in RAM, so sum up the shared ones. */
bool sev_lane_load_end(SevTarget *t, Error **errp);

/* SEALED comes next, and then nothing: read it, and check it. */
bool sev_lane_load_sealed(SevTarget *t, QEMUFile *f, const uint8_t *records,
                          Error **errp);

/* The stream is over: was there a SEALED, if there had to be one? */
bool sev_lane_load_complete(const SevTarget *t, Error **errp);

/* Section "sev-lane-end".  Once; and again, to be the last section of all. */
bool sev_lane_end_init(Error **errp);
bool sev_lane_end_last(Error **errp);

#endif /* MIGRATION_SEV_LANE_H */
