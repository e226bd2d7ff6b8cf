/*
 * Packets opened later than RECEIVE_FINISH.
 *
 * A property of this chip in software, not of hardware: there TEK and TIK are
 * gone with RECEIVE_FINISH, so every packet is opened before it.  Here the
 * owner of a received guest may keep them, to open a packet when the guest
 * first touches its page.  What a packet is, and what makes one authentic, is
 * the same: the MAC of RECEIVE_UPDATE_DATA.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_PACKET_KEY_H
#define PSP_PACKET_KEY_H

#include "psp.h"

/* TEK and TIK of one guest's transfer: a secret, not bound to the guest. */
typedef struct PspPacketKey PspPacketKey;

/*
 * A key of its own for the guest of @handle, which must be in the RUPDATE
 * state; else NULL.  Stays usable after RECEIVE_FINISH and DECOMMISSION.
 */
PspPacketKey *psp_packet_key_get(PspPlatform *psp, uint32_t handle);
PspPacketKey *psp_packet_key_ref(PspPacketKey *key);
void psp_packet_key_unref(PspPacketKey *key);       /* the last one wipes */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PspPacketKey, psp_packet_key_unref)

/*
 * Open a packet of RECEIVE_UPDATE_DATA: @hdr has PSP_PACKET_HDR_LEN bytes,
 * @data @len (a multiple of 16).  False, and @plain untouched, when the MAC
 * does not match.  The caller sees to it that nobody changes @hdr and @data
 * meanwhile.  Thread-safe and without allocation.
 */
bool psp_packet_key_open(const PspPacketKey *key, const void *hdr,
                         const void *data, void *plain, size_t len);

/* The same of RECEIVE_UPDATE_VMSA; @data and @plain have PSP_PAGE_SIZE bytes. */
bool psp_packet_key_open_vmsa(const PspPacketKey *key, const void *hdr,
                              const void *data, void *plain);

#endif /* PSP_PACKET_KEY_H */
