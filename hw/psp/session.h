/*
 * Key agreement: from a shared secret to TEK and TIK, both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_SESSION_H
#define PSP_SESSION_H

#include "crypto.h"
#include "psp-abi.h"

/* The two keys of a transport session: a secret. */
typedef struct PspTransportKeys {
    uint8_t tek[16];            /* encrypts */
    uint8_t tik[16];            /* authenticates */
} PspTransportKeys;

/* SP 800-108 counter mode with HMAC-SHA256, one 16-byte block. */
void psp_kdf(const void *key, size_t key_len, const char *label,
             const void *context, size_t context_len, uint8_t out[16]);

/*
 * The session that carries @keys to whoever can compute @z too.
 * @session->nonce and @session->wrap_iv are inputs.
 */
void psp_session_wrap(const uint8_t z[PSP_P384_LEN],
                      const PspTransportKeys *keys, uint32_t policy,
                      PspSession *session);

/* False, and @keys is all zeros, when either MAC does not match. */
bool psp_session_unwrap(const uint8_t z[PSP_P384_LEN],
                        const PspSession *session, uint32_t policy,
                        PspTransportKeys *keys);

#endif /* PSP_SESSION_H */
