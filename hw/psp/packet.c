/*
 * A page as a packet: transport ciphertext, IV and MAC; sealed and opened.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "packet.h"

#include <string.h>

/* What the MAC covers before the data. */
typedef struct PSP_PACKED PspMacHead {
    uint8_t type;
    uint32_t flags;
    uint8_t iv[16];
    uint32_t guest_len;
    uint32_t trans_len;
} PspMacHead;
_Static_assert(sizeof(PspMacHead) == PSP_PACKET_MAC_HEAD, "MAC head");

void psp_packet_mac_head(PspPacketType type, const PspPacketHeader *hdr,
                         size_t len, uint8_t head[PSP_PACKET_MAC_HEAD])
{
    PspMacHead h = {
        .type = type,
        .flags = hdr->flags,
        .guest_len = GUINT32_TO_LE((uint32_t)len),
        .trans_len = GUINT32_TO_LE((uint32_t)len),
    };

    memcpy(h.iv, hdr->iv, sizeof(h.iv));
    memcpy(head, &h, sizeof(h));
}

static void psp_packet_mac(const PspTransport *t, PspPacketType type,
                           const uint8_t *measure, const PspPacketHeader *hdr,
                           const void *data, size_t len,
                           uint8_t mac[PSP_SHA256_LEN])
{
    PspHmac hmac = t->tik;
    uint8_t head[PSP_PACKET_MAC_HEAD];

    psp_packet_mac_head(type, hdr, len, head);
    psp_hmac_update(&hmac, head, sizeof(head));
    psp_hmac_update(&hmac, data, len);
    if (measure) {
        psp_hmac_update(&hmac, measure, PSP_SHA256_LEN);
    }
    psp_hmac_final(&hmac, mac);
    psp_wipe(&hmac, sizeof(hmac));
}

void psp_packet_seal(const PspTransport *t, PspPacketType type,
                     const uint8_t *measure, PspPacketHeader *hdr,
                     const void *plain, void *data, size_t len)
{
    hdr->flags = 0;
    psp_ctr_crypt(&t->tek, hdr->iv, plain, data, len);
    psp_packet_mac(t, type, measure, hdr, data, len, hdr->mac);
}

bool psp_packet_open(const PspTransport *t, PspPacketType type,
                     const uint8_t *measure, const PspPacketHeader *hdr,
                     const void *data, void *plain, size_t len)
{
    uint8_t mac[PSP_SHA256_LEN];
    bool ok;

    psp_packet_mac(t, type, measure, hdr, data, len, mac);
    ok = psp_equal(mac, hdr->mac, sizeof(mac));
    if (ok) {
        psp_ctr_crypt(&t->tek, hdr->iv, data, plain, len);
    }
    psp_wipe(mac, sizeof(mac));
    return ok;
}
