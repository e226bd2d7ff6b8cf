/*
 * The persistent set in the host's memory, sealed by the chip.
 *
 *   "SEVPSPEX"  u32 version  u32 length of the ciphertext  IV[16]
 *   ciphertext of the blocks of nv.c, AES-128-CTR
 *   HMAC-SHA256 of everything before
 *
 * Both keys come from the CEK's private half, which never leaves the chip.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "identity.h"
#include "session.h"

#define PSP_NV_EX_MAGIC     "SEVPSPEX"
#define PSP_NV_EX_VERSION   1
#define PSP_NV_EX_HEAD      32

static void psp_nv_ex_keys(const PspIdentity *id, PspTransportKeys *keys)
{
    psp_kdf(id->cek.d, sizeof(id->cek.d), "software-psp-nv-encrypt",
            id->chip_id, sizeof(id->chip_id), keys->tek);
    psp_kdf(id->cek.d, sizeof(id->cek.d), "software-psp-nv-authenticate",
            id->chip_id, sizeof(id->chip_id), keys->tik);
}

static void psp_nv_ex_crypt(const PspTransportKeys *keys, const uint8_t *iv,
                            const void *src, void *dst, size_t len)
{
    PspCtr ctr;

    psp_ctr_init(&ctr, keys->tek);
    psp_ctr_crypt(&ctr, iv, src, dst, len);
    psp_wipe(&ctr, sizeof(ctr));
}

void psp_identity_seal_owner(const PspIdentity *id, const PspRng *rng,
                             uint8_t *area)
{
    uint8_t *blocks = g_malloc0(PSP_NV_LEN);
    uint8_t iv[PSP_AES_LEN], mac[PSP_SHA256_LEN];
    PspTransportKeys keys;
    PspWriter w;
    size_t len;

    psp_writer_init(&w, blocks, PSP_NV_LEN / 2);
    psp_identity_write_owner(&w, id);
    g_assert(!w.failed);
    len = w.len;
    psp_random(rng, iv, sizeof(iv));
    psp_nv_ex_keys(id, &keys);
    psp_nv_ex_crypt(&keys, iv, blocks, blocks, len);

    memset(area, 0xff, PSP_NV_LEN);
    psp_writer_init(&w, area, PSP_NV_LEN);
    psp_write_bytes(&w, PSP_NV_EX_MAGIC, 8);
    psp_write_u32(&w, PSP_NV_EX_VERSION);
    psp_write_u32(&w, len);
    psp_write_bytes(&w, iv, sizeof(iv));
    psp_write_bytes(&w, blocks, len);
    psp_hmac(keys.tik, sizeof(keys.tik), area, w.len, mac);
    psp_write_bytes(&w, mac, sizeof(mac));
    psp_wipe(&keys, sizeof(keys));
    g_free(blocks);
}

/* @area is the chip's own copy. */
static bool psp_nv_ex_verify(const PspTransportKeys *keys,
                             const uint8_t *area, PspReader *blocks,
                             const uint8_t **iv)
{
    uint8_t mac[PSP_SHA256_LEN];
    const uint8_t *magic, *bytes, *want;
    uint32_t version, len;
    PspReader r;

    psp_reader_init(&r, area, PSP_NV_LEN);
    magic = psp_read_bytes(&r, 8);
    version = psp_read_u32(&r);
    len = psp_read_u32(&r);
    *iv = psp_read_bytes(&r, PSP_AES_LEN);
    bytes = psp_read_bytes(&r, len);
    want = psp_read_bytes(&r, sizeof(mac));
    if (r.failed || memcmp(magic, PSP_NV_EX_MAGIC, 8) != 0 ||
        version != PSP_NV_EX_VERSION) {
        return false;
    }
    psp_hmac(keys->tik, sizeof(keys->tik), area, PSP_NV_EX_HEAD + len, mac);
    psp_reader_init(blocks, bytes, len);
    return psp_equal(mac, want, sizeof(mac));
}

bool psp_identity_open_owner(PspIdentity *id, const uint8_t *area)
{
    uint8_t *plain = NULL;
    size_t len = 0;
    PspTransportKeys keys;
    const uint8_t *iv;
    PspReader r;
    bool ok;

    psp_identity_deprovision(id);
    psp_nv_ex_keys(id, &keys);
    ok = psp_nv_ex_verify(&keys, area, &r, &iv);
    if (ok) {
        len = r.left;
        plain = g_malloc0(len + 1);
        psp_nv_ex_crypt(&keys, iv, r.pos, plain, len);
        psp_reader_init(&r, plain, len);
        ok = psp_identity_read_owner(&r, id);
        psp_wipe(plain, len);
    }
    if (!ok) {
        psp_identity_deprovision(id);
    }
    g_free(plain);
    psp_wipe(&keys, sizeof(keys));
    return ok;
}
