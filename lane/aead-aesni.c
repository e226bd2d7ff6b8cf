/*
 * AES-256-GCM with AES-NI and PCLMULQDQ; keys; the hash of the version table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "aead.h"
#include "aead-field.h"

#define NAME(verb)      aead_##verb##_aesni
#define WIDTH           1
#define VECTOR          __m128i
#define TAKE(v, p)      asm volatile("movdqu %1, %0" : "=x"(v)               \
                                     : "m"(*(const __m128i_u *)(p)))
#define GIVE(p, v)      asm volatile("movdqu %1, %0"                          \
                                     : "=m"(*(__m128i_u *)(p)) : "x"(v))
#define LOAD(p)         aead_load(p)
#define XOR             _mm_xor_si128
#define ADD             _mm_add_epi32
#define REVERSE         aead_reverse
#define ENC             _mm_aesenc_si128
#define LAST            _mm_aesenclast_si128
#define MUL             _mm_clmulepi64_si128
#define EACH(p)         aead_load(p)
#define EACH_BLOCK(b)   (b)
#define EACH_COUNT(n)   _mm_set_epi32(0, 0, 0, n)
#define ZERO            _mm_setzero_si128()
#define COUNT_FROM      ZERO
#define FOLD(v)         (v)
#define FIRST(b)        (b)

#include "aead-page.h"

/* One more round key of FIPS 197: @older is two back, @word from the last one. */
AEAD_INLINE __m128i next_round(__m128i older, __m128i word)
{
    for (int i = 0; i < 3; i++) {
        older = _mm_xor_si128(older, _mm_slli_si128(older, 4));
    }
    return _mm_xor_si128(older, word);
}

#define EVEN(i, rcon)                                                         \
    r[i] = next_round(r[i - 2], _mm_shuffle_epi32(                            \
        _mm_aeskeygenassist_si128(r[i - 1], rcon), 0xff))
#define ODD(i)                                                                \
    r[i] = next_round(r[i - 2], _mm_shuffle_epi32(                            \
        _mm_aeskeygenassist_si128(r[i - 1], 0), 0xaa))

static void expand_rounds(AeadKey *key, const uint8_t secret[AEAD_KEY])
{
    __m128i r[AEAD_ROUNDS + 1];

    r[0] = aead_load(secret);
    r[1] = aead_load(secret + AEAD_BLOCK);
    EVEN(2, 0x01), ODD(3);
    EVEN(4, 0x02), ODD(5);
    EVEN(6, 0x04), ODD(7);
    EVEN(8, 0x08), ODD(9);
    EVEN(10, 0x10), ODD(11);
    EVEN(12, 0x20), ODD(13);
    EVEN(14, 0x40);
    for (int i = 0; i <= AEAD_ROUNDS; i++) {
        aead_store(key->round[i], r[i]);
    }
}

/* A polynomial times x: one bit to the left, and what falls out comes back. */
static __m128i times_x(__m128i a)
{
    const __m128i poly = _mm_set_epi64x((int64_t)0xc200000000000000, 1);
    __m128i carries = _mm_srli_epi64(a, 63);
    __m128i out = _mm_shuffle_epi32(carries, 0xaa);     /* the highest bit */

    a = _mm_or_si128(_mm_slli_epi64(a, 1), _mm_slli_si128(carries, 8));
    out = _mm_sub_epi32(_mm_setzero_si128(), out);
    return _mm_xor_si128(a, _mm_and_si128(out, poly));
}

void aead_expand(AeadKey *key, const uint8_t secret[AEAD_KEY])
{
    __m128i h, power;

    expand_rounds(key, secret);
    h = times_x(aead_reverse(aead_encrypt(key, ZERO)));
    power = h;
    aead_store(key->unused, ZERO);
    for (int i = AEAD_POWERS - 1; i >= 0; i--) {
        aead_store(key->power[i], power);
        power = aead_times(power, h);
    }
}

void aead_hash(const AeadKey *key, const void *from, size_t bytes,
               uint8_t hash[AEAD_BLOCK])
{
    const uint8_t *at = from, *end = at + bytes;
    __m128i h = aead_load(key->power[AEAD_POWERS - 1]), value = ZERO;

    for (; end - at >= GROUP_BYTES; at += GROUP_BYTES) {
        Sum sum = { ZERO, ZERO, ZERO };

        for (int i = 0; i < GROUP; i++) {
            __m128i block = aead_load(at + i * AEAD_BLOCK);

            add_product(&sum, key, i ? block : XOR(block, value), i);
        }
        value = reduced(&sum);
    }
    for (; at < end; at += AEAD_BLOCK) {
        value = aead_times(XOR(value, aead_load(at)), h);
    }
    aead_store(hash, value);
}
