/*
 * What the lane keeps in private memory, and how its files call each other.
 *
 * Threads: each slot is a vCPU of its own.  Slots share LaneOwn and the versions.
 * `running` keeps apart who changes LaneOwn and who works with it, but for an end
 * of the key, which waits for nobody: `generation` shows that.  Versions change by
 * compare-and-exchange.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LANE_STATE_H
#define LANE_STATE_H

#include "abi.h"
#include "aead.h"

/* In a test the lane is a library, and its space is memory of the test. */
#ifdef LANE_HOSTED
extern uint8_t *lane_space;
#define LANE_AT(offset) (lane_space + (offset))
#else
#define LANE_AT(offset) ((uint8_t *)(uintptr_t)(offset))
#endif

#define LANE_SESSION    16

/*
 * LANE_CARRIED: the only page with a secret that goes to a target.  What it
 * says is the same at both ends, so it cannot say who made the key; LaneOwn
 * does, and never travels.
 */
typedef struct LaneCarried {
    uint8_t mark[16];
    uint8_t session[LANE_SESSION];
    uint8_t secret[AEAD_KEY];
} LaneCarried;

/* LANE_OWN: rubbish until the first NEW_KEY or ADOPT, so it has a mark. */
typedef struct LaneOwn {
    uint64_t mark[2];
    uint8_t session[LANE_SESSION];
    uint32_t role;
    uint32_t running;           /* LANE_SHARING and LANE_CHANGING of each slot */
    uint64_t generation;        /* odd while key, session or windows change */
    uint64_t batches;           /* the last epoch that was given */
    uint64_t pages;             /* entries of the version table */
    uint32_t nwindows;
    uint32_t path;
    LaneWindow windows[LANE_MAX_WINDOWS];
    AeadKey key;
} LaneOwn;

_Static_assert(sizeof(LaneOwn) <= LANE_OWN_PAGES * LANE_PAGE, "LANE_OWN's room");

/* Bits of `running`; entry.S clears both after a fault. */
#define LANE_SHARING(slot)  (1u << (slot))
#define LANE_CHANGING(slot) (0x10000u << (slot))

/* What a command does with LaneOwn */
typedef enum LaneUse {
    LANE_USES_NOTHING,
    LANE_SHARES,                /* the key: SEAL, OPEN */
    LANE_CHANGES,               /* alone */
    LANE_ENDS,                  /* WIPE: beside others that share, not that change */
} LaneUse;

/* From LANE_SLOTS + slot * LANE_SLOT_SIZE; zeroed at the end of each run */
#define LANE_STACK_TOP      0x2000
#define LANE_FAULT_TOP      0x3000
#define LANE_SCRATCH        0x3000
#define LANE_SLOT_ZEROED    0x6000

/* What a run works with: nothing of it changes under its feet. */
typedef struct LaneScratch {
    uint8_t page[LANE_PAGE];    /* between the host's memory and the guest's */
    uint8_t ours[LANE_PAGE];    /* CHECK_DIGEST only */
    AeadKey key;
    LaneWindow windows[LANE_MAX_WINDOWS];
    uint64_t generation;
    uint32_t nwindows;
    uint32_t path;
} LaneScratch;

_Static_assert(LANE_SCRATCH + sizeof(LaneScratch) <= LANE_SLOT_ZEROED,
               "a slot's room");

/*
 * An entry of the version table: the epoch of the page's last version, 0 when
 * there was none.  BUSY while a slot works on the page.
 */
#define LANE_VERSION_BUSY   (1u << 31)

typedef volatile uint32_t LaneVersion;

#define LANE_OWN_STATE  ((LaneOwn *)LANE_AT(LANE_OWN))
#define LANE_KEY_PAGE   ((LaneCarried *)LANE_AT(LANE_CARRIED))
#define LANE_TABLE      ((LaneVersion *)LANE_AT(LANE_VERSIONS))

/* slots.c: LANE_OK, LANE_BUSY, or LANE_NO_KEY where nobody set anything up */
uint32_t lane_enter(uint32_t slot, LaneUse use);
void lane_leave(uint32_t slot);
int lane_is_set_up(void);

/* session.c */
uint32_t lane_role(void);
uint32_t lane_new_key(LaneScratch *scratch, volatile LaneMailbox *box);
uint32_t lane_adopt(LaneScratch *scratch, volatile LaneMailbox *box);
/* Take the key for a run of @role: LANE_OK or why not. */
uint32_t lane_take_key(LaneScratch *scratch, uint32_t role);
/* False when the key was wiped or replaced since it was taken. */
int lane_key_is_current(const LaneScratch *scratch);
void lane_wipe(uint32_t role);
void lane_seal_no_more(void);
/* The next epoch of the session, or 0 when there is none. */
uint32_t lane_next_epoch(void);

/* pages.c */
uint32_t lane_seal(LaneScratch *scratch, volatile LaneMailbox *box);
uint32_t lane_open(LaneScratch *scratch, volatile LaneMailbox *box);
void lane_seal_page(const LaneScratch *scratch, const uint8_t *nonce,
                    const uint8_t *aad, const void *in, void *out, uint8_t *tag);
int lane_open_page(const LaneScratch *scratch, const uint8_t *nonce,
                   const uint8_t *aad, const void *in, void *out,
                   const uint8_t *tag);
void lane_put_aad(uint8_t aad[AEAD_BLOCK], uint64_t offset, uint32_t block,
                  uint32_t epoch);
/* 80 random bits, then @count.  0 when there is no randomness. */
int lane_nonce_prefix(uint64_t prefix[2]);
void lane_put_nonce(uint8_t nonce[AEAD_NONCE], const uint64_t prefix[2],
                    uint16_t count);

/* digest.c */
uint32_t lane_seal_digest(LaneScratch *scratch, volatile LaneMailbox *box);
uint32_t lane_check_digest(LaneScratch *scratch, volatile LaneMailbox *box);

/* cpu.c: what only the CPU knows */
int lane_has_aes(void);
uint32_t lane_best_path(void);          /* LANE_PATH_* */
int lane_random(uint64_t *value);       /* 64 bits; 0 when there are none */

/* memory.c */
void lane_zero(void *at, size_t bytes);             /* never left out */
void lane_take(void *to, const volatile void *from, size_t bytes);
void lane_give(volatile void *to, const void *from, size_t bytes);
int lane_same(const void *a, const void *b, size_t bytes);

/* main.c: one command; returns the vectors that must be cleared (LANE_PATH_*) */
uint32_t lane_main(uint32_t slot);

#endif
