/*
 * Packets opened later than RECEIVE_FINISH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "psp-packet-key.h"

#include <string.h>

#include "platform.h"

struct PspPacketKey {
    PspTransport transport;
    gatomicrefcount ref;
} __attribute__((aligned(64)));

static PspPacketKey *psp_packet_key_new(const PspTransport *transport)
{
    PspPacketKey *key = g_aligned_alloc0(1, sizeof(PspPacketKey), 64);

    key->transport = *transport;
    g_atomic_ref_count_init(&key->ref);
    return key;
}

PspPacketKey *psp_packet_key_get(PspPlatform *psp, uint32_t handle)
{
    PspPacketKey *key = NULL;
    PspGuest *guest;

    psp_rw_read_lock(&psp->lock);
    guest = psp->guests ? psp_guest_find(psp, handle) : NULL;
    if (guest) {
        psp_rw_read_lock(&guest->lock);
        if (guest->state == PSP_GUEST_RUPDATE) {
            key = psp_packet_key_new(&guest->transport);
        }
        psp_rw_read_unlock(&guest->lock);
    }
    psp_rw_read_unlock(&psp->lock);
    return key;
}

PspPacketKey *psp_packet_key_ref(PspPacketKey *key)
{
    g_atomic_ref_count_inc(&key->ref);
    return key;
}

void psp_packet_key_unref(PspPacketKey *key)
{
    if (key && g_atomic_ref_count_dec(&key->ref)) {
        psp_wipe(key, sizeof(*key));
        g_aligned_free(key);
    }
}

static bool key_open(const PspPacketKey *key, PspPacketType type,
                     const void *hdr, const void *data, void *plain,
                     size_t len)
{
    PspPacketHeader h;

    memcpy(&h, hdr, sizeof(h));
    return !h.flags &&
           psp_packet_open(&key->transport, type, NULL, &h, data, plain, len);
}

bool psp_packet_key_open(const PspPacketKey *key, const void *hdr,
                         const void *data, void *plain, size_t len)
{
    g_return_val_if_fail(len && len % PSP_AES_LEN == 0 &&
                         len <= PSP_PACKET_MAX_LEN, false);
    return key_open(key, PSP_PACKET_DATA, hdr, data, plain, len);
}

bool psp_packet_key_open_vmsa(const PspPacketKey *key, const void *hdr,
                              const void *data, void *plain)
{
    return key_open(key, PSP_PACKET_VMSA, hdr, data, plain, PSP_PAGE_SIZE);
}
