/*
 * Commands that launch a guest and report what was launched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "commands.h"
#include "measure.h"

PspStatus psp_cmd_launch_start(PspCall *call)
{
    return psp_start_guest(call, false);
}

/* Measure and encrypt in place, page by page, from one copy of each. */
static void psp_launch_pages(PspGuest *guest, uint64_t paddr, uint8_t *mem,
                             size_t len)
{
    uint8_t page[PSP_PAGE_SIZE];

    while (len) {
        size_t n = MIN(len, PSP_PAGE_SIZE - paddr % PSP_PAGE_SIZE);

        memcpy(page, mem, n);
        psp_sha256_update(&guest->launch, page, n);
        psp_mem_encrypt(guest->vek, paddr, page, mem, n);
        paddr += n;
        mem += n;
        len -= n;
    }
    psp_wipe(page, sizeof(page));
}

static PspStatus psp_launch_update(PspCall *call, uint32_t len)
{
    const PspLaunchUpdate *cmd = call->buf;
    uint64_t paddr = psp_le64(cmd->paddr);
    PspMap map;

    if (!call->guest->asid) {
        return PSP_INACTIVE;
    }
    if (!len || len % PSP_AES_LEN) {
        return PSP_INVALID_LEN;
    }
    if (paddr % PSP_AES_LEN ||
        !psp_map(call->psp, &map, paddr, len, true)) {
        return PSP_INVALID_ADDRESS;
    }
    psp_launch_pages(call->guest, paddr, map.ptr, len);
    psp_unmap(call->psp, &map, len);
    return PSP_SUCCESS;
}

PspStatus psp_cmd_launch_update_data(PspCall *call)
{
    const PspLaunchUpdate *cmd = call->buf;

    return psp_launch_update(call, psp_le32(cmd->len));
}

PspStatus psp_cmd_launch_update_vmsa(PspCall *call)
{
    const PspLaunchUpdate *cmd = call->buf;

    if (!(call->guest->policy & PSP_POLICY_ES)) {
        return PSP_UNSUPPORTED;
    }
    if (psp_le32(cmd->len) != PSP_PAGE_SIZE) {
        return PSP_INVALID_LEN;
    }
    return psp_launch_update(call, PSP_PAGE_SIZE);
}

PspStatus psp_cmd_launch_measure(PspCall *call)
{
    PspLaunchMeasure *cmd = call->buf;
    uint32_t len = psp_le32(cmd->measure_len);
    PspGuest *guest = call->guest;
    PspSha256 launch = guest->launch;
    PspMeasureInput in = {
        .api_major = PSP_API_MAJOR,
        .api_minor = PSP_API_MINOR,
        .build = PSP_BUILD,
        .policy = guest->policy,
    };
    PspMeasure out;

    cmd->measure_len = GUINT32_TO_LE((uint32_t)PSP_MEASURE_LEN);
    if (len < PSP_MEASURE_LEN) {
        return PSP_INVALID_LEN;
    }
    psp_sha256_final(&launch, in.digest);
    psp_random(&call->psp->rng, in.mnonce, sizeof(in.mnonce));
    psp_measure(&guest->transport.tik, &in, out.measure);
    memcpy(out.mnonce, in.mnonce, sizeof(out.mnonce));
    if (!psp_copy_out(call->psp, psp_le64(cmd->measure_paddr), &out,
                      sizeof(out))) {
        return PSP_INVALID_ADDRESS;
    }
    memcpy(guest->digest, in.digest, sizeof(guest->digest));
    memcpy(guest->measure, out.measure, sizeof(guest->measure));
    return PSP_SUCCESS;
}

PspStatus psp_cmd_launch_secret(PspCall *call)
{
    return psp_open_packets(call, PSP_PACKET_SECRET, call->guest->measure);
}

/* The digest stays: ATTESTATION reports it. */
PspStatus psp_cmd_launch_finish(PspCall *call)
{
    PspGuest *guest = call->guest;

    psp_guest_end_transport(guest);
    psp_wipe(&guest->launch, sizeof(guest->launch));
    psp_wipe(guest->measure, sizeof(guest->measure));
    return PSP_SUCCESS;
}

PspStatus psp_cmd_attestation(PspCall *call)
{
    PspAttestation *cmd = call->buf;
    uint32_t len = psp_le32(cmd->report_len);
    const PspGuest *guest = call->guest;
    uint8_t digest[PSP_SHA256_LEN];
    PspReport out = {
        .policy = GUINT32_TO_LE(guest->policy),
        .sig_usage = GUINT32_TO_LE(PSP_USAGE_PEK),
        .sig_algo = GUINT32_TO_LE(PSP_ALGO_ECDSA_SHA256),
    };
    PspEcdsa sig;

    cmd->report_len = GUINT32_TO_LE((uint32_t)PSP_REPORT_LEN);
    if (len < PSP_REPORT_LEN) {
        return PSP_INVALID_LEN;
    }
    memcpy(out.mnonce, cmd->mnonce, sizeof(out.mnonce));
    memcpy(out.digest, guest->digest, sizeof(out.digest));
    psp_sha256(&out, PSP_REPORT_SIGNED_LEN, digest);
    psp_ecdsa_sign(&call->psp->identity->pek, &call->psp->rng, digest,
                   sizeof(digest), &sig);
    psp_reverse(out.sig_r, sig.r, sizeof(sig.r));
    psp_reverse(out.sig_s, sig.s, sizeof(sig.s));
    if (!psp_copy_out(call->psp, psp_le64(cmd->report_paddr), &out,
                      sizeof(out))) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}
