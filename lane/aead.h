/*
 * AES-256-GCM for pages: NIST SP 800-38D with a 96-bit nonce, one block of
 * additional data and a whole tag.
 *
 * Three texts of the same function, for three generations of CPUs; the caller
 * chooses one that the CPU can run.  They need no libc.
 *
 * All of them load each byte of @in exactly once, into a register or into
 * memory of their own, and never read back what they stored to @out.  So @in
 * and @out may be memory that somebody else writes meanwhile: what is
 * authenticated is what is decrypted, and the tag belongs to the ciphertext
 * that was made.
 *
 * The time that they take does not depend on the data or on the key.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LANE_AEAD_H
#define LANE_AEAD_H

#include <stddef.h>
#include <stdint.h>
#include "abi.h"

#define AEAD_KEY        32
#define AEAD_NONCE      12
#define AEAD_BLOCK      16
#define AEAD_ROUNDS     14
#define AEAD_POWERS     32

/* An expanded key: a secret, to be wiped as a whole.  Aligned for vectors. */
typedef struct AeadKey {
    uint8_t round[AEAD_ROUNDS + 1][AEAD_BLOCK];
    uint8_t unused[AEAD_BLOCK];
    /* H^32 first, H^1 last; byte-reversed, and multiplied by x */
    uint8_t power[AEAD_POWERS][AEAD_BLOCK];
} __attribute__((aligned(64))) AeadKey;

/* Any CPU with AES, PCLMULQDQ and SSE4.1. */
void aead_expand(AeadKey *key, const uint8_t secret[AEAD_KEY]);

/*
 * GHASH of @bytes at @from, a multiple of AEAD_BLOCK, without the length: a
 * universal hash.  It must be kept secret; aligned to 16.
 */
void aead_hash(const AeadKey *key, const void *from, size_t bytes,
               uint8_t hash[AEAD_BLOCK]);

/*
 * seal: LANE_PAGE bytes at @in -> as many at @out, and the tag.
 * open: the same backwards.  Returns 1 when the tag is right, else 0, and then
 * @out holds rubbish that must not be used.  @out must be private.
 * copy: one page.  @to and @from do not overlap.
 */
#define AEAD_PATH(name)                                                       \
    void aead_seal_##name(const AeadKey *key, const uint8_t nonce[AEAD_NONCE],\
                          const uint8_t aad[AEAD_BLOCK], const void *in,      \
                          void *out, uint8_t tag[AEAD_BLOCK]);                \
    int aead_open_##name(const AeadKey *key, const uint8_t nonce[AEAD_NONCE], \
                         const uint8_t aad[AEAD_BLOCK], const void *in,       \
                         void *out, const uint8_t tag[AEAD_BLOCK]);           \
    void aead_copy_##name(void *to, const void *from);

AEAD_PATH(aesni)
AEAD_PATH(vaes256)
AEAD_PATH(vaes512)

#endif
