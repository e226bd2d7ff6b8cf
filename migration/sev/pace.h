/*
 * How many packets the target has opened, and how long it takes for one.
 *
 * The source writes PINGs between the sections of its stream, which upstream's
 * target answers with PONGs when it has loaded what is before them: the answer
 * says that the packets before the PING are opened.  No target has to know
 * anything for that, and no message is new.
 *
 *   source    PAGES PAGES [PING a] PAGES [PING b] ...
 *   target                        [PONG a]       [PONG b]
 *
 * Numbers come from this end alone; a target can be late, or early, and no more.
 * Any thread, unless it says otherwise.  To the byte: docs/interop/sev-record.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_PACE_H
#define MIGRATION_SEV_PACE_H

#include "qapi/error.h"

/* PINGs have this and their number, modulo 2^24; upstream's count from 1. */
#define SEV_PACE_PING   0x5e000000u
/* So many are under way at most; then packets wait for the next one. */
#define SEV_PACE_MARKS  64

/* What is known. */
typedef struct SevPace {
    uint32_t answers;           /* so far */
    uint32_t under_way;         /* PINGs without an answer */
    uint64_t opened;            /* packets, at least */
    uint64_t packet_ns;         /* of one, while it had more; 0: unknown */
    uint64_t round_trip_ns;     /* of an answer with nothing to do, the least */
    bool has_round_trip;
} SevPace;

/* Another migration begins.  Main thread. */
void sev_pace_begin(void);

/*
 * The value of a PING that is to be written now, at time @now in ns, behind all
 * of @packets; 0: none is needed, or too many are under way.  Migration thread.
 */
uint32_t sev_pace_mark(uint64_t packets, int64_t now);

/* The same to learn the round trip: 0 unless nothing is under way. */
uint32_t sev_pace_ask(int64_t now);

/* A PONG came.  False: it answers no PING, or comes out of turn. */
bool sev_pace_heard(uint32_t value, int64_t now, Error **errp);

SevPace sev_pace_get(void);

/* Wait for another answer than @known has, for @ms at most. */
void sev_pace_wait(const SevPace *known, int ms);

#endif /* MIGRATION_SEV_PACE_H */
