/*
 * Commands that move a guest between platforms, both ends.
 *
 *   source   RUNNING -SEND_START-> SUPDATE -SEND_FINISH-> SENT
 *                       RUNNING <-SEND_CANCEL-'
 *   target   RECEIVE_START-> RUPDATE -RECEIVE_FINISH-> RUNNING
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "commands.h"

/* The largest ASK and ARK there are */
#define PSP_AMD_CHAIN_MAX (2 * PSP_AMD_CERT_LEN_4096)

/* --- Start --------------------------------------------------------------- */

/* The target's certificates, copied out of the host's reach */
typedef struct PspTarget {
    PspCert pdh;
    PspCert plat[3];
    uint8_t amd[PSP_AMD_CHAIN_MAX];
} PspTarget;

static PspStatus psp_target_read(PspPlatform *psp, const PspSendStart *cmd,
                                 bool checked, PspTarget *target,
                                 PspChain *chain)
{
    chain->pdh = &target->pdh;
    chain->pdh_len = psp_le32(cmd->pdh_len);
    chain->plat = target->plat;
    chain->plat_len = psp_le32(cmd->plat_len);
    chain->amd = target->amd;
    chain->amd_len = psp_le32(cmd->amd_len);
    if (chain->pdh_len != PSP_CERT_LEN ||
        (checked && (chain->plat_len != PSP_CHAIN_LEN ||
                     chain->amd_len > PSP_AMD_CHAIN_MAX))) {
        return PSP_INVALID_LEN;
    }
    if (!psp_copy_in(psp, psp_le64(cmd->pdh_paddr), &target->pdh,
                     sizeof(target->pdh)) ||
        (checked && !psp_copy_in(psp, psp_le64(cmd->plat_paddr), target->plat,
                                 sizeof(target->plat))) ||
        (checked && chain->amd_len &&
         !psp_copy_in(psp, psp_le64(cmd->amd_paddr), target->amd,
                      chain->amd_len))) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}

/* Is the owner of the target's platform ours? */
static PspStatus psp_target_domain(const PspPlatform *psp,
                                   const PspChain *chain)
{
    PspChainCerts certs;
    GError *error = NULL;

    if (!psp_chain_open(chain, &certs, &error) ||
        !psp_chain_verify_owner(&certs, &error)) {
        psp_set_last_error(error);
        return PSP_INVALID_CERTIFICATE;
    }
    return psp_cert_same_key(&certs.plat[PSP_CHAIN_OCA],
                             &psp->identity->oca_cert)
           ? PSP_SUCCESS : PSP_POLICY_FAILURE;
}

/* All that the guest's policy asks of the platform it goes to */
static PspStatus psp_target_check(const PspPlatform *psp, uint32_t policy,
                                  const PspChain *chain)
{
    unsigned need_major = PSP_POLICY_API_MAJOR(policy);
    unsigned need_minor = PSP_POLICY_API_MINOR(policy);
    GError *error = NULL;
    uint8_t major, minor;

    if ((policy & PSP_POLICY_SEV) &&
        !psp_chain_verify(chain, psp->roots, NULL, &error)) {
        psp_set_last_error(error);
        return PSP_INVALID_CERTIFICATE;
    }
    if (policy & PSP_POLICY_DOMAIN) {
        PspStatus status = psp_target_domain(psp, chain);

        if (status != PSP_SUCCESS) {
            return status;
        }
    }
    if (!psp_chain_api(chain, &major, &minor) || major < need_major ||
        (major == need_major && minor < need_minor)) {
        return PSP_POLICY_FAILURE;
    }
    return PSP_SUCCESS;
}

