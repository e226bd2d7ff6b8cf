/*
 * The chip's hashes and MACs, and AES-128-CTR, by nettle.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "crypto.h"

#include <nettle/aes.h>
#include <nettle/ctr.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <string.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(PspSha256), "SHA-256");
_Static_assert(sizeof(struct hmac_sha256_ctx) <= sizeof(PspHmac), "HMAC");
_Static_assert(sizeof(struct aes128_ctx) <= sizeof(PspCtr), "AES-128");

/* --- Hashes and MACs ----------------------------------------------------- */

void psp_sha256_init(PspSha256 *ctx)
{
    sha256_init((void *)ctx->opaque);
}

void psp_sha256_update(PspSha256 *ctx, const void *data, size_t len)
{
    sha256_update((void *)ctx->opaque, len, data);
}

void psp_sha256_final(PspSha256 *ctx, uint8_t digest[PSP_SHA256_LEN])
{
    sha256_digest((void *)ctx->opaque, PSP_SHA256_LEN, digest);
}

void psp_sha256(const void *data, size_t len, uint8_t digest[PSP_SHA256_LEN])
{
    PspSha256 ctx;

    psp_sha256_init(&ctx);
    psp_sha256_update(&ctx, data, len);
    psp_sha256_final(&ctx, digest);
}

void psp_sha384(const void *data, size_t len, uint8_t digest[PSP_SHA384_LEN])
{
    struct sha384_ctx ctx;

    sha384_init(&ctx);
    sha384_update(&ctx, len, data);
    sha384_digest(&ctx, PSP_SHA384_LEN, digest);
}

void psp_hmac_init(PspHmac *ctx, const void *key, size_t len)
{
    hmac_sha256_set_key((void *)ctx->opaque, len, key);
}

void psp_hmac_update(PspHmac *ctx, const void *data, size_t len)
{
    hmac_sha256_update((void *)ctx->opaque, len, data);
}

void psp_hmac_final(PspHmac *ctx, uint8_t mac[PSP_SHA256_LEN])
{
    hmac_sha256_digest((void *)ctx->opaque, PSP_SHA256_LEN, mac);
}

void psp_hmac(const void *key, size_t key_len, const void *data, size_t len,
              uint8_t mac[PSP_SHA256_LEN])
{
    PspHmac ctx;

    psp_hmac_init(&ctx, key, key_len);
    psp_hmac_update(&ctx, data, len);
    psp_hmac_final(&ctx, mac);
    psp_wipe(&ctx, sizeof(ctx));
}

/* --- AES-128-CTR --------------------------------------------------------- */

void psp_ctr_init(PspCtr *ctx, const uint8_t key[PSP_AES_LEN])
{
    aes128_set_encrypt_key((void *)ctx->opaque, key);
}

void psp_ctr_crypt(const PspCtr *ctx, const uint8_t iv[PSP_AES_LEN],
                   const void *src, void *dst, size_t len)
{
    uint8_t counter[PSP_AES_LEN];

    memcpy(counter, iv, sizeof(counter));
    ctr_crypt(ctx->opaque, (nettle_cipher_func *)aes128_encrypt,
              sizeof(counter), counter, len, dst, src);
}
