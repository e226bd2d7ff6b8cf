/*
 * One certificate: built, parsed, checked against its signer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_CERT_H
#define PSP_CERT_H

#include "crypto.h"
#include "psp-abi.h"

/* --- SEV certificates: PDH, PEK, OCA, CEK ------------------------------- */

/* Everything but the signatures, whose slots are empty. */
void psp_cert_init(PspCert *cert, PspKeyUsage usage, const PspEcPoint *pub);
void psp_cert_unsign(PspCert *cert);
void psp_cert_sign(PspCert *cert, unsigned slot, PspKeyUsage signer,
                   const PspEcKey *key, const PspRng *rng);
bool psp_cert_sign_rsa(PspCert *cert, unsigned slot, const PspRsaKey *ask,
                       const PspRng *rng);

/* The public key; false unless it is a point of P-384. */
bool psp_cert_pub(const PspCert *cert, PspEcPoint *pub);
/* Version, usage, a fitting algorithm, a usable public key? */
bool psp_cert_valid(const PspCert *cert, PspKeyUsage usage);
/* Is a signature by @signer in either slot, and is it right? */
bool psp_cert_signed_by(const PspCert *cert, const PspCert *signer);
/* Does either slot claim a signature by such a key?  It is not checked. */
bool psp_cert_has_signature(const PspCert *cert, PspKeyUsage signer);
/* Is every slot beyond @used of them empty? */
bool psp_cert_slots_used(const PspCert *cert, unsigned used);
bool psp_cert_same_key(const PspCert *a, const PspCert *b);

/* --- AMD certificates: ASK, ARK ------------------------------------------ */

/* A parsed AMD certificate; @sig is NULL when it has none. */
typedef struct PspAmdKey {
    PspKeyUsage usage;
    uint8_t key_id[16];
    uint8_t certifying_id[16];
    size_t size;                /* of the modulus, in bytes */
    size_t total;               /* of the certificate, in bytes */
    uint8_t modulus[PSP_RSA_MAX_LEN];   /* big endian */
    uint8_t exponent[PSP_RSA_MAX_LEN];
    size_t signed_len;
    const uint8_t *sig;         /* little endian, in the caller's bytes */
} PspAmdKey;

/* @data may go on after the certificate: see @total. */
bool psp_amd_cert_parse(const void *data, size_t len, PspAmdKey *key);
bool psp_amd_cert_signed_by(const void *data, const PspAmdKey *key,
                            const PspAmdKey *signer);
bool psp_cert_signed_by_ask(const PspCert *cek, const PspAmdKey *ask);

/* Our own root: 2048 bits, SHA-256, PSP_AMD_CERT_LEN_2048 bytes. */
bool psp_amd_cert_build(uint8_t *cert, PspKeyUsage usage,
                        const char key_id[16], const char certifying_id[16],
                        const PspRsaKey *key, const PspRsaKey *signer,
                        const PspRng *rng);

#endif /* PSP_CERT_H */
