/*
 * All the cryptography the chip uses; no other file includes a crypto
 * library.
 *
 * Numbers (keys, points, signatures, moduli) are big endian here, as the
 * libraries have them; certificates are little endian and cert.c turns them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_CRYPTO_H
#define PSP_CRYPTO_H

#include "util.h"

#define PSP_SHA256_LEN  32
#define PSP_SHA384_LEN  48
#define PSP_P384_LEN    48
#define PSP_AES_LEN     16
#define PSP_XTS_KEY_LEN 32
#define PSP_RSA_BITS    2048            /* of keys we make ourselves */
#define PSP_RSA_MAX_LEN 512             /* of keys we verify with */

/* --- Hashes and MACs.  Contexts live where the caller puts them. -------- */

typedef struct PspSha256 {
    uint64_t opaque[16];
} PspSha256;

void psp_sha256_init(PspSha256 *ctx);
void psp_sha256_update(PspSha256 *ctx, const void *data, size_t len);
void psp_sha256_final(PspSha256 *ctx, uint8_t digest[PSP_SHA256_LEN]);
void psp_sha256(const void *data, size_t len,
                uint8_t digest[PSP_SHA256_LEN]);
void psp_sha384(const void *data, size_t len,
                uint8_t digest[PSP_SHA384_LEN]);

/* Holds a scheduled key: a secret.  Copy it to use one key in two threads. */
typedef struct PspHmac {
    uint64_t opaque[48];
} PspHmac;

void psp_hmac_init(PspHmac *ctx, const void *key, size_t len);
void psp_hmac_update(PspHmac *ctx, const void *data, size_t len);
/* Leaves @ctx keyed and ready for the next message. */
void psp_hmac_final(PspHmac *ctx, uint8_t mac[PSP_SHA256_LEN]);
void psp_hmac(const void *key, size_t key_len, const void *data, size_t len,
              uint8_t mac[PSP_SHA256_LEN]);

/* --- AES-128 ------------------------------------------------------------ */

/* Holds a scheduled key: a secret.  Not changed by use. */
typedef struct PspCtr {
    uint64_t opaque[32];
} PspCtr;

void psp_ctr_init(PspCtr *ctx, const uint8_t key[PSP_AES_LEN]);
/* @iv is the first counter block, counted up as one 128-bit number. */
void psp_ctr_crypt(const PspCtr *ctx, const uint8_t iv[PSP_AES_LEN],
                   const void *src, void *dst, size_t len);

/* AES-128-XTS, one user at a time per handle. */
typedef struct PspXts PspXts;
/* NULL when the library refuses to start. */
PspXts *psp_xts_new(const uint8_t key[PSP_XTS_KEY_LEN]);
void psp_xts_free(PspXts *xts);
void psp_xts_encrypt(PspXts *xts, const uint8_t tweak[PSP_AES_LEN],
                     const void *src, void *dst, size_t len);
void psp_xts_decrypt(PspXts *xts, const uint8_t tweak[PSP_AES_LEN],
                     const void *src, void *dst, size_t len);

/* --- P-384 -------------------------------------------------------------- */

typedef struct PspEcPoint {
    uint8_t x[PSP_P384_LEN];
    uint8_t y[PSP_P384_LEN];
} PspEcPoint;

typedef struct PspEcKey {
    uint8_t d[PSP_P384_LEN];            /* secret */
    PspEcPoint pub;
} PspEcKey;

typedef struct PspEcdsa {
    uint8_t r[PSP_P384_LEN];
    uint8_t s[PSP_P384_LEN];
} PspEcdsa;

void psp_ec_generate(PspEcKey *key, const PspRng *rng);
/* Fill in the public half; false when @d is not a private key. */
bool psp_ec_derive_pub(PspEcKey *key);
bool psp_ec_on_curve(const PspEcPoint *point);
/* The X coordinate of d * peer; false when @peer is not on the curve. */
bool psp_ecdh(const PspEcKey *key, const PspEcPoint *peer,
              uint8_t z[PSP_P384_LEN]);
void psp_ecdsa_sign(const PspEcKey *key, const PspRng *rng,
                    const uint8_t *digest, size_t len, PspEcdsa *sig);
bool psp_ecdsa_verify(const PspEcPoint *pub, const uint8_t *digest,
                      size_t len, const PspEcdsa *sig);

/* --- RSA, PSS padding, salt as long as the hash ------------------------- */

typedef struct PspRsaKey {
    uint8_t p[PSP_RSA_BITS / 16];       /* secret */
    uint8_t q[PSP_RSA_BITS / 16];       /* secret */
    uint8_t n[PSP_RSA_BITS / 8];        /* e is 65537 */
} PspRsaKey;

bool psp_rsa_generate(PspRsaKey *key, const PspRng *rng);
/* Fill in the modulus; false when p and q are no key of the right size. */
bool psp_rsa_derive_pub(PspRsaKey *key);
bool psp_rsa_pss_sign(const PspRsaKey *key, const PspRng *rng,
                      const uint8_t digest[PSP_SHA256_LEN],
                      uint8_t sig[PSP_RSA_BITS / 8]);
/* @hash_len chooses SHA-256 or SHA-384; @sig is as long as @n. */
bool psp_rsa_pss_verify(const uint8_t *n, size_t n_len,
                        const uint8_t *e, size_t e_len,
                        const uint8_t *digest, size_t hash_len,
                        const uint8_t *sig);

#endif /* PSP_CRYPTO_H */
