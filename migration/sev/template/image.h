/*
 * The image of a template: RAM at fixed places, packets' headers beside it.
 *
 *   single file (MAPPED)             in place (IN_PLACE)
 *
 *   stream: MANIFEST ... IMAGE       RAM file of the block: packets' data
 *   -- page-aligned --               where it is private, else plain bytes
 *   headers of block 0               state file: MANIFEST ... IMAGE
 *   pages of block 0                   HEADERS, STATE, END, device state
 *   headers of block 1 ...
 *   stream goes on: STATE,
 *   DIGEST, END, device state
 *
 * A private page is a packet: its 4096 bytes at its place, its 52-byte header
 * in the table.  A shared page is itself.  A page nobody touched is a hole.
 * A clone maps the image privately and opens packets at first touch, or opens
 * them all before it runs; see SevTemplateOpen in qapi/sev-overlay.json.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_IMAGE_H
#define MIGRATION_SEV_TEMPLATE_IMAGE_H

#include "crypto/hash.h"
#include "migration/sev/pages.h"

/* --- Source: a single file.  Migration thread. ---------------------------- */

/*
 * After the BLOCK records: reserve the place of all blocks in the file of @f,
 * put IMAGE records and BREAK, go on behind the image.  From now on pages of
 * @s go there: its packets as SevPacketSink.
 */
void sev_image_save_begin(SevSource *s, QEMUFile *f);

/* A page that is not private, as it is.  An error is kept for save_end(). */
bool sev_image_save_shared(SevSource *s, RAMBlock *rb, ram_addr_t offset);
/* Headers; then all of the image is on the disk; then DIGEST. */
bool sev_image_save_end(SevSource *s, QEMUFile *f, Error **errp);

/* SHARED: of the image, or of RAM that was sealed in place. */
bool sev_image_save_shared_sum(SevSource *s, QEMUFile *f, Error **errp);

/* Add the headers of the private pages of @rb, in order.  Both ends. */
bool sev_image_digest(QCryptoHash *hash, RAMBlock *rb, const uint8_t *table,
                      Error **errp);

/* --- Target ---------------------------------------------------------------- */

/* Handlers of order.c's table. */
bool sev_image_load(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_image_load_headers(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_image_load_digest(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_image_load_shared(SevTarget *t, const SevRecord *rec, Error **errp);

/* "ram" may resize a block at any time; its table and image are as they were. */
bool sev_image_check_length(const SevTargetBlock *block, Error **errp);

/*
 * STATE records are complete: RAM becomes the image, its packets sealed or
 * opened.  After this only sev_receive_finish() is missing.
 */
bool sev_image_load_end(SevTarget *t, Error **errp);

#endif /* MIGRATION_SEV_TEMPLATE_IMAGE_H */
