/*
 * A wrap: what makes a template's image openable on another platform.
 *
 * Of a template that a lane sealed only the SESSION and the packets of program
 * and key depend on the platform; all other pages are sealed under the key.  A
 * wrap is a small file with these two, made for another platform:
 *
 *   WRAP      which image it is of, and whose chip it is for
 *   SESSION   SEND_START for that platform
 *   LANE      the same program and the same key, as packets of that session
 *   DIGEST    SHA-256 of the three
 *
 * The image stays as it is, and so does its digest: a clone reads all of its
 * records and uses the wrap's SESSION and LANE in the place of the image's.
 *
 * An image is named by the SHA-256 of its MANIFEST and SESSION records.  The
 * session is made of random bytes, its MAC key authenticates LANE, the key in
 * there authenticates everything else: so this names all of its bytes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_WRAP_H
#define MIGRATION_SEV_TEMPLATE_WRAP_H

#include "migration/sev/wire/record.h"

/* What a WRAP, a SESSION, a LANE and a DIGEST record can have. */
#define SEV_WRAP_MAX (128 * 1024)

typedef struct SevWrap {
    char *path;
    uint8_t *bytes;             /* the file; what the records point into */
    SevRecord wrap, session, lane;
} SevWrap;

/* The name of an image, from its records; @out is SEV_RECORD_DIGEST_LEN bytes. */
void sev_image_id(const GByteArray *manifest, const SevRecord *session,
                  uint8_t *out);
char *sev_image_id_text(const uint8_t *id);

/* --- wrap.c ----------------------------------------------------------------- */

/* Read and judge a wrap: its records, their order, its digest.  Any thread. */
SevWrap *sev_wrap_read(const char *path, Error **errp);
void sev_wrap_free(SevWrap *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevWrap, sev_wrap_free)

/* SESSION as bytes, LANE: the whole file.  Appended to @out. */
void sev_wrap_encode(GByteArray *out, const uint8_t *image, const char *chip,
                     const GByteArray *session, const SevRecord *lane);

/* Is @w for this platform? */
bool sev_wrap_is_here(const SevWrap *w, Error **errp);

/* Can pages that were sealed with @method have a wrap? */
bool sev_wrap_is_for_method(const SevWrap *w, uint64_t method, Error **errp);

/* Is @w of the image with these records?  @manifest NULL: of no template. */
bool sev_wrap_fits(const SevWrap *w, const GByteArray *manifest,
                   const SevRecord *session, Error **errp);
bool sev_wrap_fits_lane(const SevWrap *w, const SevRecordLane *lane,
                        Error **errp);

/* --- wrap-use.c ------------------------------------------------------------- */

/* What the next clone, or the next wrap, opens its image with; or NULL. */
const SevWrap *sev_wrap_in_use(void);

/* --- query.c: what of a template depends on its platform -------------------- */

typedef struct SevTemplateHead {
    GByteArray *manifest, *session, *lane;  /* records; lane may be NULL */
} SevTemplateHead;

bool sev_template_head(const char *path, SevTemplateHead *head, Error **errp);
void sev_template_head_clear(SevTemplateHead *head);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SevTemplateHead, sev_template_head_clear)

#endif /* MIGRATION_SEV_TEMPLATE_WRAP_H */
