/*
 * Who sends to whom: certificates (receiver.c) and the session (session.c).  Both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_SESSION_H
#define MIGRATION_SEV_SESSION_H

#include "migration/migration.h"
#include "incoming.h"
#include "target/i386/sev/transfer.h"

/* --- Source ---------------------------------------------------------------- */

/*
 * Whom to seal for, and that this platform may receive the guest: the target
 * that answers our HELLO, if it can; the one the migration parameters name;
 * else this platform itself.  Migration thread, BQL held; it is released while
 * waiting for the answer.
 */
bool sev_session_find_target(MigrationState *ms, QEMUFile *f,
                             SevPlatformCerts *target, Error **errp);

/* The same for a stream on which nobody can answer; not checked. */
bool sev_session_named_target(SevPlatformCerts *target, Error **errp);

/*
 * May this platform receive the guest that is here: is it the guest's own, or is
 * it trusted and allowed?  What its chain lacks is filled in, if it is our own.
 */
bool sev_session_may_receive(SevPlatformCerts *target, Error **errp);

/* SEND_START for @target, and the SESSION record. */
bool sev_session_seal(QEMUFile *f, const SevPlatformCerts *target,
                      Error **errp);
/* The same; the record is appended to @out. */
bool sev_session_encode(GByteArray *out, const SevPlatformCerts *target,
                        Error **errp);

/*
 * Is this the platform that we are on?  A guest that stays needs no permission.  False
 * with an error: this platform cannot be asked.
 */
bool sev_session_is_own(const char *fingerprint, Error **errp);

/* --- Target: handlers of order.c's table --------------------------------- */

bool sev_session_load_hello(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_session_load_session(SevTarget *t, const SevRecord *rec,
                              Error **errp);

/*
 * RECEIVE_START from a SESSION record, if its platform is this one and its source
 * is allowed.
 */
bool sev_session_open(const SevRecordSession *r, Error **errp);

/*
 * Is this the platform that @target, a fingerprint on a stream, names?  With
 * @chip, that of its CEK (or empty), a PDH that was replaced is told from
 * another platform.
 */
bool sev_session_is_here(SevSpan target, SevSpan chip, Error **errp);

#endif /* MIGRATION_SEV_SESSION_H */
