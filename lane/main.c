/*
 * The lane: one command for each run.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "state.h"

/* What entry.S writes when there is a fault */
_Static_assert(__builtin_offsetof(LaneMailbox, status) == 8 &&
               __builtin_offsetof(LaneMailbox, abi) == 20 &&
               __builtin_offsetof(LaneMailbox, fault) == 48 &&
               __builtin_offsetof(LaneFault, address) == 24 &&
               LANE_FAULT == 16 && LANE_STACK_TOP == 0x2000 &&
               LANE_FAULT_TOP == 0x3000 && LANE_SLOT_ZEROED == 0x6000 &&
               __builtin_offsetof(LaneOwn, running) == 36 &&
               (LANE_SHARING(0) | LANE_CHANGING(0)) == 0x10001,
               "entry.S knows these");
_Static_assert(sizeof(LaneMailbox) <= LANE_JOBS &&
               LANE_JOBS + LANE_MAX_JOBS * sizeof(LaneJob) <= LANE_PAGES &&
               LANE_SLOT_BYTES <= LANE_SHARED_STRIDE,
               "a mailbox has room for all that is behind it");
_Static_assert(LANE_SLOTS + LANE_MAX_SLOTS * LANE_SLOT_SIZE == LANE_PRIVATE_END,
               "the slots end where private memory does");

static uint32_t hello(volatile LaneMailbox *box)
{
    if (!lane_has_aes()) {
        return LANE_NO_AES;
    }
    box->path = lane_best_path();
    return LANE_OK;
}

/* WIPE is for every role; a target that failed stays one. */
static uint32_t wipe(void)
{
    lane_wipe(lane_role() == LANE_ROLE_FAILED ? LANE_ROLE_FAILED
                                              : LANE_ROLE_NONE);
    return LANE_OK;
}

static LaneUse use_of(uint32_t command)
{
    switch (command) {
    case LANE_SEAL:
    case LANE_OPEN:
        return LANE_SHARES;
    case LANE_NEW_KEY:
    case LANE_ADOPT:
    case LANE_SEAL_DIGEST:
    case LANE_CHECK_DIGEST:
        return LANE_CHANGES;
    case LANE_WIPE:
        return LANE_ENDS;
    default:
        return LANE_USES_NOTHING;
    }
}

static uint32_t run(uint32_t command, LaneScratch *scratch,
                    volatile LaneMailbox *box)
{
    switch (command) {
    case LANE_HELLO:
        return hello(box);
    case LANE_NEW_KEY:
        return lane_new_key(scratch, box);
    case LANE_SEAL:
        return lane_seal(scratch, box);
    case LANE_SEAL_DIGEST:
        return lane_seal_digest(scratch, box);
    case LANE_ADOPT:
        return lane_adopt(scratch, box);
    case LANE_OPEN:
        return lane_open(scratch, box);
    case LANE_CHECK_DIGEST:
        return lane_check_digest(scratch, box);
    case LANE_WIPE:
        return wipe();
    default:
        return LANE_BAD_COMMAND;
    }
}

uint32_t lane_main(uint32_t slot)
{
    volatile LaneMailbox *box = (void *)LANE_AT(LANE_SHARED +
                                                slot * LANE_SHARED_STRIDE);
    LaneScratch *scratch = (void *)LANE_AT(LANE_SLOTS + slot * LANE_SLOT_SIZE +
                                           LANE_SCRATCH);
    uint32_t command = box->command, status;

    scratch->path = LANE_PATH_AESNI;
    status = lane_enter(slot, use_of(command));
    if (status == LANE_OK) {
        status = run(command, scratch, box);
    }
    lane_leave(slot);
    box->abi = LANE_ABI_VERSION;
    box->role = lane_role();
    box->status = status;
    return scratch->path;
}
