/*
 * An attestation report, as somebody who knows the platform reads it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chain.h"

#include <string.h>

static bool psp_report_refuse(GError **error, const char *what)
{
    g_set_error(error, PSP_ERROR, PSP_ERROR_CERT, "%s", what);
    return false;
}

static bool psp_report_signed(const PspReport *report, const PspEcPoint *pek)
{
    uint8_t digest[PSP_SHA256_LEN];
    PspEcdsa sig;

    psp_reverse(sig.r, report->sig_r, sizeof(sig.r));
    psp_reverse(sig.s, report->sig_s, sizeof(sig.s));
    psp_sha256(report, PSP_REPORT_SIGNED_LEN, digest);
    return psp_le32(report->sig_usage) == PSP_USAGE_PEK &&
           psp_le32(report->sig_algo) == PSP_ALGO_ECDSA_SHA256 &&
           psp_is_zero(report->sig_r + PSP_P384_LEN,
                       sizeof(report->sig_r) - PSP_P384_LEN) &&
           psp_is_zero(report->sig_s + PSP_P384_LEN,
                       sizeof(report->sig_s) - PSP_P384_LEN) &&
           psp_ecdsa_verify(pek, digest, sizeof(digest), &sig);
}

bool psp_report_verify(const PspChain *chain, const void *bytes, size_t len,
                       const uint8_t mnonce[PSP_MNONCE_LEN], uint32_t policy,
                       GError **error)
{
    PspChainCerts certs;
    PspReport report;
    PspEcPoint pek;

    if (len != PSP_REPORT_LEN) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "an attestation report of %zu bytes, not %d", len,
                    PSP_REPORT_LEN);
        return false;
    }
    if (!psp_chain_open(chain, &certs, error)) {
        return false;
    }
    memcpy(&report, bytes, sizeof(report));
    if (!psp_cert_pub(&certs.plat[PSP_CHAIN_PEK], &pek) ||
        !psp_report_signed(&report, &pek)) {
        return psp_report_refuse(error, "the attestation report is not signed"
                                 " by the platform's PEK");
    }
    if (!psp_equal(report.mnonce, mnonce, PSP_MNONCE_LEN)) {
        return psp_report_refuse(error, "the attestation report answers"
                                 " another question (its nonce differs)");
    }
    if (psp_le32(report.policy) != policy) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT, "the attestation report"
                    " is of a guest with policy 0x%x, not 0x%x",
                    psp_le32(report.policy), policy);
        return false;
    }
    return true;
}