/* New transport keys, wrapped for the target */
static PspStatus psp_send_wrap(PspPlatform *psp, const PspCert *pdh,
                               uint32_t policy, PspTransportKeys *keys,
                               PspSession *session)
{
    uint8_t z[PSP_P384_LEN];
    PspEcPoint peer;

    if (!psp_cert_valid(pdh, PSP_USAGE_PDH) || !psp_cert_pub(pdh, &peer) ||
        !psp_ecdh(&psp->identity->pdh, &peer, z)) {
        return PSP_INVALID_CERTIFICATE;
    }
    psp_random(&psp->rng, keys, sizeof(*keys));
    psp_random(&psp->rng, session->nonce, sizeof(session->nonce));
    psp_random(&psp->rng, session->wrap_iv, sizeof(session->wrap_iv));
    psp_session_wrap(z, keys, policy, session);
    psp_wipe(z, sizeof(z));
    return PSP_SUCCESS;
}

PspStatus psp_cmd_send_start(PspCall *call)
{
    PspSendStart *cmd = call->buf;
    uint32_t session_len = psp_le32(cmd->session_len);
    uint32_t policy = call->guest->policy;
    bool checked = policy & (PSP_POLICY_SEV | PSP_POLICY_DOMAIN);
    PspTransportKeys keys;
    PspSession session;
    PspTarget target;
    PspChain chain;
    PspStatus status;

    cmd->policy = GUINT32_TO_LE(policy);
    if (policy & PSP_POLICY_NOSEND) {
        return PSP_POLICY_FAILURE;
    }
    cmd->session_len = GUINT32_TO_LE((uint32_t)PSP_SESSION_LEN);
    if (session_len < PSP_SESSION_LEN) {
        return PSP_INVALID_LEN;
    }
    status = psp_target_read(call->psp, cmd, checked, &target, &chain);
    if (status == PSP_SUCCESS && checked) {
        status = psp_target_check(call->psp, policy, &chain);
    }
    if (status == PSP_SUCCESS) {
        status = psp_send_wrap(call->psp, &target.pdh, policy, &keys,
                               &session);
    }
    if (status == PSP_SUCCESS &&
        !psp_copy_out(call->psp, psp_le64(cmd->session_paddr), &session,
                      sizeof(session))) {
        status = PSP_INVALID_ADDRESS;
    }
    if (status == PSP_SUCCESS) {
        psp_transport_init(&call->guest->transport, &keys);
    }
    psp_wipe(&keys, sizeof(keys));
    return status;
}

PspStatus psp_cmd_receive_start(PspCall *call)
{
    return psp_start_guest(call, true);
}

/* --- Update -------------------------------------------------------------- */

static PspStatus psp_check_vmsa(const PspCall *call)
{
    const PspPacketCmd *cmd = call->buf;

    if (!(call->guest->policy & PSP_POLICY_ES)) {
        return PSP_UNSUPPORTED;
    }
    return psp_le32(cmd->guest_len) == PSP_PAGE_SIZE ? PSP_SUCCESS
                                                     : PSP_INVALID_LEN;
}

PspStatus psp_cmd_send_update_data(PspCall *call)
{
    return psp_seal_packets(call, PSP_PACKET_DATA);
}

PspStatus psp_cmd_send_update_vmsa(PspCall *call)
{
    PspStatus status = psp_check_vmsa(call);

    return status ? status : psp_seal_packets(call, PSP_PACKET_VMSA);
}

PspStatus psp_cmd_receive_update_data(PspCall *call)
{
    return psp_open_packets(call, PSP_PACKET_DATA, NULL);
}

PspStatus psp_cmd_receive_update_vmsa(PspCall *call)
{
    PspStatus status = psp_check_vmsa(call);

    return status ? status : psp_open_packets(call, PSP_PACKET_VMSA, NULL);
}

/* --- End ----------------------------------------------------------------- */

/* SEND_FINISH, SEND_CANCEL, RECEIVE_FINISH: their rows say what differs. */
PspStatus psp_cmd_transfer_end(PspCall *call)
{
    psp_guest_end_transport(call->guest);
    return PSP_SUCCESS;
}
