/*
 * Which message of a target is legal when: the source's table of its return
 * path, as order.c has one of the records on the way there.
 *
 * The message header is upstream's: type u16, length u16, big-endian.  Our
 * types are far from upstream's, which count from 0.
 *
 * Pure: no stream, no guest, no globals.  To the byte:
 * docs/interop/sev-record.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_ANSWERS_H
#define MIGRATION_SEV_ANSWERS_H

#include "qapi/error.h"

enum {
    /* Upstream's, private to migration.c */
    SEV_RP_SHUT             = 1,
    SEV_RP_PONG             = 2,
    SEV_RP_REQ_PAGES_ID     = 3,
    SEV_RP_REQ_PAGES        = 4,
    SEV_RP_RECV_BITMAP      = 5,
    SEV_RP_RESUME_ACK       = 6,
    SEV_RP_SWITCHOVER_ACK   = 7,
    /* Ours */
    SEV_RP_CERTS            = 0x5e01,   /* a CERTS record */
    SEV_RP_REFUSAL          = 0x5e02,   /* a sentence, UTF-8, no terminator */
    SEV_RP_ACK              = 0x5e03,   /* an ACK record */
    SEV_RP_REFUSAL_MAX      = 1024,
};

/*
 * How far a move is, for what the target may say.  The migration thread makes
 * a step before it sends what may be answered; the answer makes the next one.
 */
typedef enum SevRpState {
    SEV_RP_QUIET,               /* nothing was asked */
    SEV_RP_ASKED,               /* HELLO goes out: certificates may come */
    SEV_RP_SENDING,             /* they are here; the guest is sent */
    SEV_RP_SENT,                /* END goes out: the acknowledgement may come */
    SEV_RP_JUDGING,             /* it is here */
    SEV_RP_GIVEN,               /* GO goes out: SHUT may come */
    SEV_RP_OVER,                /* it is here */
    SEV_RP__MAX,
} SevRpState;

const char *sev_rp_state_name(SevRpState state);

/* "REQ_PAGES"; NULL for a type that nobody knows. */
const char *sev_answer_name(uint16_t type);

/*
 * May a message of this type and length come in @state?  @seen remembers those
 * that come only once; it starts as 0.  Which PONG is due is for pace.h to say.
 * A SWITCHOVER_ACK is one only when @switchover_ack was asked for.
 */
bool sev_answer_legal(SevRpState state, uint32_t *seen, uint16_t type,
                      uint16_t len, bool switchover_ack, Error **errp);

#endif /* MIGRATION_SEV_ANSWERS_H */
