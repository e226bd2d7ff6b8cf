/*
 * Who works with the key and who changes it, when several slots run at once.
 *
 * The host is told not to run NEW_KEY, ADOPT and the digests beside anything else.
 * A host that does so all the same gets LANE_BUSY: otherwise it could hold one vCPU
 * in the middle of a change, have another one change the same key, and let a third
 * seal with what is left of it, or write a page of an old session to a guest that
 * was opened by a later one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "state.h"

#define EVERYBODY   0xffffffffu
#define CHANGERS    0xffff0000u

/* Memory that nobody set up does not hold these. */
#define MARK_0      0xf685b230771e4c9dULL
#define MARK_1      0x24df126bc958e30aULL
/* The first of them while a slot, in the lowest four bits, sets it up */
#define SETTING_UP  0x5bd1e995a3c6f010ULL

_Static_assert(LANE_MAX_SLOTS == 16, "a slot is four bits, and a bit of `running`");

int lane_is_set_up(void)
{
    volatile uint64_t *mark = LANE_OWN_STATE->mark;

    return __atomic_load_n(&mark[0], __ATOMIC_SEQ_CST) == MARK_0 &&
           mark[1] == MARK_1;
}

/* Of several slots that come first one does it.  If it faults, it may do it again. */
static int set_up(uint32_t slot)
{
    LaneOwn *own = LANE_OWN_STATE;
    uint64_t seen = __atomic_load_n(&own->mark[0], __ATOMIC_SEQ_CST);
    uint64_t mine = SETTING_UP | slot;

    if (seen == MARK_0 && lane_is_set_up()) {
        return 1;
    }
    if ((seen & ~15ULL) == SETTING_UP && seen != mine) {
        return 0;
    }
    if (!__atomic_compare_exchange_n(&own->mark[0], &seen, mine, 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        return 0;
    }
    lane_zero(&own->mark[1], sizeof(*own) - sizeof(own->mark[0]));
    own->mark[1] = MARK_1;
    __atomic_store_n(&own->mark[0], MARK_0, __ATOMIC_SEQ_CST);
    return 1;
}

/* Whom a use cannot run beside */
static uint32_t waits_for(LaneUse use)
{
    return use == LANE_CHANGES ? EVERYBODY : CHANGERS;
}

/* What @slot itself left there is of a run that has ended. */
uint32_t lane_enter(uint32_t slot, LaneUse use)
{
    uint32_t *running = &LANE_OWN_STATE->running, was, others, mine;

    if (use == LANE_USES_NOTHING) {
        return LANE_OK;
    }
    if (use == LANE_SHARES && !lane_is_set_up()) {
        return LANE_NO_KEY;
    }
    if (!set_up(slot)) {
        return LANE_BUSY;
    }
    mine = use == LANE_SHARES ? LANE_SHARING(slot) : LANE_CHANGING(slot);
    was = __atomic_load_n(running, __ATOMIC_SEQ_CST);
    do {
        others = was & ~(LANE_SHARING(slot) | LANE_CHANGING(slot));
        if (others & waits_for(use)) {
            return LANE_BUSY;
        }
    } while (!__atomic_compare_exchange_n(running, &was, others | mine, 0,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return LANE_OK;
}

void lane_leave(uint32_t slot)
{
    __atomic_fetch_and(&LANE_OWN_STATE->running,
                       ~(LANE_SHARING(slot) | LANE_CHANGING(slot)),
                       __ATOMIC_SEQ_CST);
}
