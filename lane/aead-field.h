/*
 * Arithmetic of GHASH, one block at a time, for the files that hold AES-GCM.
 *
 * A block is byte-reversed when it is loaded.  In that form the bits of a
 * polynomial run the wrong way round and a product comes out shifted by one;
 * so powers of H are kept multiplied by x, and no product is shifted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LANE_AEAD_FIELD_H
#define LANE_AEAD_FIELD_H

#include <immintrin.h>

#define AEAD_INLINE static inline __attribute__((always_inline))

AEAD_INLINE __m128i aead_load(const void *from)
{
    return _mm_loadu_si128(from);
}

AEAD_INLINE void aead_store(void *to, __m128i block)
{
    _mm_storeu_si128(to, block);
}

AEAD_INLINE __m128i aead_reverse(__m128i block)
{
    return _mm_shuffle_epi8(block, _mm_set_epi64x(0x0001020304050607,
                                                  0x08090a0b0c0d0e0f));
}

/* The 256 bits hi:lo, with @mid in the middle, modulo x^128 + x^7 + x^2 + x + 1 */
AEAD_INLINE __m128i aead_reduce(__m128i lo, __m128i mid, __m128i hi)
{
    const __m128i poly = _mm_set_epi64x(0, (int64_t)0xc200000000000000);

    lo = _mm_xor_si128(lo, _mm_slli_si128(mid, 8));
    hi = _mm_xor_si128(hi, _mm_srli_si128(mid, 8));
    for (int i = 0; i < 2; i++) {
        lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 0x4e),
                           _mm_clmulepi64_si128(lo, poly, 0));
    }
    return _mm_xor_si128(hi, lo);
}

AEAD_INLINE __m128i aead_times(__m128i a, __m128i power)
{
    return aead_reduce(_mm_clmulepi64_si128(a, power, 0x00),
                       _mm_xor_si128(_mm_clmulepi64_si128(a, power, 0x01),
                                     _mm_clmulepi64_si128(a, power, 0x10)),
                       _mm_clmulepi64_si128(a, power, 0x11));
}

AEAD_INLINE __m128i aead_encrypt(const AeadKey *key, __m128i block)
{
    block = _mm_xor_si128(block, aead_load(key->round[0]));
    for (int i = 1; i < AEAD_ROUNDS; i++) {
        block = _mm_aesenc_si128(block, aead_load(key->round[i]));
    }
    return _mm_aesenclast_si128(block, aead_load(key->round[AEAD_ROUNDS]));
}

/* The first counter block as a byte-reversed number: nonce, then 1 */
AEAD_INLINE __m128i aead_first(const uint8_t nonce[AEAD_NONCE])
{
    uint8_t block[AEAD_BLOCK] = { 0 };

    for (int i = 0; i < AEAD_NONCE; i++) {
        block[i] = nonce[i];
    }
    block[AEAD_BLOCK - 1] = 1;
    return aead_reverse(aead_load(block));
}

/* @sum is GHASH of the additional data and the ciphertext. */
AEAD_INLINE __m128i aead_tag(const AeadKey *key, __m128i sum, __m128i first)
{
    const __m128i bits = _mm_set_epi64x(AEAD_BLOCK * 8, LANE_PAGE * 8);

    sum = aead_times(_mm_xor_si128(sum, bits),
                     aead_load(key->power[AEAD_POWERS - 1]));
    return _mm_xor_si128(aead_reverse(sum),
                         aead_encrypt(key, aead_reverse(first)));
}

#endif
