/*
 * The end of a move: who has the guest, and may run it.
 *
 *      SOURCE                                        TARGET
 *                                                    has loaded everything
 *               <---- ACK: digest, report ----
 *      believes it; from here on it never
 *      runs the guest, and cannot cancel
 *               ----- GO -------------------->       runs the guest
 *               <---- SHUT -------------------
 *      completed
 *
 * If the line breaks before the ACK is believed, the guest runs on at the
 * source.  If it breaks later, the source ends as completed.  A target that
 * hears no GO keeps the guest paused and says so: it cannot know which of the
 * two it was, the source can.  So at no time both run it, and whatever happens
 * it is not lost.
 *
 * What the ACK proves: docs/interop/sev-record.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_HANDOVER_H
#define MIGRATION_SEV_HANDOVER_H

#include "migration/migration.h"
#include "outgoing.h"
#include "incoming.h"
#include "target/i386/sev/transfer.h"

/* --- Source ----------------------------------------------------------------- */

/* The guest is sealed to @target, whose certificates are taken over. */
void sev_handover_begin(SevPlatformCerts *target);
void sev_handover_end(void);

/*
 * The stream is out: wait for the acknowledgement, judge it, take the event
 * GIVE, say GO, and wait a while for SHUT.  False: the guest is still here.
 * Migration thread, BQL not held.
 */
bool sev_handover_give(MigrationState *ms, SevOutgoing *o, Error **errp);

/* --- Target ----------------------------------------------------------------- */

/*
 * Everything is loaded from @f: acknowledge it and wait for GO.  If it does not
 * come, the guest will be paused, and the migration's error says why.  Main
 * thread, in the loading coroutine.
 */
void coroutine_fn sev_handover_take(SevTarget *t, QEMUFile *f);

#endif /* MIGRATION_SEV_HANDOVER_H */
