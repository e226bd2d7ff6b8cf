/*
 * Key agreement: from a shared secret to TEK and TIK, both ends.
 *
 *   Z --nonce--> master --> KEK (wraps TEK and TIK), KIK (authenticates that)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "session.h"

#include <string.h>

void psp_kdf(const void *key, size_t key_len, const char *label,
             const void *context, size_t context_len, uint8_t out[16])
{
    const uint8_t counter[4] = { 1, 0, 0, 0 };
    const uint8_t bits[4] = { 128, 0, 0, 0 };
    uint8_t block[PSP_SHA256_LEN];
    PspHmac hmac;

    psp_hmac_init(&hmac, key, key_len);
    psp_hmac_update(&hmac, counter, sizeof(counter));
    psp_hmac_update(&hmac, label, strlen(label) + 1);
    psp_hmac_update(&hmac, context, context_len);
    psp_hmac_update(&hmac, bits, sizeof(bits));
    psp_hmac_final(&hmac, block);
    memcpy(out, block, 16);
    psp_wipe(&hmac, sizeof(hmac));
    psp_wipe(block, sizeof(block));
}

typedef struct PspWrapKeys {
    uint8_t kek[16];
    uint8_t kik[16];
} PspWrapKeys;

static void psp_session_derive(const uint8_t z[PSP_P384_LEN],
                               const uint8_t nonce[16], PspWrapKeys *keys)
{
    uint8_t master[16];

    psp_kdf(z, PSP_P384_LEN, "sev-master-secret", nonce, 16, master);
    psp_kdf(master, sizeof(master), "sev-kek", "", 0, keys->kek);
    psp_kdf(master, sizeof(master), "sev-kik", "", 0, keys->kik);
    psp_wipe(master, sizeof(master));
}

static void psp_policy_mac(const PspTransportKeys *keys, uint32_t policy,
                           uint8_t mac[PSP_SHA256_LEN])
{
    policy = GUINT32_TO_LE(policy);
    psp_hmac(keys->tik, sizeof(keys->tik), &policy, sizeof(policy), mac);
}

void psp_session_wrap(const uint8_t z[PSP_P384_LEN],
                      const PspTransportKeys *keys, uint32_t policy,
                      PspSession *session)
{
    PspWrapKeys wrap;
    PspCtr ctr;

    psp_session_derive(z, session->nonce, &wrap);
    psp_ctr_init(&ctr, wrap.kek);
    psp_ctr_crypt(&ctr, session->wrap_iv, keys, session->wrap_tk,
                  sizeof(session->wrap_tk));
    psp_hmac(wrap.kik, sizeof(wrap.kik), session->wrap_tk,
             sizeof(session->wrap_tk), session->wrap_mac);
    psp_policy_mac(keys, policy, session->policy_mac);
    psp_wipe(&ctr, sizeof(ctr));
    psp_wipe(&wrap, sizeof(wrap));
}

bool psp_session_unwrap(const uint8_t z[PSP_P384_LEN],
                        const PspSession *session, uint32_t policy,
                        PspTransportKeys *keys)
{
    uint8_t mac[PSP_SHA256_LEN];
    PspWrapKeys wrap;
    PspCtr ctr;
    bool ok;

    psp_session_derive(z, session->nonce, &wrap);
    psp_hmac(wrap.kik, sizeof(wrap.kik), session->wrap_tk,
             sizeof(session->wrap_tk), mac);
    ok = psp_equal(mac, session->wrap_mac, sizeof(mac));
    if (ok) {
        psp_ctr_init(&ctr, wrap.kek);
        psp_ctr_crypt(&ctr, session->wrap_iv, session->wrap_tk, keys,
                      sizeof(*keys));
        psp_wipe(&ctr, sizeof(ctr));
        psp_policy_mac(keys, policy, mac);
        ok = psp_equal(mac, session->policy_mac, sizeof(mac));
    }
    if (!ok) {
        psp_wipe(keys, sizeof(*keys));
    }
    psp_wipe(mac, sizeof(mac));
    psp_wipe(&wrap, sizeof(wrap));
    return ok;
}
