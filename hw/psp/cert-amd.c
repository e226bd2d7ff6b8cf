/*
 * AMD certificates (ASK, ARK): built, parsed, checked against their signer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cert.h"

#include <string.h>

/* 2048-bit keys hash with SHA-256, 4096-bit keys with SHA-384. */
static size_t psp_amd_digest(const PspAmdKey *signer, const void *data,
                             size_t len, uint8_t digest[PSP_SHA384_LEN])
{
    if (signer->size == PSP_RSA_MAX_LEN) {
        psp_sha384(data, len, digest);
        return PSP_SHA384_LEN;
    }
    psp_sha256(data, len, digest);
    return PSP_SHA256_LEN;
}

static bool psp_amd_verify(const PspAmdKey *signer, const void *data,
                           size_t len, const uint8_t *little_endian)
{
    uint8_t digest[PSP_SHA384_LEN];
    uint8_t sig[PSP_RSA_MAX_LEN];
    size_t hash_len = psp_amd_digest(signer, data, len, digest);

    psp_reverse(sig, little_endian, signer->size);
    return psp_rsa_pss_verify(signer->modulus, signer->size,
                              signer->exponent, signer->size,
                              digest, hash_len, sig);
}

bool psp_amd_cert_parse(const void *data, size_t len, PspAmdKey *key)
{
    const PspAmdCert *cert = data;
    const uint8_t *exponent, *modulus;
    PspReader r;
    uint32_t bits;

    memset(key, 0, sizeof(*key));
    psp_reader_init(&r, data, len);
    if (!psp_read_bytes(&r, sizeof(*cert))) {
        return false;
    }
    bits = psp_le32(cert->modulus_bits);
    if (psp_le32(cert->version) != PSP_CERT_VERSION ||
        (bits != 2048 && bits != 4096) ||
        psp_le32(cert->exponent_bits) != bits) {
        return false;
    }
    key->usage = psp_le32(cert->key_usage);
    key->size = bits / 8;
    memcpy(key->key_id, cert->key_id, sizeof(key->key_id));
    memcpy(key->certifying_id, cert->certifying_id,
           sizeof(key->certifying_id));
    exponent = psp_read_bytes(&r, key->size);
    modulus = psp_read_bytes(&r, key->size);
    if (!exponent || !modulus) {
        return false;
    }
    psp_reverse(key->exponent, exponent, key->size);
    psp_reverse(key->modulus, modulus, key->size);
    key->signed_len = sizeof(*cert) + 2 * key->size;
    if (len == key->signed_len) {       /* the first Naples ARK */
        key->total = len;
        return key->usage == PSP_USAGE_ARK;
    }
    key->sig = psp_read_bytes(&r, key->size);
    key->total = key->signed_len + key->size;
    return key->sig != NULL;
}

bool psp_amd_cert_signed_by(const void *data, const PspAmdKey *key,
                            const PspAmdKey *signer)
{
    return key->sig && key->size == signer->size &&
           psp_equal(key->certifying_id, signer->key_id,
                     sizeof(signer->key_id)) &&
           psp_amd_verify(signer, data, key->signed_len, key->sig);
}

bool psp_cert_signed_by_ask(const PspCert *cek, const PspAmdKey *ask)
{
    uint32_t algo = ask->size == PSP_RSA_MAX_LEN ? PSP_ALGO_RSA_SHA384
                                                 : PSP_ALGO_RSA_SHA256;

    for (unsigned i = 0; i < G_N_ELEMENTS(cek->sig); i++) {
        const PspCertSig *sig = &cek->sig[i];

        if (psp_le32(sig->usage) == PSP_USAGE_ASK &&
            psp_le32(sig->algo) == algo &&
            psp_is_zero(sig->rsa + ask->size,
                        sizeof(sig->rsa) - ask->size) &&
            psp_amd_verify(ask, cek, PSP_CERT_SIGNED_LEN, sig->rsa)) {
            return true;
        }
    }
    return false;
}

bool psp_amd_cert_build(uint8_t *cert, PspKeyUsage usage,
                        const char key_id[16], const char certifying_id[16],
                        const PspRsaKey *key, const PspRsaKey *signer,
                        const PspRng *rng)
{
    const size_t size = PSP_RSA_BITS / 8;
    PspAmdCert *head = (PspAmdCert *)cert;
    uint8_t digest[PSP_SHA256_LEN];
    uint8_t sig[PSP_RSA_BITS / 8];

    memset(cert, 0, PSP_AMD_CERT_LEN_2048);
    head->version = GUINT32_TO_LE(PSP_CERT_VERSION);
    memcpy(head->key_id, key_id, sizeof(head->key_id));
    memcpy(head->certifying_id, certifying_id, sizeof(head->certifying_id));
    head->key_usage = GUINT32_TO_LE(usage);
    head->exponent_bits = GUINT32_TO_LE(PSP_RSA_BITS);
    head->modulus_bits = GUINT32_TO_LE(PSP_RSA_BITS);
    head->data[0] = 0x01;               /* 65537 */
    head->data[2] = 0x01;
    psp_reverse(head->data + size, key->n, size);

    psp_sha256(cert, sizeof(*head) + 2 * size, digest);
    if (!psp_rsa_pss_sign(signer, rng, digest, sig)) {
        return false;
    }
    psp_reverse(head->data + 2 * size, sig, size);
    return true;
}
