/*
 * AES-256-GCM of a page by OpenSSL, to compare with.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_LANE_OPENSSL_GCM_H
#define TESTS_LANE_OPENSSL_GCM_H

#include <glib.h>
#include <openssl/evp.h>
#include "lane/aead.h"

static inline void openssl_seal(const uint8_t *secret, const uint8_t *nonce,
                                const uint8_t *aad, const uint8_t *in,
                                uint8_t *out, uint8_t *tag)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;

    g_assert(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, secret, nonce) == 1 &&
             EVP_EncryptUpdate(c, NULL, &n, aad, AEAD_BLOCK) == 1 &&
             EVP_EncryptUpdate(c, out, &n, in, LANE_PAGE) == 1 &&
             EVP_EncryptFinal_ex(c, out + n, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_BLOCK, tag) == 1);
    EVP_CIPHER_CTX_free(c);
}

/* True when the tag is right */
static inline gboolean openssl_open(const uint8_t *secret, const uint8_t *nonce,
                                    const uint8_t *aad, const uint8_t *in,
                                    uint8_t *out, const uint8_t *tag)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    gboolean ok;
    int n;

    ok = EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, secret, nonce) == 1 &&
         EVP_DecryptUpdate(c, NULL, &n, aad, AEAD_BLOCK) == 1 &&
         EVP_DecryptUpdate(c, out, &n, in, LANE_PAGE) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, AEAD_BLOCK,
                             (void *)tag) == 1 &&
         EVP_DecryptFinal_ex(c, out + n, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok;
}

#endif
