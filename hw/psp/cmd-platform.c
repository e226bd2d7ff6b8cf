/*
 * Commands about the platform and its keys.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "commands.h"

static PspStatus psp_init(PspPlatform *psp, uint32_t flags,
                          uint64_t nv_paddr)
{
    PspStatus status;

    psp->nv_paddr = nv_paddr;
    status = psp_platform_update(psp, NULL, NULL);
    if (status != PSP_SUCCESS) {
        psp->nv_paddr = 0;
        return status;
    }
    psp->es = flags & PSP_INIT_ES;
    psp->state = PSP_PLATFORM_INIT;
    return PSP_SUCCESS;
}

PspStatus psp_cmd_init(PspCall *call)
{
    const PspInit *cmd = call->buf;

    return psp_init(call->psp, psp_le32(cmd->flags), 0);
}

PspStatus psp_cmd_init_ex(PspCall *call)
{
    const PspInitEx *cmd = call->buf;
    uint64_t nv_paddr = psp_le64(cmd->nv_paddr);

    if (psp_le32(cmd->length) != sizeof(*cmd) ||
        (nv_paddr && psp_le32(cmd->nv_len) != PSP_NV_LEN)) {
        return PSP_INVALID_LEN;
    }
    return psp_init(call->psp, psp_le32(cmd->flags), nv_paddr);
}

PspStatus psp_cmd_shutdown(PspCall *call)
{
    psp_platform_shutdown(call->psp);
    return PSP_SUCCESS;
}

PspStatus psp_cmd_nop(PspCall *call)
{
    return PSP_SUCCESS;
}

PspStatus psp_cmd_unsupported(PspCall *call)
{
    return PSP_UNSUPPORTED;
}

PspStatus psp_cmd_platform_status(PspCall *call)
{
    const PspPlatform *psp = call->psp;
    PspPlatformStatus *out = call->buf;

    memset(out, 0, sizeof(*out));
    out->api_major = PSP_API_MAJOR;
    out->api_minor = PSP_API_MINOR;
    out->build = PSP_BUILD;
    out->state = psp->state;
    if (psp->state != PSP_PLATFORM_UNINIT) {
        out->owner = psp->identity->external ? PSP_OWNER_EXTERNAL : 0;
        out->config = GUINT16_TO_LE(psp->es ? PSP_CONFIG_ES : 0);
        out->guest_count = GUINT32_TO_LE(g_hash_table_size(psp->guests));
    }
    return PSP_SUCCESS;
}

/* --- The persistent set -------------------------------------------------- */

static PspStatus psp_change_reset(PspPlatform *psp, PspIdentity *id,
                                  void *opaque)
{
    psp_identity_deprovision(id);
    return PSP_SUCCESS;
}

PspStatus psp_cmd_platform_reset(PspCall *call)
{
    PspStatus status = psp_platform_update(call->psp, psp_change_reset, NULL);

    g_clear_pointer(&call->psp->identity, psp_identity_free);
    return status;
}

static PspStatus psp_change_pek(PspPlatform *psp, PspIdentity *id,
                                void *opaque)
{
    psp_identity_provision(id, &psp->rng);
    return PSP_SUCCESS;
}

PspStatus psp_cmd_pek_gen(PspCall *call)
{
    return psp_platform_update(call->psp, psp_change_pek, NULL);
}

static PspStatus psp_change_pdh(PspPlatform *psp, PspIdentity *id,
                                void *opaque)
{
    psp_identity_new_pdh(id, &psp->rng);
    return PSP_SUCCESS;
}

PspStatus psp_cmd_pdh_gen(PspCall *call)
{
    return psp_platform_update(call->psp, psp_change_pdh, NULL);
}

/* --- Owner --------------------------------------------------------------- */

PspStatus psp_cmd_pek_csr(PspCall *call)
{
    PspPekCsr *cmd = call->buf;
    uint32_t len = psp_le32(cmd->csr_len);
    PspCert csr;

    cmd->csr_len = GUINT32_TO_LE((uint32_t)PSP_CERT_LEN);
    if (len < PSP_CERT_LEN) {
        return PSP_INVALID_LEN;
    }
    csr = call->psp->identity->pek_cert;
    psp_cert_unsign(&csr);
    if (!psp_copy_out(call->psp, psp_le64(cmd->csr_paddr), &csr,
                      sizeof(csr))) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}

