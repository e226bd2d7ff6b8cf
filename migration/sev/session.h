/*
 * Who sends to whom: certificates, the session, and refusals.  Both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_SESSION_H
#define MIGRATION_SEV_SESSION_H

#include "migration/migration.h"
#include "stream.h"
#include "target/i386/sev/transfer.h"

/*
 * Messages on the return path, far from upstream's, which count from 0.  The
 * message header is upstream's: type u16, length u16, big-endian.
 */
enum {
    SEV_RP_SHUT     = 1,        /* upstream's, private to migration.c */
    SEV_RP_CERTS    = 0x5e01,   /* a CERTS record */
    SEV_RP_REFUSAL  = 0x5e02,   /* a sentence, UTF-8, no terminator */
    SEV_RP_REFUSAL_MAX = 1024,
};

void sev_session_init(void);

/* --- Source ---------------------------------------------------------------- */

/*
 * Send HELLO and wait for the target's certificates.  Migration thread, BQL
 * held; it is released while waiting.
 */
bool sev_session_ask(MigrationState *ms, QEMUFile *f, SevPlatformCerts *certs,
                     Error **errp);

/* SEND_START for @target, and the SESSION record. */
bool sev_session_seal(QEMUFile *f, const SevPlatformCerts *target,
                      Error **errp);

/* The body of sev_rp_message().  Return path thread. */
bool sev_session_message(MigrationState *ms, QEMUFile *rp, uint16_t type,
                         uint16_t len, Error **errp);

/* --- Target: handlers of stream.c's table, and the way back --------------- */

bool sev_session_load_hello(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_session_load_session(SevTarget *t, const SevRecord *rec,
                              Error **errp);

/* Is this the platform that @target, a fingerprint on a stream, names? */
bool sev_session_is_here(SevSpan target, Error **errp);

/*
 * Tell the source why the load failed, and give it time to hear.  Main thread,
 * in the loading coroutine.
 */
void coroutine_fn sev_session_refuse(MigrationIncomingState *mis,
                                     const char *text);

#endif /* MIGRATION_SEV_SESSION_H */
