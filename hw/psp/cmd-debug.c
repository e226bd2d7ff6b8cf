/*
 * Commands that read, write and move a guest's memory for the host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.h"

static PspStatus psp_range_check(const PspCall *call, uint64_t src,
                                 uint64_t dst, uint32_t len)
{
    if (!call->guest->asid) {
        return PSP_INACTIVE;
    }
    if (!len || len % PSP_AES_LEN) {
        return PSP_INVALID_LEN;
    }
    return (src | dst) % PSP_AES_LEN ? PSP_INVALID_ADDRESS : PSP_SUCCESS;
}

/* Map both ends, or neither. */
static bool psp_map_pair(PspPlatform *psp, PspMap *from, uint64_t src,
                         PspMap *to, uint64_t dst, size_t len)
{
    if (!psp_map(psp, from, src, len, false)) {
        return false;
    }
    if (!psp_map(psp, to, dst, len, true)) {
        psp_unmap(psp, from, 0);
        return false;
    }
    return true;
}

static PspStatus psp_debug(PspCall *call, bool decrypt)
{
    const PspDebug *cmd = call->buf;
    uint64_t src = psp_le64(cmd->src_paddr);
    uint64_t dst = psp_le64(cmd->dst_paddr);
    uint32_t len = psp_le32(cmd->len);
    PspMap from, to;
    PspStatus status;

    if (call->guest->policy & PSP_POLICY_NODBG) {
        return PSP_POLICY_FAILURE;
    }
    status = psp_range_check(call, src, dst, len);
    if (status != PSP_SUCCESS) {
        return status;
    }
    if (!psp_map_pair(call->psp, &from, src, &to, dst, len)) {
        return PSP_INVALID_ADDRESS;
    }
    if (decrypt) {
        psp_mem_decrypt(call->guest->vek, src, from.ptr, to.ptr, len);
    } else {
        psp_mem_encrypt(call->guest->vek, dst, from.ptr, to.ptr, len);
    }
    psp_unmap(call->psp, &to, len);
    psp_unmap(call->psp, &from, 0);
    return PSP_SUCCESS;
}

PspStatus psp_cmd_dbg_decrypt(PspCall *call)
{
    return psp_debug(call, true);
}

PspStatus psp_cmd_dbg_encrypt(PspCall *call)
{
    return psp_debug(call, false);
}

/* Plaintext keeps its meaning at another address; ciphertext does not. */
PspStatus psp_cmd_copy(PspCall *call)
{
    const PspCopy *cmd = call->buf;
    uint64_t src = psp_le64(cmd->src_paddr);
    uint64_t dst = psp_le64(cmd->dst_paddr);
    uint32_t len = psp_le32(cmd->len);
    uint8_t page[PSP_PAGE_SIZE];
    PspMap from, to;
    PspStatus status;

    status = psp_range_check(call, src, dst, len);
    if (status != PSP_SUCCESS) {
        return status;
    }
    if (src < dst ? dst - src < len : src - dst < len) {
        return PSP_INVALID_PARAM;       /* they overlap */
    }
    if (!psp_map_pair(call->psp, &from, src, &to, dst, len)) {
        return PSP_INVALID_ADDRESS;
    }
    for (uint32_t i = 0; i < len; i += PSP_PAGE_SIZE) {
        size_t n = MIN(len - i, PSP_PAGE_SIZE);

        psp_mem_decrypt(call->guest->vek, src + i, (uint8_t *)from.ptr + i,
                        page, n);
        psp_mem_encrypt(call->guest->vek, dst + i, page,
                        (uint8_t *)to.ptr + i, n);
    }
    psp_wipe(page, sizeof(page));
    psp_unmap(call->psp, &to, len);
    psp_unmap(call->psp, &from, 0);
    return PSP_SUCCESS;
}
