/*
 * Certificates and refusals on the return path.  Both ends.
 *
 * The message header is upstream's: type u16, length u16, big-endian.  Our
 * types are far from upstream's, which count from 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_RETURN_PATH_H
#define MIGRATION_SEV_RETURN_PATH_H

#include "migration/migration.h"
#include "target/i386/sev/transfer.h"

enum {
    SEV_RP_SHUT     = 1,        /* upstream's, private to migration.c */
    SEV_RP_CERTS    = 0x5e01,   /* a CERTS record */
    SEV_RP_REFUSAL  = 0x5e02,   /* a sentence, UTF-8, no terminator */
    SEV_RP_REFUSAL_MAX = 1024,
};

void sev_return_path_init(void);

/* --- Source: return-path.c -------------------------------------------------- */

/*
 * From now on certificates may come, or not any more.  Before the question is
 * sent, because the answer may be quick.  Migration thread.
 */
void sev_return_path_expect(bool expect);

/*
 * Wait for the target's certificates: until they come, the migration is
 * cancelled or fails, or time is up.  Migration thread, BQL held; it is
 * released while waiting.
 */
bool sev_return_path_wait(MigrationState *ms, SevPlatformCerts *certs,
                          Error **errp);

/*
 * A migration failed while @doing (NULL: there is no line that could be lost).
 * If all that is known is an error of the channel, say what it means.
 */
void sev_return_path_explain(MigrationState *ms, const char *doing);

/* Does @err only say that the line broke? */
bool sev_return_path_is_line_error(Error *err);

/* The body of sev_rp_message().  Return path thread. */
bool sev_return_path_message(MigrationState *ms, QEMUFile *rp, uint16_t type,
                             uint16_t len, Error **errp);

/* --- Target: return-path-target.c ------------------------------------------- */

/*
 * Send one message, whole.  A channel's thread, or the main thread in the
 * loading coroutine, which yields without a lock while the socket is full.
 */
bool coroutine_mixed_fn sev_return_path_send(uint16_t type, const void *data,
                                             uint16_t len, Error **errp);

/* Did the source send something on @f that is not read yet? */
bool sev_return_path_has_bytes(QEMUFile *f);

/*
 * Everything is loaded: does the source still wait to hear that?  If it hung
 * up, its guest runs on there, and this one may not.  Main thread.
 */
bool sev_return_path_source_waits(Error **errp);

/* Tell the source why the load failed, and give it time to hear. */
void coroutine_fn sev_return_path_refuse(const char *text);

#endif /* MIGRATION_SEV_RETURN_PATH_H */
