/*
 * Guest contexts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "guest.h"

#include "platform.h"

PspGuest *psp_guest_new(uint32_t policy, PspMemKey *vek, const PspRng *rng)
{
    PspGuest *guest;

    vek = vek ? psp_mem_key_ref(vek) : psp_mem_key_new(rng);
    if (!vek) {
        return NULL;
    }
    guest = g_new0(PspGuest, 1);
    guest->policy = policy;
    guest->vek = vek;
    psp_rw_init(&guest->lock);
    psp_sha256_init(&guest->launch);
    return guest;
}

void psp_guest_free(PspGuest *guest)
{
    if (guest) {
        psp_mem_key_unref(guest->vek);
        psp_rw_clear(&guest->lock);
        psp_wipe(guest, sizeof(*guest));
        g_free(guest);
    }
}

PspGuest *psp_guest_find(PspPlatform *psp, uint32_t handle)
{
    return g_hash_table_lookup(psp->guests, GUINT_TO_POINTER(handle));
}

void psp_guest_add(PspPlatform *psp, PspGuest *guest)
{
    do {
        psp->last_handle++;
    } while (!psp->last_handle || psp_guest_find(psp, psp->last_handle));
    guest->handle = psp->last_handle;
    g_hash_table_insert(psp->guests, GUINT_TO_POINTER(guest->handle), guest);
    psp->state = PSP_PLATFORM_WORKING;
}

void psp_guest_remove(PspPlatform *psp, PspGuest *guest)
{
    g_hash_table_remove(psp->guests, GUINT_TO_POINTER(guest->handle));
    if (g_hash_table_size(psp->guests) == 0) {
        psp->state = PSP_PLATFORM_INIT;
    }
}

void psp_guest_end_transport(PspGuest *guest)
{
    psp_wipe(&guest->transport, sizeof(guest->transport));
}
