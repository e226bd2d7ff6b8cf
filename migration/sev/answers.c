/*
 * Which message of a target is legal when.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "answers.h"
#include "migration/sev/wire/record.h"

static const char *const state_name[SEV_RP__MAX] = {
    [SEV_RP_QUIET] = "quiet",
    [SEV_RP_ASKED] = "asked",
    [SEV_RP_SENDING] = "sending",
    [SEV_RP_SENT] = "sent",
    [SEV_RP_JUDGING] = "judging",
    [SEV_RP_GIVEN] = "given",
    [SEV_RP_OVER] = "over",
};

#define IN(state) (1u << SEV_RP_##state)
#define ANY ((1u << SEV_RP__MAX) - 1)

/* What is not in this table is refused. */
static const struct {
    uint16_t type;
    const char *name;
    uint16_t min, max;          /* length */
    unsigned states;            /* in which the message is legal */
    unsigned once;              /* in which it must not come again */
} messages[] = {
    /* Upstream's first PING, then those of pace.c */
    { SEV_RP_PONG, "PONG", 4, 4,
      IN(QUIET) | IN(ASKED) | IN(SENDING) | IN(SENT), IN(QUIET) | IN(ASKED) },
    { SEV_RP_SWITCHOVER_ACK, "SWITCHOVER_ACK", 0, 0,
      IN(QUIET) | IN(ASKED) | IN(SENDING), ANY },
    { SEV_RP_CERTS, "certificates", SEV_RECORD_HEADER_LEN, UINT16_MAX,
      IN(ASKED), ANY },
    { SEV_RP_REFUSAL, "refusal", 1, SEV_RP_REFUSAL_MAX, ANY, ANY },
    { SEV_RP_ACK, "acknowledgement", SEV_RECORD_HEADER_LEN, UINT16_MAX,
      IN(SENT), ANY },
    { SEV_RP_SHUT, "SHUT", 4, 4, IN(GIVEN), ANY },
    /* Postcopy's, which an SEV guest is refused */
    { SEV_RP_REQ_PAGES_ID, "REQ_PAGES_ID" },
    { SEV_RP_REQ_PAGES, "REQ_PAGES" },
    { SEV_RP_RECV_BITMAP, "RECV_BITMAP" },
    { SEV_RP_RESUME_ACK, "RESUME_ACK" },
};

QEMU_BUILD_BUG_ON(ARRAY_SIZE(messages) > 32);

const char *sev_rp_state_name(SevRpState state)
{
    return state_name[state];
}

static int message_row(uint16_t type)
{
    for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
        if (messages[i].type == type) {
            return i;
        }
    }
    return -1;
}

const char *sev_answer_name(uint16_t type)
{
    int row = message_row(type);

    return row < 0 ? NULL : messages[row].name;
}

bool sev_answer_legal(SevRpState state, uint32_t *seen, uint16_t type,
                      uint16_t len, bool switchover_ack, Error **errp)
{
    int row = message_row(type);

    if (row < 0) {
        error_setg(errp, "SEV return path: a message of unknown type 0x%04x, "
                   "%u bytes", type, len);
        return false;
    }
    if (!(messages[row].states & (1u << state)) ||
        (type == SEV_RP_SWITCHOVER_ACK && !switchover_ack)) {
        error_setg(errp, "SEV return path: %s (type 0x%04x, %u bytes) is out of "
                   "place in state '%s'", messages[row].name, type, len,
                   state_name[state]);
        return false;
    }
    if ((messages[row].once & (1u << state)) && (*seen & (1u << row))) {
        error_setg(errp, "SEV return path: %s (type 0x%04x, %u bytes) comes a "
                   "second time", messages[row].name, type, len);
        return false;
    }
    if (len < messages[row].min || len > messages[row].max) {
        error_setg(errp, "SEV return path: %s of %u bytes, not %u to %u",
                   messages[row].name, len, messages[row].min,
                   messages[row].max);
        return false;
    }
    *seen |= 1u << row;
    return true;
}
