/*
 * A session of the lane: who made its key, who may use it, and its end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "state.h"

#define MIB2    (1ULL << 21)

/* Memory that no packet came to does not hold this. */
static const uint8_t carried_mark[16] = {
    0x53, 0x45, 0x56, 0x20, 0x6c, 0x61, 0x6e, 0x65,
    0xc7, 0x3a, 0x91, 0x0e, 0x64, 0xbd, 0x28, LANE_ABI_VERSION,
};

uint32_t lane_role(void)
{
    LaneOwn *own = LANE_OWN_STATE;
    uint32_t role = *(volatile uint32_t *)&own->role;

    return lane_is_set_up() && role <= LANE_ROLE_FAILED ? role : LANE_ROLE_NONE;
}

static void set_role(uint32_t role)
{
    *(volatile uint32_t *)&LANE_OWN_STATE->role = role;
}

/*
 * Nobody takes a key from here on, and who has one will see that it is old.  Several
 * slots may be here at once only when all of them end the key.
 */
static void begin_change(uint32_t role)
{
    set_role(role);
    __atomic_fetch_or(&LANE_OWN_STATE->generation, 1, __ATOMIC_SEQ_CST);
}

/* The new role is seen last. */
static void end_change(uint32_t role)
{
    LaneOwn *own = LANE_OWN_STATE;
    uint64_t now = __atomic_load_n(&own->generation, __ATOMIC_SEQ_CST);

    __atomic_store_n(&own->generation, (now | 1) + 1, __ATOMIC_SEQ_CST);
    set_role(role);
}

/*
 * The key goes, and the page that carries it.  The session's name stays when a
 * target has failed: the same session is not adopted again.
 */
void lane_wipe(uint32_t role)
{
    LaneOwn *own = LANE_OWN_STATE;

    begin_change(role);
    lane_zero(&own->key, sizeof(own->key));
    lane_zero(LANE_KEY_PAGE, LANE_PAGE);
    if (role != LANE_ROLE_FAILED) {
        lane_zero(own->session, sizeof(own->session));
    }
    end_change(role);
}

/* The digest is sealed; the page that carries the key stays, to be wrapped. */
void lane_seal_no_more(void)
{
    begin_change(LANE_ROLE_SEALED);
    lane_zero(&LANE_OWN_STATE->key, sizeof(LANE_OWN_STATE->key));
    end_change(LANE_ROLE_SEALED);
}

/* Private copies of the host's windows; nothing else looks at the mailbox's. */
static uint32_t take_windows(LaneScratch *scratch, volatile LaneMailbox *box)
{
    uint32_t count = box->count;
    uint64_t end = 0;

    if (!count || count > LANE_MAX_WINDOWS) {
        return LANE_BAD_COUNT;
    }
    lane_take(scratch->windows, box->windows, count * sizeof(LaneWindow));
    for (uint32_t i = 0; i < count; i++) {
        const LaneWindow *w = &scratch->windows[i];

        if (w->base % MIB2 || w->size % LANE_PAGE || !w->size || w->base < end ||
            w->base > LANE_RAM_MAX || w->size > LANE_RAM_MAX - w->base) {
            box->bad = i;
            return LANE_BAD_WINDOW;
        }
        end = w->base + w->size;
    }
    scratch->nwindows = count;
    return LANE_OK;
}

/* A new session has no versions.  A multiple of 4, for whole blocks of GHASH */
static void clear_versions(LaneOwn *own)
{
    const LaneWindow *last = &own->windows[own->nwindows - 1];

    own->pages = (last->base + last->size) / LANE_PAGE;
    own->pages = (own->pages + 3) / 4 * 4;
    lane_zero((void *)LANE_TABLE, own->pages * sizeof(LaneVersion));
}

static void begin_session(const LaneScratch *scratch, const LaneCarried *from)
{
    LaneOwn *own = LANE_OWN_STATE;

    begin_change(LANE_ROLE_NONE);
    lane_zero(own->windows, sizeof(own->windows));
    lane_give(own->windows, scratch->windows,
              scratch->nwindows * sizeof(LaneWindow));
    own->nwindows = scratch->nwindows;
    own->batches = 0;
    own->path = lane_best_path();
    lane_give(own->session, from->session, LANE_SESSION);
    aead_expand(&own->key, from->secret);
    clear_versions(own);
}

static int random_session(LaneCarried *to)
{
    uint8_t *at = to->session;

    lane_give(to->mark, carried_mark, sizeof(carried_mark));
    while (at < to->secret + AEAD_KEY) {
        uint64_t value;

        if (!lane_random(&value)) {
            return 0;
        }
        lane_give(at, &value, sizeof(value));
        at += sizeof(value);
    }
    return 1;
}