/* PEK and OCA as an owner brings them */
typedef struct PspImport {
    PspCert pek;
    PspCert oca;
} PspImport;

static PspStatus psp_change_owner(PspPlatform *psp, PspIdentity *id,
                                  void *opaque)
{
    const PspImport *import = opaque;

    if (id->external) {
        return PSP_ALREADY_OWNED;
    }
    if (!psp_cert_valid(&import->pek, PSP_USAGE_PEK) ||
        !psp_cert_valid(&import->oca, PSP_USAGE_OCA) ||
        !psp_equal(&import->pek, &id->pek_cert, PSP_CERT_SIGNED_LEN)) {
        return PSP_INVALID_CERTIFICATE;
    }
    if (!psp_cert_signed_by(&import->oca, &import->oca) ||
        !psp_cert_signed_by(&import->pek, &import->oca)) {
        return PSP_BAD_SIGNATURE;
    }
    psp_identity_adopt(id, &import->pek, &import->oca, &psp->rng);
    return PSP_SUCCESS;
}

PspStatus psp_cmd_pek_cert_import(PspCall *call)
{
    const PspPekCertImport *cmd = call->buf;
    PspImport import;

    if (psp_le32(cmd->pek_len) != PSP_CERT_LEN ||
        psp_le32(cmd->oca_len) != PSP_CERT_LEN) {
        return PSP_INVALID_LEN;
    }
    if (!psp_copy_in(call->psp, psp_le64(cmd->pek_paddr), &import.pek,
                     sizeof(import.pek)) ||
        !psp_copy_in(call->psp, psp_le64(cmd->oca_paddr), &import.oca,
                     sizeof(import.oca))) {
        return PSP_INVALID_ADDRESS;
    }
    return psp_platform_update(call->psp, psp_change_owner, &import);
}

PspStatus psp_cmd_pdh_cert_export(PspCall *call)
{
    PspPdhCertExport *cmd = call->buf;
    uint32_t pdh_len = psp_le32(cmd->pdh_len);
    uint32_t chain_len = psp_le32(cmd->chain_len);
    const PspIdentity *id = call->psp->identity;
    PspCert chain[3];

    cmd->pdh_len = GUINT32_TO_LE((uint32_t)PSP_CERT_LEN);
    cmd->chain_len = GUINT32_TO_LE((uint32_t)PSP_CHAIN_LEN);
    if (pdh_len < PSP_CERT_LEN || chain_len < PSP_CHAIN_LEN) {
        return PSP_INVALID_LEN;
    }
    psp_identity_chain(id, chain);
    if (!psp_copy_out(call->psp, psp_le64(cmd->pdh_paddr), &id->pdh_cert,
                      sizeof(id->pdh_cert)) ||
        !psp_copy_out(call->psp, psp_le64(cmd->chain_paddr), chain,
                      sizeof(chain))) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}

/* --- The rest ------------------------------------------------------------ */

/* The caches that need WBINVD first are outside this chip. */
PspStatus psp_cmd_df_flush(PspCall *call)
{
    for (unsigned asid = 0; asid <= PSP_ASID_MAX; asid++) {
        call->psp->asids[asid].dirty = false;
    }
    return PSP_SUCCESS;
}

/* The only command that needs the identity before INIT */
PspStatus psp_cmd_get_id(PspCall *call)
{
    PspPlatform *psp = call->psp;
    PspGetId *cmd = call->buf;
    uint32_t len = psp_le32(cmd->id_len);
    PspStatus status = PSP_SUCCESS;

    cmd->id_len = GUINT32_TO_LE((uint32_t)PSP_ID_LEN);
    if (len < PSP_ID_LEN) {
        return PSP_INVALID_LEN;
    }
    if (!psp->identity) {
        status = psp_platform_update(psp, NULL, NULL);
    }
    if (status == PSP_SUCCESS &&
        !psp_copy_out(psp, psp_le64(cmd->id_paddr), psp->identity->chip_id,
                      PSP_ID_LEN)) {
        status = PSP_INVALID_ADDRESS;
    }
    if (psp->state == PSP_PLATFORM_UNINIT) {
        g_clear_pointer(&psp->identity, psp_identity_free);
    }
    return status;
}
