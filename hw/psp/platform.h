/*
 * The chip's inside: platform, guests, ASIDs, and one command's journey.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_PLATFORM_H
#define PSP_PLATFORM_H

#include "chain.h"
#include "guest.h"
#include "identity.h"
#include "memory.h"
#include "psp.h"
#include "rwlock.h"
#include "util.h"

#define PSP_GUESTS_MAX 1024

typedef struct PspAsid {
    PspMemKey *key;             /* NULL: no guest is active on it */
    bool dirty;                 /* until DF_FLUSH */
} PspAsid;

struct PspPlatform {
    /* Never change */
    const PspHost *host;
    void *opaque;
    PspRng rng;

    /* Read by every command, written by those with PSP_LOCK_PLATFORM */
    PspRwLock lock;
    PspPlatformState state;
    bool es;                    /* INIT allowed SEV-ES guests */
    PspIdentity *identity;      /* NULL in UNINIT */
    uint64_t nv_paddr;          /* INIT_EX: where the owner's keys are */
    PspRoots *roots;
    GHashTable *guests;         /* handle -> PspGuest */
    uint32_t last_handle;
    PspAsid asids[PSP_ASID_MAX + 1];
};

/*
 * One command on its way through the chip; of those with a packet, several
 * of one guest.
 */
typedef struct PspCall {
    PspPlatform *psp;
    PspGuest *guest;            /* *_START: the new one, set by the handler */
    void *buf;
    size_t stride;              /* from one command buffer to the next */
    size_t n;                   /* how many there are */
    size_t done;                /* out, where the row says @many */
} PspCall;

/* --- platform.c ---------------------------------------------------------- */

/*
 * Change the identity at rest, then the one in use: lock, load (or create),
 * @change, store, unlock.  @change may be NULL to load only, and may say no.
 */
typedef PspStatus (*PspIdentityChange)(PspPlatform *psp, PspIdentity *id,
                                       void *opaque);
PspStatus psp_platform_update(PspPlatform *psp, PspIdentityChange change,
                              void *opaque);
/* Drop all guests and ASIDs, forget the identity. */
void psp_platform_shutdown(PspPlatform *psp);
/* Remember a sentence for psp_last_error().  Takes over @error. */
void psp_set_last_error(GError *error);

/* --- host.c: guest memory ------------------------------------------------ */

/*
 * A range of the host's memory in use by a command.  @ptr is NULL until
 * psp_map() succeeds; psp_unmap() may always be called.
 */
typedef struct PspMap {
    void *ptr;
    uint64_t paddr;
    size_t len;
    bool write;
} PspMap;

bool psp_map(PspPlatform *psp, PspMap *map, uint64_t paddr, size_t len,
             bool write);
/* @written bytes at the start were changed. */
void psp_unmap(PspPlatform *psp, PspMap *map, size_t written);
bool psp_copy_in(PspPlatform *psp, uint64_t paddr, void *dst, size_t len);
bool psp_copy_out(PspPlatform *psp, uint64_t paddr, const void *src,
                  size_t len);

#endif /* PSP_PLATFORM_H */
