/*
 * A digest of everything that passes a QEMUFile, in order.
 *
 * The end of a template's stream holds the digest of all that came before, so
 * that damage is found before the clone runs.  It is no secret and needs no
 * key: who can write a template can write its digest.
 *
 * Part of every binary that has a QEMUFile; while no template is made or
 * loaded it is one comparison per flush and per refill.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_WIRE_DIGEST_H
#define MIGRATION_SEV_WIRE_DIGEST_H

#include "migration/qemu-file-types.h"
#include "qapi/error.h"

#define SEV_TAP_DIGEST_LEN 32           /* SHA-256 */

/* The file that is followed, or NULL.  Written by the thread that uses it. */
extern QEMUFile *sev_tap_file;

/* Start with nothing; what was there is dropped. */
bool sev_tap_begin(Error **errp);
/* Add bytes that were read or written before sev_tap_follow(). */
void sev_tap_add(const void *bytes, size_t len);
/* From its present position on @f is followed, unless one is already. */
void sev_tap_follow(QEMUFile *f, bool is_input);
/*
 * The digest up to the present position of the file.  It goes on with this
 * digest in the place of what is covered by it.  False: none was begun.
 */
bool sev_tap_part(QEMUFile *f, uint8_t digest[SEV_TAP_DIGEST_LEN],
                  Error **errp);
/* The digest up to the present position of the file.  False: none was begun. */
bool sev_tap_end(QEMUFile *f, uint8_t digest[SEV_TAP_DIGEST_LEN]);
void sev_tap_drop(void);
/* Was one begun, and neither ended nor dropped? */
bool sev_tap_is_open(void);

/* --- qemu-file.c ------------------------------------------------------------ */

void sev_tap_flushed(const struct iovec *iov, size_t n);
void sev_tap_refilled(const uint8_t *consumed, const uint8_t *buf);

/* How many bytes of an input lie read in its buffer, and where. */
size_t sev_tap_ahead(QEMUFile *f, const uint8_t **at);

/* These are about to be written. */
static inline void sev_tap_flush(QEMUFile *f, const struct iovec *iov, size_t n)
{
    if (unlikely(f == sev_tap_file)) {
        sev_tap_flushed(iov, n);
    }
}

/* @buf is about to be refilled; it was read up to @consumed. */
static inline void sev_tap_refill(QEMUFile *f, const uint8_t *consumed,
                                  const uint8_t *buf)
{
    if (unlikely(f == sev_tap_file)) {
        sev_tap_refilled(consumed, buf);
    }
}

#endif /* MIGRATION_SEV_WIRE_DIGEST_H */
