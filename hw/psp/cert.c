/*
 * SEV certificates: built, parsed, checked against their signer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cert.h"

#include <string.h>

/* Certificate numbers have 72 bytes and are little endian. */
#define PSP_NUM_LEN 72

static void psp_num_store(uint8_t to[PSP_NUM_LEN],
                          const uint8_t from[PSP_P384_LEN])
{
    memset(to, 0, PSP_NUM_LEN);
    psp_reverse(to, from, PSP_P384_LEN);
}

/* False when the number does not fit P-384. */
static bool psp_num_load(uint8_t to[PSP_P384_LEN],
                         const uint8_t from[PSP_NUM_LEN])
{
    psp_reverse(to, from, PSP_P384_LEN);
    return psp_is_zero(from + PSP_P384_LEN, PSP_NUM_LEN - PSP_P384_LEN);
}

void psp_cert_init(PspCert *cert, PspKeyUsage usage, const PspEcPoint *pub)
{
    PspKeyAlgo algo = usage == PSP_USAGE_PDH ? PSP_ALGO_ECDH_SHA256
                                             : PSP_ALGO_ECDSA_SHA256;

    memset(cert, 0, sizeof(*cert));
    cert->version = GUINT32_TO_LE(PSP_CERT_VERSION);
    cert->api_major = PSP_API_MAJOR;
    cert->api_minor = PSP_API_MINOR;
    cert->pubkey_usage = GUINT32_TO_LE(usage);
    cert->pubkey_algo = GUINT32_TO_LE(algo);
    cert->pubkey.ec.curve = GUINT32_TO_LE(PSP_CURVE_P384);
    psp_num_store(cert->pubkey.ec.x, pub->x);
    psp_num_store(cert->pubkey.ec.y, pub->y);
    psp_cert_unsign(cert);
}

void psp_cert_unsign(PspCert *cert)
{
    memset(cert->sig, 0, sizeof(cert->sig));
    for (unsigned i = 0; i < G_N_ELEMENTS(cert->sig); i++) {
        cert->sig[i].usage = GUINT32_TO_LE(PSP_USAGE_NONE);
    }
}

void psp_cert_sign(PspCert *cert, unsigned slot, PspKeyUsage signer,
                   const PspEcKey *key, const PspRng *rng)
{
    PspCertSig *sig = &cert->sig[slot];
    uint8_t digest[PSP_SHA256_LEN];
    PspEcdsa ecdsa;

    psp_sha256(cert, PSP_CERT_SIGNED_LEN, digest);
    psp_ecdsa_sign(key, rng, digest, sizeof(digest), &ecdsa);
    memset(sig, 0, sizeof(*sig));
    sig->usage = GUINT32_TO_LE(signer);
    sig->algo = GUINT32_TO_LE(PSP_ALGO_ECDSA_SHA256);
    psp_num_store(sig->ec.r, ecdsa.r);
    psp_num_store(sig->ec.s, ecdsa.s);
}

bool psp_cert_sign_rsa(PspCert *cert, unsigned slot, const PspRsaKey *ask,
                       const PspRng *rng)
{
    PspCertSig *sig = &cert->sig[slot];
    uint8_t digest[PSP_SHA256_LEN];
    uint8_t big_endian[PSP_RSA_BITS / 8];

    psp_sha256(cert, PSP_CERT_SIGNED_LEN, digest);
    if (!psp_rsa_pss_sign(ask, rng, digest, big_endian)) {
        return false;
    }
    memset(sig, 0, sizeof(*sig));
    sig->usage = GUINT32_TO_LE(PSP_USAGE_ASK);
    sig->algo = GUINT32_TO_LE(PSP_ALGO_RSA_SHA256);
    psp_reverse(sig->rsa, big_endian, sizeof(big_endian));
    return true;
}

bool psp_cert_pub(const PspCert *cert, PspEcPoint *pub)
{
    const PspEcPub *ec = &cert->pubkey.ec;

    return psp_le32(ec->curve) == PSP_CURVE_P384 &&
           psp_num_load(pub->x, ec->x) && psp_num_load(pub->y, ec->y) &&
           psp_ec_on_curve(pub);
}

bool psp_cert_valid(const PspCert *cert, PspKeyUsage usage)
{
    uint32_t algo = psp_le32(cert->pubkey_algo);
    PspEcPoint pub;

    if (psp_le32(cert->version) != PSP_CERT_VERSION ||
        psp_le32(cert->pubkey_usage) != usage) {
        return false;
    }
    if (usage == PSP_USAGE_PDH) {
        if (algo != PSP_ALGO_ECDH_SHA256 && algo != PSP_ALGO_ECDH_SHA384) {
            return false;
        }
    } else if (algo != PSP_ALGO_ECDSA_SHA256 &&
               algo != PSP_ALGO_ECDSA_SHA384) {
        return false;
    }
    return psp_cert_pub(cert, &pub);
}

static bool psp_sig_verify(const PspCert *cert, const PspCertSig *sig,
                           const PspEcPoint *pub)
{
    uint8_t digest[PSP_SHA384_LEN];
    size_t len = PSP_SHA256_LEN;
    PspEcdsa ecdsa;

    if (!psp_num_load(ecdsa.r, sig->ec.r) ||
        !psp_num_load(ecdsa.s, sig->ec.s) ||
        !psp_is_zero(sig->ec.rsvd, sizeof(sig->ec.rsvd))) {
        return false;
    }
    if (psp_le32(sig->algo) == PSP_ALGO_ECDSA_SHA384) {
        len = PSP_SHA384_LEN;
        psp_sha384(cert, PSP_CERT_SIGNED_LEN, digest);
    } else {
        psp_sha256(cert, PSP_CERT_SIGNED_LEN, digest);
    }
    return psp_ecdsa_verify(pub, digest, len, &ecdsa);
}

bool psp_cert_signed_by(const PspCert *cert, const PspCert *signer)
{
    PspEcPoint pub;

    if (!psp_cert_pub(signer, &pub)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(cert->sig); i++) {
        const PspCertSig *sig = &cert->sig[i];

        if (sig->usage == signer->pubkey_usage &&
            sig->algo == signer->pubkey_algo &&
            psp_sig_verify(cert, sig, &pub)) {
            return true;
        }
    }
    return false;
}

bool psp_cert_has_signature(const PspCert *cert, PspKeyUsage signer)
{
    return psp_le32(cert->sig[0].usage) == signer ||
           psp_le32(cert->sig[1].usage) == signer;
}

bool psp_cert_slots_used(const PspCert *cert, unsigned used)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cert->sig); i++) {
        const PspCertSig *sig = &cert->sig[i];

        if (psp_le32(sig->usage) != PSP_USAGE_NONE) {
            used--;
        } else if (sig->algo || !psp_is_zero(sig->rsa, sizeof(sig->rsa))) {
            return false;
        }
    }
    return used == 0;
}

bool psp_cert_same_key(const PspCert *a, const PspCert *b)
{
    return a->pubkey_usage == b->pubkey_usage &&
           a->pubkey_algo == b->pubkey_algo &&
           psp_equal(&a->pubkey, &b->pubkey, sizeof(a->pubkey));
}
