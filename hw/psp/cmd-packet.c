/*
 * What the commands with a packet share: guest memory into packets and back.
 *
 * The host can write to its buffers at any time, so packets are made and
 * checked in the chip's own memory: what was authenticated is what is used.
 * That memory is one area per thread; a turn gathers as many packets as fit,
 * works on all of them side by side, and scatters them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "commands.h"

#define PSP_TURN_AREA   (PSP_BATCH_MAX * (PSP_PACKET_ROOM + PSP_PAGE_SIZE))

_Static_assert(PSP_TURN_AREA >= PSP_PACKET_ROOM + PSP_PACKET_MAX_LEN,
               "the largest packet fits");

/* One turn's work */
typedef struct PspTurn {
    uint8_t area[PSP_TURN_AREA];
    PspPacketJob jobs[PSP_BATCH_MAX];
    size_t count;
    size_t used;                /* of the area */
} __attribute__((aligned(64))) PspTurn;

static void psp_turn_free(gpointer opaque)
{
    psp_wipe(opaque, sizeof(PspTurn));
    g_aligned_free(opaque);
}

static GPrivate psp_turn_key = G_PRIVATE_INIT(psp_turn_free);

/* This thread's, empty */
static PspTurn *psp_turn_get(void)
{
    PspTurn *turn = g_private_get(&psp_turn_key);

    if (!turn) {
        turn = g_aligned_alloc0(1, sizeof(PspTurn), 64);
        g_private_set(&psp_turn_key, turn);
    }
    turn->count = 0;
    turn->used = 0;
    return turn;
}

/* Room for one more packet, or NULL when the turn is full */
static PspPacketJob *psp_turn_add(PspTurn *turn, size_t len)
{
    size_t need = PSP_PACKET_ROOM + ((len + 63) & ~(size_t)63);
    PspPacketJob *job = &turn->jobs[turn->count];

    if (turn->count == PSP_BATCH_MAX || need > PSP_TURN_AREA - turn->used) {
        return NULL;
    }
    job->data = turn->area + turn->used + PSP_PACKET_ROOM;
    job->len = len;
    turn->used += need;
    turn->count++;
    return job;
}

static PspPacketCmd *psp_call_cmd(const PspCall *call, size_t i)
{
    return (PspPacketCmd *)((uint8_t *)call->buf +
                            (call->done + i) * call->stride);
}

/* The lengths and addresses that both directions refuse */
static PspStatus psp_packet_check(const PspCall *call,
                                  const PspPacketCmd *cmd)
{
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

/* --- Seal ---------------------------------------------------------------- */

static PspStatus psp_seal_check(const PspCall *call, PspPacketCmd *cmd)
{
    uint32_t len = psp_le32(cmd->guest_len);
    uint32_t hdr_len = psp_le32(cmd->hdr_len);
    uint32_t trans_len = psp_le32(cmd->trans_len);

    cmd->hdr_len = GUINT32_TO_LE((uint32_t)PSP_PACKET_HDR_LEN);
    cmd->trans_len = cmd->guest_len;
    if (hdr_len < PSP_PACKET_HDR_LEN || trans_len < len) {
        return PSP_INVALID_LEN;
    }
    return psp_packet_check(call, cmd);
}

/* Plaintext of as much guest memory as fits a turn */
static PspStatus psp_seal_gather(PspCall *call, PspTurn *turn)
{
    PspStatus status = PSP_SUCCESS;

    while (status == PSP_SUCCESS && call->done + turn->count < call->n) {
        PspPacketCmd *cmd = psp_call_cmd(call, turn->count);
        uint64_t paddr = psp_le64(cmd->guest_paddr);
        PspPacketJob *job;
        PspMap map;

        status = psp_seal_check(call, cmd);
        if (status != PSP_SUCCESS) {
            break;
        }
        job = psp_turn_add(turn, psp_le32(cmd->guest_len));
        if (!job) {
            break;
        }
        if (psp_map(call->psp, &map, paddr, job->len, false)) {
            psp_mem_decrypt(call->guest->vek, paddr, map.ptr, job->data,
                            job->len);
            psp_unmap(call->psp, &map, 0);
        } else {
            turn->count--;
            status = PSP_INVALID_ADDRESS;
        }
    }
    return status;
}

static void psp_seal_work(PspCall *call, PspTurn *turn, PspPacketType type)
{
    uint8_t ivs[PSP_BATCH_MAX][PSP_AES_LEN];

    psp_random(&call->psp->rng, ivs, turn->count * PSP_AES_LEN);
    for (size_t i = 0; i < turn->count; i++) {
        memcpy(turn->jobs[i].hdr.iv, ivs[i], PSP_AES_LEN);
    }
    psp_packet_seal_many(&call->guest->transport, type, turn->jobs,
                         turn->count);
}

static PspStatus psp_seal_scatter(PspCall *call, PspTurn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        const PspPacketCmd *cmd = psp_call_cmd(call, 0);
        const PspPacketJob *job = &turn->jobs[i];

        if (!psp_copy_out(call->psp, psp_le64(cmd->trans_paddr), job->data,
                          job->len) ||
            !psp_copy_out(call->psp, psp_le64(cmd->hdr_paddr), &job->hdr,
                          sizeof(job->hdr))) {
            return PSP_INVALID_ADDRESS;
        }
        call->done++;
    }
    return PSP_SUCCESS;
}

