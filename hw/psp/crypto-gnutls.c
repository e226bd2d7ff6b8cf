/*
 * AES-128-XTS by gnutls, which uses the CPU's AES for it; nettle's is ten
 * times slower.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "crypto.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

PspXts *psp_xts_new(const uint8_t key[PSP_XTS_KEY_LEN])
{
    gnutls_datum_t k = { .data = (void *)key, .size = PSP_XTS_KEY_LEN };
    gnutls_cipher_hd_t hd;

    if (gnutls_cipher_init(&hd, GNUTLS_CIPHER_AES_128_XTS, &k, NULL) < 0) {
        return NULL;
    }
    return (PspXts *)hd;
}

void psp_xts_free(PspXts *xts)
{
    if (xts) {
        gnutls_cipher_deinit((gnutls_cipher_hd_t)xts);
    }
}

void psp_xts_encrypt(PspXts *xts, const uint8_t tweak[PSP_AES_LEN],
                     const void *src, void *dst, size_t len)
{
    gnutls_cipher_hd_t hd = (gnutls_cipher_hd_t)xts;

    gnutls_cipher_set_iv(hd, (void *)tweak, PSP_AES_LEN);
    gnutls_cipher_encrypt2(hd, src, len, dst, len);
}

void psp_xts_decrypt(PspXts *xts, const uint8_t tweak[PSP_AES_LEN],
                     const void *src, void *dst, size_t len)
{
    gnutls_cipher_hd_t hd = (gnutls_cipher_hd_t)xts;

    gnutls_cipher_set_iv(hd, (void *)tweak, PSP_AES_LEN);
    gnutls_cipher_decrypt2(hd, src, len, dst, len);
}
