/*
 * What the commands with a packet share: guest memory into a packet and back.
 *
 * The host can write to its buffers at any time, so a packet is made and
 * checked in the chip's own memory: what was authenticated is what is used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "commands.h"

/* The lengths and addresses that both directions refuse */
static PspStatus psp_packet_check(const PspCall *call)
{
    const PspPacketCmd *cmd = call->buf;
    uint32_t len = psp_le32(cmd->guest_len);

    if (!call->guest->asid) {
        return PSP_INACTIVE;
    }
    if (!len || len % PSP_AES_LEN || len > PSP_PACKET_MAX_LEN) {
        return PSP_INVALID_LEN;
    }
    if (psp_le64(cmd->guest_paddr) % PSP_AES_LEN) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}

PspStatus psp_seal_packet(PspCall *call, PspPacketType type)
{
    PspPacketCmd *cmd = call->buf;
    uint32_t len = psp_le32(cmd->guest_len);
    uint64_t guest_paddr = psp_le64(cmd->guest_paddr);
    uint32_t hdr_len = psp_le32(cmd->hdr_len);
    uint32_t trans_len = psp_le32(cmd->trans_len);
    uint8_t data[PSP_PACKET_MAX_LEN];
    PspPacketHeader hdr;
    PspStatus status;
    PspMap map;

    cmd->hdr_len = GUINT32_TO_LE((uint32_t)PSP_PACKET_HDR_LEN);
    cmd->trans_len = cmd->guest_len;
    if (hdr_len < PSP_PACKET_HDR_LEN || trans_len < len) {
        return PSP_INVALID_LEN;
    }
    status = psp_packet_check(call);
    if (status != PSP_SUCCESS) {
        return status;
    }
    if (!psp_map(call->psp, &map, guest_paddr, len, false)) {
        return PSP_INVALID_ADDRESS;
    }
    psp_mem_decrypt(call->guest->vek, guest_paddr, map.ptr, data, len);
    psp_unmap(call->psp, &map, 0);

    psp_random(&call->psp->rng, hdr.iv, sizeof(hdr.iv));
    psp_packet_seal(&call->guest->transport, type, NULL, &hdr, data, data,
                    len);
    if (!psp_copy_out(call->psp, psp_le64(cmd->trans_paddr), data, len) ||
        !psp_copy_out(call->psp, psp_le64(cmd->hdr_paddr), &hdr,
                      sizeof(hdr))) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}

/* @data holds the packet's bytes and, after success, nothing. */
static PspStatus psp_open_into_guest(PspCall *call, PspPacketType type,
                                     const uint8_t *measure,
                                     const PspPacketHeader *hdr,
                                     uint8_t *data, size_t len)
{
    const PspPacketCmd *cmd = call->buf;
    uint64_t guest_paddr = psp_le64(cmd->guest_paddr);
    PspStatus status = PSP_SUCCESS;
    PspMap map;

    if (!psp_packet_open(&call->guest->transport, type, measure, hdr, data,
                         data, len)) {
        return PSP_BAD_MEASUREMENT;
    }
    if (hdr->flags) {                   /* authentic, but not for us */
        status = PSP_UNSUPPORTED;
    } else if (!psp_map(call->psp, &map, guest_paddr, len, true)) {
        status = PSP_INVALID_ADDRESS;
    } else {
        psp_mem_encrypt(call->guest->vek, guest_paddr, data, map.ptr, len);
        psp_unmap(call->psp, &map, len);
    }
    psp_wipe(data, len);
    return status;
}

PspStatus psp_open_packet(PspCall *call, PspPacketType type,
                          const uint8_t *measure)
{
    const PspPacketCmd *cmd = call->buf;
    uint32_t len = psp_le32(cmd->guest_len);
    uint8_t data[PSP_PACKET_MAX_LEN];
    PspPacketHeader hdr;
    PspStatus status;

    status = psp_packet_check(call);
    if (status != PSP_SUCCESS) {
        return status;
    }
    if (psp_le32(cmd->hdr_len) != sizeof(hdr) ||
        psp_le32(cmd->trans_len) != len) {
        return PSP_INVALID_LEN;
    }
    if (!psp_copy_in(call->psp, psp_le64(cmd->hdr_paddr), &hdr,
                     sizeof(hdr)) ||
        !psp_copy_in(call->psp, psp_le64(cmd->trans_paddr), data, len)) {
        return PSP_INVALID_ADDRESS;
    }
    return psp_open_into_guest(call, type, measure, &hdr, data, len);
}