PspStatus psp_seal_packets(PspCall *call, PspPacketType type)
{
    PspStatus status = PSP_SUCCESS;

    while (status == PSP_SUCCESS && call->done < call->n) {
        PspTurn *turn = psp_turn_get();
        PspStatus gathered = psp_seal_gather(call, turn);

        if (turn->count) {
            psp_seal_work(call, turn, type);
        }
        status = psp_seal_scatter(call, turn);
        if (status == PSP_SUCCESS) {
            status = gathered;
        }
    }
    return status;
}

/* --- Open ---------------------------------------------------------------- */

static PspStatus psp_open_check(const PspCall *call, const PspPacketCmd *cmd)
{
    PspStatus status = psp_packet_check(call, cmd);

    if (status != PSP_SUCCESS) {
        return status;
    }
    if (psp_le32(cmd->hdr_len) != PSP_PACKET_HDR_LEN ||
        cmd->trans_len != cmd->guest_len) {
        return PSP_INVALID_LEN;
    }
    return PSP_SUCCESS;
}

static PspStatus psp_open_gather(PspCall *call, PspTurn *turn)
{
    PspStatus status = PSP_SUCCESS;

    while (status == PSP_SUCCESS && call->done + turn->count < call->n) {
        const PspPacketCmd *cmd = psp_call_cmd(call, turn->count);
        PspPacketJob *job;

        status = psp_open_check(call, cmd);
        if (status != PSP_SUCCESS) {
            break;
        }
        job = psp_turn_add(turn, psp_le32(cmd->guest_len));
        if (!job) {
            break;
        }
        if (!psp_copy_in(call->psp, psp_le64(cmd->hdr_paddr), &job->hdr,
                         sizeof(job->hdr)) ||
            !psp_copy_in(call->psp, psp_le64(cmd->trans_paddr), job->data,
                         job->len)) {
            turn->count--;
            status = PSP_INVALID_ADDRESS;
        }
    }
    return status;
}

static void psp_open_work(PspCall *call, PspTurn *turn, PspPacketType type,
                          const uint8_t *measure)
{
    const PspTransport *t = &call->guest->transport;

    if (!measure) {
        psp_packet_open_many(t, type, turn->jobs, turn->count);
        return;
    }
    for (size_t i = 0; i < turn->count; i++) {
        PspPacketJob *job = &turn->jobs[i];

        job->authentic = psp_packet_open(t, type, measure, &job->hdr,
                                         job->data, job->data, job->len);
    }
}

/* Only what is authentic reaches guest memory. */
static PspStatus psp_open_scatter(PspCall *call, PspTurn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        const PspPacketCmd *cmd = psp_call_cmd(call, 0);
        uint64_t paddr = psp_le64(cmd->guest_paddr);
        const PspPacketJob *job = &turn->jobs[i];
        PspMap map;

        if (!job->authentic) {
            return PSP_BAD_MEASUREMENT;
        }
        if (job->hdr.flags) {           /* authentic, but not for us */
            return PSP_UNSUPPORTED;
        }
        if (!psp_map(call->psp, &map, paddr, job->len, true)) {
            return PSP_INVALID_ADDRESS;
        }
        psp_mem_encrypt(call->guest->vek, paddr, job->data, map.ptr,
                        job->len);
        psp_unmap(call->psp, &map, job->len);
        call->done++;
    }
    return PSP_SUCCESS;
}

PspStatus psp_open_packets(PspCall *call, PspPacketType type,
                           const uint8_t *measure)
{
    PspStatus status = PSP_SUCCESS;

    while (status == PSP_SUCCESS && call->done < call->n) {
        PspTurn *turn = psp_turn_get();
        PspStatus gathered = psp_open_gather(call, turn);

        if (turn->count) {
            psp_open_work(call, turn, type, measure);
        }
        status = psp_open_scatter(call, turn);
        psp_wipe(turn->area, turn->used);
        if (status == PSP_SUCCESS) {
            status = gathered;
        }
    }
    return status;
}
