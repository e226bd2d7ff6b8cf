/*
 * AES-256-GCM with VAES and VPCLMULQDQ, four blocks in a vector (AVX-512).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "aead.h"
#include "aead-field.h"

#define NAME(verb)      aead_##verb##_vaes512
#define WIDTH           4
#define VECTOR          __m512i
#define TAKE(v, p)      asm volatile("vmovdqu64 %1, %0" : "=v"(v)            \
                                     : "m"(*(const __m512i_u *)(p)))
#define GIVE(p, v)      asm volatile("vmovdqu64 %1, %0"                       \
                                     : "=m"(*(__m512i_u *)(p)) : "v"(v))
#define LOAD(p)         _mm512_loadu_si512((const void *)(p))
#define XOR             _mm512_xor_si512
#define ADD             _mm512_add_epi32
#define REVERSE(v)      _mm512_shuffle_epi8(v, EACH_BLOCK(_mm_set_epi64x(     \
                            0x0001020304050607, 0x08090a0b0c0d0e0f)))
#define ENC             _mm512_aesenc_epi128
#define LAST            _mm512_aesenclast_epi128
#define MUL             _mm512_clmulepi64_epi128
#define EACH(p)         EACH_BLOCK(aead_load(p))
#define EACH_BLOCK(b)   _mm512_broadcast_i32x4(b)
#define EACH_COUNT(n)   EACH_BLOCK(_mm_set_epi32(0, 0, 0, n))
#define ZERO            _mm512_setzero_si512()
#define COUNT_FROM      _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2,              \
                                         0, 0, 0, 1, 0, 0, 0, 0)
#define FOLD(v)         aead_fold512(v)
#define FIRST(b)        _mm512_zextsi128_si512(b)

AEAD_INLINE __m128i aead_fold512(__m512i v)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v),
                                    _mm512_extracti64x4_epi64(v, 1));

    return _mm_xor_si128(_mm256_castsi256_si128(half),
                         _mm256_extracti128_si256(half, 1));
}

#include "aead-page.h"
