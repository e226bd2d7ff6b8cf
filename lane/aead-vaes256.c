/*
 * AES-256-GCM with VAES and VPCLMULQDQ, two blocks in a vector (AVX2).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "aead.h"
#include "aead-field.h"

#define NAME(verb)      aead_##verb##_vaes256
#define WIDTH           2
#define VECTOR          __m256i
#define TAKE(v, p)      asm volatile("vmovdqu %1, %0" : "=x"(v)              \
                                     : "m"(*(const __m256i_u *)(p)))
#define GIVE(p, v)      asm volatile("vmovdqu %1, %0"                         \
                                     : "=m"(*(__m256i_u *)(p)) : "x"(v))
#define LOAD(p)         _mm256_loadu_si256((const void *)(p))
#define XOR             _mm256_xor_si256
#define ADD             _mm256_add_epi32
#define REVERSE(v)      _mm256_shuffle_epi8(v, EACH_BLOCK(_mm_set_epi64x(     \
                            0x0001020304050607, 0x08090a0b0c0d0e0f)))
#define ENC             _mm256_aesenc_epi128
#define LAST            _mm256_aesenclast_epi128
#define MUL             _mm256_clmulepi64_epi128
#define EACH(p)         EACH_BLOCK(aead_load(p))
#define EACH_BLOCK(b)   _mm256_broadcastsi128_si256(b)
#define EACH_COUNT(n)   _mm256_set_epi32(0, 0, 0, n, 0, 0, 0, n)
#define ZERO            _mm256_setzero_si256()
#define COUNT_FROM      _mm256_set_epi32(0, 0, 0, 1, 0, 0, 0, 0)
#define FOLD(v)         _mm_xor_si128(_mm256_castsi256_si128(v),              \
                                      _mm256_extracti128_si256(v, 1))
#define FIRST(b)        _mm256_zextsi128_si256(b)

#include "aead-page.h"
