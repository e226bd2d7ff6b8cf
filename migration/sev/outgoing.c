/*
 * The sending side as a table: purpose, state, event.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "outgoing.h"
#include "target/i386/sev/transfer.h"
#include "trace.h"

/* What an event does to the session. */
typedef enum Command {
    REFUSE,                     /* the event is not legal here */
    NOTHING,
    CANCEL,                     /* SEND_CANCEL; if it fails: STUCK */
    FINISH,                     /* SEND_FINISH; if it fails: next all the same */
} Command;

typedef struct Cell {
    Command command;
    SevOutgoingState next;
} Cell;

/*
 * A state of a purpose: what each event does there.  What is not listed is
 * refused.
 */
typedef Cell Row[SEV_OUTGOING_EVENT__MAX];

#define ON(event, command, state) \
    [SEV_OUTGOING_##event] = { command, SEV_OUTGOING_##state }

static const Row idle = {
    ON(PREPARE, NOTHING, IDLE),
    ON(BEGIN, NOTHING, SETUP),
    ON(COMPLETE, NOTHING, IDLE),        /* a migration that never began */
    ON(FAIL, NOTHING, IDLE),
};
static const Row setup = {
    ON(START, NOTHING, OPEN),
    ON(COMPLETE, NOTHING, IDLE),
    ON(FAIL, NOTHING, IDLE),
};
static const Row open_move = {
    ON(GIVE, NOTHING, GIVEN),
    ON(COMPLETE, CANCEL, IDLE),         /* nobody was told to run it */
    ON(FAIL, CANCEL, IDLE),
};
/* Nobody has said anything, and the guest may go on, as upstream's may. */
static const Row open_save = {
    ON(COMPLETE, CANCEL, IDLE),
    ON(FAIL, CANCEL, IDLE),
};
static const Row open_in_place = {
    ON(OVERWRITE, NOTHING, SPOILED),
    ON(COMPLETE, CANCEL, IDLE),         /* no page was private */
    ON(FAIL, CANCEL, IDLE),
};
static const Row spoiled = {
    ON(OVERWRITE, NOTHING, SPOILED),
    ON(COMPLETE, FINISH, GONE),
    ON(FAIL, FINISH, GONE),
};
/* Nothing brings it back. */
static const Row given = {
    ON(COMPLETE, FINISH, GONE),
    ON(FAIL, FINISH, GONE),
};
/* The guest runs; the command is tried again before anything else. */
static const Row stuck = {
    ON(PREPARE, CANCEL, IDLE),
    ON(COMPLETE, NOTHING, STUCK),
    ON(FAIL, NOTHING, STUCK),
};
static const Row gone = {
    ON(COMPLETE, NOTHING, GONE),
    ON(FAIL, NOTHING, GONE),
};
static const Row impossible;

static const Row *const table[SEV_PURPOSE__MAX][SEV_OUTGOING__MAX] = {
    [SEV_PURPOSE_MOVE] = {
        &idle, &setup, &open_move, &impossible, &given, &stuck, &gone,
    },
    [SEV_PURPOSE_SAVE] = {
        &idle, &setup, &open_save, &impossible, &impossible, &stuck, &gone,
    },
    [SEV_PURPOSE_TEMPLATE] = {
        &idle, &setup, &open_save, &impossible, &impossible, &stuck, &gone,
    },
    [SEV_PURPOSE_IN_PLACE] = {
        &idle, &setup, &open_in_place, &spoiled, &impossible, &stuck, &gone,
    },
};

/* What is said to a guest that wants to run. */
typedef enum Verdict {
    NEVER,
    RUNS,
    WAITS,                      /* while the migration runs */
} Verdict;

static const Verdict verdicts[SEV_PURPOSE__MAX][SEV_OUTGOING__MAX] = {
    /*                          IDLE   SETUP  OPEN   SPOILED GIVEN STUCK GONE */
    [SEV_PURPOSE_MOVE] =      { RUNS,  RUNS,  RUNS,  NEVER, NEVER, RUNS, NEVER },
    [SEV_PURPOSE_SAVE] =      { RUNS,  RUNS,  RUNS,  NEVER, NEVER, RUNS, NEVER },
    [SEV_PURPOSE_TEMPLATE] =  { WAITS, WAITS, WAITS, NEVER, NEVER, RUNS, NEVER },
    [SEV_PURPOSE_IN_PLACE] =  { WAITS, WAITS, WAITS, NEVER, NEVER, RUNS, NEVER },
};

/* --- Looking it up ------------------------------------------------------------ */

static bool gone_for_good(const SevOutgoing *o, Error **errp)
{
    error_setg(errp, "SEV: the guest was %s", o->purpose == SEV_PURPOSE_IN_PLACE
               ? "sealed in the file of its memory, as a template: it cannot "
                 "run again"
               : "migrated away: it runs on the target now, and its key here "
                 "is gone");
    return false;
}

bool sev_outgoing_may_run(const SevOutgoing *o, bool running, Error **errp)
{
    switch (verdicts[o->purpose][o->state]) {
    case RUNS:
        return true;
    case WAITS:
        if (running) {
            /* Its pages are sealed once each. */
            error_setg(errp, "SEV: a template is being made of the guest: wait "
                       "until it is done, or cancel it");
        }
        return !running;
    case NEVER:
        break;
    }
    return gone_for_good(o, errp);
}

static bool refuse(const SevOutgoing *o, Error **errp)
{
    if (verdicts[o->purpose][o->state] == NEVER) {
        return gone_for_good(o, errp);
    }
    error_setg(errp, "SEV: the last migration of the guest is not cleaned up "
               "yet: try again");
    return false;
}

bool sev_outgoing_take(SevOutgoing *o, SevOutgoingEvent event, Error **errp)
{
    const Cell *cell = &(*table[o->purpose][o->state])[event];
    bool done;

    switch (cell->command) {
    case REFUSE:
        return refuse(o, errp);
    case CANCEL:
        trace_sev_migration_end("cancel");
        done = sev_send_cancel(errp);
        o->state = done ? cell->next : SEV_OUTGOING_STUCK;
        return done;
    case FINISH:
        trace_sev_migration_end("finish");
        o->state = cell->next;
        return sev_send_finish(errp);
    case NOTHING:
        break;
    }
    o->state = cell->next;
    return true;
}
