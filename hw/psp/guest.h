/*
 * What the chip knows about one guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_GUEST_H
#define PSP_GUEST_H

#include "crypto.h"
#include "memory.h"
#include "packet.h"
#include "psp-abi.h"
#include "rwlock.h"

typedef struct PspGuest {
    /* Never change */
    uint32_t handle;
    uint32_t policy;
    PspMemKey *vek;

    /* Read by packet commands, written by those that change the state */
    PspRwLock lock;
    PspGuestState state;
    uint32_t asid;              /* 0: not active */
    PspTransport transport;     /* zeros outside a launch or transfer */
    PspSha256 launch;           /* digest so far, in LUPDATE */
    uint8_t digest[PSP_SHA256_LEN];     /* once measured */
    uint8_t measure[PSP_SHA256_LEN];
} PspGuest;

struct PspPlatform;

/* A guest with a fresh VEK, or with @vek; NULL when there is none to have. */
PspGuest *psp_guest_new(uint32_t policy, PspMemKey *vek, const PspRng *rng);
void psp_guest_free(PspGuest *guest);   /* wipes */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PspGuest, psp_guest_free)

/* The platform's list */
PspGuest *psp_guest_find(struct PspPlatform *psp, uint32_t handle);
/* Gives it a handle; takes it over. */
void psp_guest_add(struct PspPlatform *psp, PspGuest *guest);
void psp_guest_remove(struct PspPlatform *psp, PspGuest *guest);

/* Forget TEK and TIK. */
void psp_guest_end_transport(PspGuest *guest);

#endif /* PSP_GUEST_H */
