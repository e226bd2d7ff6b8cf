/*
 * How a guest begins: LAUNCH_START and RECEIVE_START.
 *
 * Both agree on keys with whoever made the session: a guest owner, or the
 * platform that sends the guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.h"

/* May a guest with this policy live here? */
static PspStatus psp_start_policy(const PspPlatform *psp, uint32_t policy)
{
    unsigned major = PSP_POLICY_API_MAJOR(policy);
    unsigned minor = PSP_POLICY_API_MINOR(policy);

    if ((policy & PSP_POLICY_RSVD) || major > PSP_API_MAJOR ||
        (major == PSP_API_MAJOR && minor > PSP_API_MINOR)) {
        return PSP_POLICY_FAILURE;
    }
    if ((policy & PSP_POLICY_ES) && !psp->es) {
        return PSP_UNSUPPORTED;
    }
    return PSP_SUCCESS;
}

/* Whose key does it share?  *@vek is NULL when nobody's. */
static PspStatus psp_start_share(PspPlatform *psp, uint32_t handle,
                                 uint32_t policy, PspMemKey **vek)
{
    const PspGuest *other;

    *vek = NULL;
    if (!handle) {
        return PSP_SUCCESS;
    }
    other = psp_guest_find(psp, handle);
    if (!other) {
        return PSP_INVALID_GUEST;
    }
    if (other->policy != policy || (policy & PSP_POLICY_NOKS)) {
        return PSP_POLICY_FAILURE;
    }
    *vek = other->vek;
    return PSP_SUCCESS;
}

/* TEK and TIK out of the session that the other side made for our PDH */
static PspStatus psp_start_unwrap(PspPlatform *psp, const PspLaunchStart *cmd,
                                  PspTransportKeys *keys)
{
    uint8_t z[PSP_P384_LEN];
    PspSession session;
    PspEcPoint peer;
    PspCert cert;
    bool ok;

    if (psp_le32(cmd->dh_cert_len) != sizeof(cert) ||
        psp_le32(cmd->session_len) != sizeof(session)) {
        return PSP_INVALID_LEN;
    }
    if (!psp_copy_in(psp, psp_le64(cmd->dh_cert_paddr), &cert,
                     sizeof(cert)) ||
        !psp_copy_in(psp, psp_le64(cmd->session_paddr), &session,
                     sizeof(session))) {
        return PSP_INVALID_ADDRESS;
    }
    if (!psp_cert_valid(&cert, PSP_USAGE_PDH) ||
        !psp_cert_pub(&cert, &peer) ||
        !psp_ecdh(&psp->identity->pdh, &peer, z)) {
        return PSP_INVALID_CERTIFICATE;
    }
    ok = psp_session_unwrap(z, &session, psp_le32(cmd->policy), keys);
    psp_wipe(z, sizeof(z));
    return ok ? PSP_SUCCESS : PSP_BAD_MEASUREMENT;
}

/* The firmware has one status for both; a person wants to know what to do. */
static PspStatus psp_start_foreign(uint32_t policy)
{
    psp_set_last_error(g_error_new(
        PSP_ERROR, PSP_ERROR_CERT, "the session was made for another"
        " platform's PDH, or for another policy than 0x%x: the guest's owner"
        " makes one for this platform and policy (its PDH: sev-psp export;"
        " then sev-psp session --pdh pdh.cert --policy 0x%x)", policy,
        policy));
    return PSP_BAD_MEASUREMENT;
}

PspStatus psp_start_guest(PspCall *call, bool session_required)
{
    PspPlatform *psp = call->psp;
    const PspLaunchStart *cmd = call->buf;
    uint32_t policy = psp_le32(cmd->policy);
    PspTransportKeys keys;
    PspMemKey *vek;
    PspStatus status;

    status = psp_start_policy(psp, policy);
    if (status == PSP_SUCCESS) {
        status = psp_start_share(psp, psp_le32(cmd->handle), policy, &vek);
    }
    if (status != PSP_SUCCESS) {
        return status;
    }
    if (g_hash_table_size(psp->guests) >= PSP_GUESTS_MAX) {
        return PSP_RESOURCE_LIMIT;
    }
    if (cmd->dh_cert_paddr || session_required) {
        status = psp_start_unwrap(psp, cmd, &keys);
        if (status == PSP_BAD_MEASUREMENT && !session_required) {
            status = psp_start_foreign(policy);
        }
    } else {
        psp_random(&psp->rng, &keys, sizeof(keys));
    }
    if (status == PSP_SUCCESS) {
        call->guest = psp_guest_new(policy, vek, &psp->rng);
        if (call->guest) {
            psp_transport_init(&call->guest->transport, &keys);
        } else {
            status = PSP_RESOURCE_LIMIT;
        }
    }
    psp_wipe(&keys, sizeof(keys));
    return status;
}
