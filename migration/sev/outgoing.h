/*
 * The sending side: what is done with the guest, and how far it is.
 *
 * Two words decide whether a guest that is being sent may run, and which
 * command ends its session: the purpose of the migration and the state of the
 * guest.  outgoing.c has the table; docs/devel/sev-migration.rst shows it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_OUTGOING_H
#define MIGRATION_SEV_OUTGOING_H

#include "qapi/error.h"

typedef enum SevPurpose {
    SEV_PURPOSE_MOVE,           /* a target answers, and takes the guest over */
    SEV_PURPOSE_SAVE,           /* nobody answers: a file, a pipe */
    SEV_PURPOSE_TEMPLATE,
    SEV_PURPOSE_IN_PLACE,       /* a template in the file that backs RAM */
    SEV_PURPOSE__MAX,
} SevPurpose;

typedef enum SevOutgoingState {
    SEV_OUTGOING_IDLE,          /* the guest is here, nothing is sent */
    SEV_OUTGOING_SETUP,         /* a target is asked, no session is open yet */
    SEV_OUTGOING_OPEN,          /* SEND_START was called */
    SEV_OUTGOING_SPOILED,       /* ... and RAM holds packets now */
    SEV_OUTGOING_GIVEN,         /* ... and the target is told to run it */
    SEV_OUTGOING_STUCK,         /* ... and SEND_CANCEL failed */
    SEV_OUTGOING_GONE,          /* SEND_FINISH was called */
    SEV_OUTGOING__MAX,
} SevOutgoingState;

typedef enum SevOutgoingEvent {
    SEV_OUTGOING_PREPARE,       /* another migration is wanted */
    SEV_OUTGOING_BEGIN,         /* its channel is open */
    SEV_OUTGOING_START,         /* SEND_START succeeded */
    SEV_OUTGOING_OVERWRITE,     /* the first page of RAM is a packet */
    SEV_OUTGOING_GIVE,          /* the target has all of it, and proved it */
    SEV_OUTGOING_COMPLETE,      /* the migration has completed */
    SEV_OUTGOING_FAIL,          /* it failed or was cancelled */
    SEV_OUTGOING_EVENT__MAX,
} SevOutgoingEvent;

typedef struct SevOutgoing {
    SevPurpose purpose;         /* fixed from BEGIN on */
    SevOutgoingState state;
} SevOutgoing;

/*
 * The event has happened: run the command that belongs to it, if one does, and
 * move to the next state.  False if the table refuses the event, or if the
 * command failed; the state is the one that follows from that.  BQL held, or
 * the migration thread.
 */
bool sev_outgoing_take(SevOutgoing *o, SevOutgoingEvent event, Error **errp);

/* May the guest run here, while a migration is @running or not?  BQL held. */
bool sev_outgoing_may_run(const SevOutgoing *o, bool running, Error **errp);

#endif /* MIGRATION_SEV_OUTGOING_H */
