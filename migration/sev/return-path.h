/*
 * The return path: what a target says, and when a source believes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_RETURN_PATH_H
#define MIGRATION_SEV_RETURN_PATH_H

#include "migration/migration.h"
#include "answers.h"
#include "migration/sev/wire/record.h"
#include "target/i386/sev/transfer.h"

void sev_return_path_init(void);

/* --- Source: return-path.c -------------------------------------------------- */

/* An acknowledgement, as it came. */
typedef struct SevAck {
    uint8_t digest[SEV_RECORD_DIGEST_LEN];
    uint64_t status;            /* of ATTESTATION, when there is no report */
    uint8_t report[SEV_RECORD_REPORT_LEN];
    size_t report_len;          /* all, or 0 */
} SevAck;

/* Another migration begins.  Main thread, before its return path thread. */
void sev_return_path_begin(void);

/* ASKED, SENT or GIVEN, from the state before it.  Migration thread. */
void sev_return_path_step(SevRpState state);

/*
 * Wait for the target's certificates: until they come, the migration is
 * cancelled or fails, or time is up.  Migration thread, BQL held; it is
 * released while waiting.
 */
bool sev_return_path_wait_certs(MigrationState *ms, SevPlatformCerts *certs,
                                Error **errp);

/*
 * Wait for the acknowledgement: until it comes, or the migration is cancelled
 * or fails.  Migration thread, BQL not held.
 */
bool sev_return_path_wait_ack(MigrationState *ms, SevAck *ack, Error **errp);

/*
 * Wait for SHUT, which says that the target runs, for a time.  False: the line
 * broke, or it did not come.  Migration thread, BQL not held.
 */
bool sev_return_path_wait_shut(MigrationState *ms);

/* The migration is over, its channels are not closed yet.  Main thread. */
void sev_return_path_look(MigrationState *ms);

/*
 * Did the migration fail because the line broke?  So it did when the other end
 * was gone as sev_return_path_look() looked, and none of us had another reason
 * before.  Main thread, error_mutex held.
 */
bool sev_return_path_broke(MigrationState *ms);

/*
 * A migration failed while @doing (NULL: there is no line that could be lost).
 * If the line broke, say what that means.
 */
void sev_return_path_explain(MigrationState *ms, const char *doing);

/*
 * The body of sev_rp_message().  True: the message was read here; with an
 * error it ends the migration, and has stopped it already.  False: it is legal,
 * and upstream's to read.  Return path thread.
 */
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

/* Has the other end of @f hung up, as far as is known here?  Both ends. */
bool sev_return_path_hung_up(QEMUFile *f);

/*
 * The same of a channel, unread bytes or not, as far as the kernel knows.  It is
 * also down when this end shut it down.  Both ends.
 */
bool sev_channel_is_down(QIOChannel *ioc);

/* Tell the source why the load failed, and give it time to hear. */
void coroutine_fn sev_return_path_refuse(const char *text);

#endif /* MIGRATION_SEV_RETURN_PATH_H */
