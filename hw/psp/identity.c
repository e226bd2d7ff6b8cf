/*
 * Who a chip is: made, re-made, given to another owner.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "identity.h"

#include <string.h>

PspIdentity *psp_identity_new(const PspRng *rng)
{
    PspIdentity *id = g_new0(PspIdentity, 1);

    psp_random(rng, id->chip_id, sizeof(id->chip_id));
    if (!psp_rsa_generate(&id->ark, rng) ||
        !psp_rsa_generate(&id->ask, rng) ||
        !psp_amd_cert_build(id->ark_cert, PSP_USAGE_ARK, PSP_SOFTWARE_ARK_ID,
                            PSP_SOFTWARE_ARK_ID, &id->ark, &id->ark, rng) ||
        !psp_amd_cert_build(id->ask_cert, PSP_USAGE_ASK, PSP_SOFTWARE_ASK_ID,
                            PSP_SOFTWARE_ARK_ID, &id->ask, &id->ark, rng)) {
        psp_identity_free(id);
        return NULL;
    }
    psp_ec_generate(&id->cek, rng);
    psp_cert_init(&id->cek_cert, PSP_USAGE_CEK, &id->cek.pub);
    if (!psp_cert_sign_rsa(&id->cek_cert, 0, &id->ask, rng)) {
        psp_identity_free(id);
        return NULL;
    }
    psp_identity_provision(id, rng);
    return id;
}

void psp_identity_free(PspIdentity *id)
{
    if (id) {
        psp_wipe(id, sizeof(*id));
        g_free(id);
    }
}

void psp_identity_new_pdh(PspIdentity *id, const PspRng *rng)
{
    psp_ec_generate(&id->pdh, rng);
    psp_cert_init(&id->pdh_cert, PSP_USAGE_PDH, &id->pdh.pub);
    psp_cert_sign(&id->pdh_cert, 0, PSP_USAGE_PEK, &id->pek, rng);
}

void psp_identity_provision(PspIdentity *id, const PspRng *rng)
{
    psp_ec_generate(&id->oca, rng);
    psp_cert_init(&id->oca_cert, PSP_USAGE_OCA, &id->oca.pub);
    psp_cert_sign(&id->oca_cert, 0, PSP_USAGE_OCA, &id->oca, rng);

    psp_ec_generate(&id->pek, rng);
    psp_cert_init(&id->pek_cert, PSP_USAGE_PEK, &id->pek.pub);
    psp_cert_sign(&id->pek_cert, 0, PSP_USAGE_OCA, &id->oca, rng);
    psp_cert_sign(&id->pek_cert, 1, PSP_USAGE_CEK, &id->cek, rng);

    psp_identity_new_pdh(id, rng);
    id->provisioned = true;
    id->external = false;
}

void psp_identity_deprovision(PspIdentity *id)
{
    psp_wipe(&id->oca, sizeof(id->oca));
    psp_wipe(&id->pek, sizeof(id->pek));
    psp_wipe(&id->pdh, sizeof(id->pdh));
    memset(&id->oca_cert, 0, sizeof(id->oca_cert));
    memset(&id->pek_cert, 0, sizeof(id->pek_cert));
    memset(&id->pdh_cert, 0, sizeof(id->pdh_cert));
    id->provisioned = false;
    id->external = false;
}

void psp_identity_adopt(PspIdentity *id, const PspCert *pek,
                        const PspCert *oca, const PspRng *rng)
{
    PspCertSig oca_sig = pek->sig[0];

    if (psp_le32(oca_sig.usage) != PSP_USAGE_OCA) {
        oca_sig = pek->sig[1];
    }
    psp_wipe(&id->oca, sizeof(id->oca));
    id->oca_cert = *oca;
    id->pek_cert.sig[0] = oca_sig;
    id->external = true;
    psp_identity_new_pdh(id, rng);
}

void psp_identity_chain(const PspIdentity *id, PspCert chain[3])
{
    chain[0] = id->pek_cert;
    chain[1] = id->oca_cert;
    chain[2] = id->cek_cert;
    if (id->silicon) {
        psp_cert_unsign(&chain[2]);
    }
}