uint32_t lane_new_key(LaneScratch *scratch, volatile LaneMailbox *box)
{
    LaneCarried *fresh = (void *)scratch->page;
    uint32_t role = lane_role(), status;

    if (role == LANE_ROLE_FAILED) {
        return LANE_FAILED;
    }
    if (role == LANE_ROLE_TARGET) {
        return LANE_MAY_NOT_SEAL;
    }
    if (!lane_has_aes()) {
        return LANE_NO_AES;
    }
    status = take_windows(scratch, box);
    if (status != LANE_OK) {
        return status;
    }
    lane_wipe(LANE_ROLE_NONE);
    if (!random_session(fresh)) {
        return LANE_NO_RANDOM;
    }
    begin_session(scratch, fresh);
    lane_give(LANE_KEY_PAGE, fresh, sizeof(*fresh));
    end_change(LANE_ROLE_SOURCE);
    return LANE_OK;
}

/* May this end, which has @role, adopt the session that packets brought? */
static uint32_t may_adopt(uint32_t role, const LaneCarried *carried)
{
    int again = lane_same(carried->session, LANE_OWN_STATE->session, LANE_SESSION);

    switch (role) {
    case LANE_ROLE_SOURCE:
    case LANE_ROLE_SEALED:
        return LANE_MAY_NOT_OPEN;
    case LANE_ROLE_FAILED:
        return again ? LANE_FAILED : LANE_OK;
    case LANE_ROLE_TARGET:
        return again ? LANE_STALE : LANE_OK;
    default:
        return LANE_OK;
    }
}

uint32_t lane_adopt(LaneScratch *scratch, volatile LaneMailbox *box)
{
    LaneCarried *carried = (void *)scratch->page;
    uint32_t role = lane_role(), status;

    lane_take(carried, LANE_KEY_PAGE, sizeof(*carried));
    if (!lane_same(carried->mark, carried_mark, sizeof(carried_mark))) {
        return role == LANE_ROLE_FAILED ? LANE_FAILED : LANE_NO_KEY;
    }
    status = may_adopt(role, carried);
    if (status != LANE_OK) {
        return status;
    }
    if (!lane_has_aes()) {
        return LANE_NO_AES;
    }
    status = take_windows(scratch, box);
    if (status != LANE_OK) {
        return status;
    }
    begin_session(scratch, carried);
    lane_zero(LANE_KEY_PAGE, LANE_PAGE);
    end_change(LANE_ROLE_TARGET);
    return LANE_OK;
}

static uint32_t refusal(uint32_t has, uint32_t wanted)
{
    if (has == LANE_ROLE_FAILED) {
        return LANE_FAILED;
    }
    if (has == LANE_ROLE_NONE) {
        return LANE_NO_KEY;
    }
    return wanted == LANE_ROLE_SOURCE ? LANE_MAY_NOT_SEAL : LANE_MAY_NOT_OPEN;
}

/*
 * Every run works with copies.  A host that wipes the key from another slot
 * meanwhile must not get pages that are sealed with zeros.  So the generation is
 * read before the role: a host can hold this vCPU between the two for as long as it
 * likes, and wipe the key.
 */
uint32_t lane_take_key(LaneScratch *scratch, uint32_t role)
{
    LaneOwn *own = LANE_OWN_STATE;
    uint32_t has;

    scratch->generation = __atomic_load_n(&own->generation, __ATOMIC_SEQ_CST);
    has = lane_role();
    if (has != role) {
        return refusal(has, role);
    }
    lane_take(&scratch->key, &own->key, sizeof(own->key));
    lane_take(scratch->windows, own->windows, sizeof(own->windows));
    scratch->nwindows = own->nwindows;
    scratch->path = own->path;
    if (scratch->generation & 1 || scratch->nwindows > LANE_MAX_WINDOWS ||
        !lane_key_is_current(scratch)) {
        return LANE_NO_KEY;
    }
    return LANE_OK;
}

int lane_key_is_current(const LaneScratch *scratch)
{
    /* What was read of the key was read before this. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&LANE_OWN_STATE->generation, __ATOMIC_ACQUIRE) ==
           scratch->generation;
}

uint32_t lane_next_epoch(void)
{
    uint64_t epoch = __atomic_add_fetch(&LANE_OWN_STATE->batches, 1,
                                        __ATOMIC_SEQ_CST);

    return epoch < LANE_MAX_EPOCH ? epoch : 0;
}
