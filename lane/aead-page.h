/*
 * AES-256-GCM of one page, for any width of vector.  The file that includes
 * this defines
 *   NAME(verb)     the name of a function
 *   WIDTH, VECTOR  blocks in a vector, and its type
 *   TAKE(v, p)     load from memory that others may write: exactly once
 *   GIVE(p, v)     store to memory that others may read and write
 *   LOAD, XOR, ADD, REVERSE, ENC, LAST, MUL(a, b, half), EACH(block), ZERO
 *   COUNT_FROM     0, 1, .. WIDTH - 1 as counters, and FOLD(v): the sum of the blocks
 *   FIRST(block)   a vector with the block in its lowest place, else zeros
 * One group is GROUP vectors: AES is latency-bound, so that many blocks are in
 * flight, and GHASH of as many others fills the gaps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define GROUP           8
#define GROUP_BLOCKS    (GROUP * WIDTH)
#define GROUP_BYTES     (GROUP_BLOCKS * AEAD_BLOCK)
#define VECTOR_BYTES    (WIDTH * AEAD_BLOCK)

_Static_assert(GROUP_BLOCKS <= AEAD_POWERS && LANE_PAGE % GROUP_BYTES == 0,
               "a page is a whole number of groups");

/* The three parts of a sum of products that is not reduced yet */
typedef struct Sum {
    VECTOR lo, mid, hi;
} Sum;

/* Add vector @i of a group times its powers of H. */
AEAD_INLINE void add_product(Sum *sum, const AeadKey *key, VECTOR blocks, int i)
{
    VECTOR power = LOAD(key->power[AEAD_POWERS - GROUP_BLOCKS + i * WIDTH]);

    sum->lo = XOR(sum->lo, MUL(blocks, power, 0x00));
    sum->mid = XOR(sum->mid, MUL(blocks, power, 0x01));
    sum->mid = XOR(sum->mid, MUL(blocks, power, 0x10));
    sum->hi = XOR(sum->hi, MUL(blocks, power, 0x11));
}

AEAD_INLINE __m128i reduced(const Sum *sum)
{
    return aead_reduce(FOLD(sum->lo), FOLD(sum->mid), FOLD(sum->hi));
}

/*
 * One round of AES on a whole group, and the GHASH of one vector of @held.
 * @hash, what GHASH was before this group, goes into the group's first block.
 */
AEAD_INLINE void round_and_product(VECTOR c[GROUP], int round, Sum *sum,
                                   const AeadKey *key, const VECTOR held[GROUP],
                                   __m128i hash, int adds)
{
    VECTOR k = EACH(key->round[round]);

    _Pragma("GCC unroll 8")
    for (int i = 0; i < GROUP; i++) {
        c[i] = ENC(c[i], k);
    }
    if (adds && round <= GROUP) {
        VECTOR blocks = REVERSE(held[round - 1]);

        add_product(sum, key, round == 1 ? XOR(blocks, FIRST(hash)) : blocks,
                    round - 1);
    }
}

/* All of GCM but the tag: returns GHASH of @aad and the ciphertext. */
AEAD_INLINE __m128i page(const AeadKey *key, __m128i first, __m128i hash,
                         const uint8_t *in, uint8_t *out, int open)
{
    const VECTOR step = ADD(ZERO, EACH_COUNT(WIDTH));
    VECTOR counter = ADD(EACH_BLOCK(_mm_add_epi32(first, _mm_set_epi32(0, 0, 0, 1))),
                         COUNT_FROM);
    VECTOR held[GROUP];

    for (int at = 0; at < LANE_PAGE; at += GROUP_BYTES) {
        int adds = open || at;
        Sum sum = { ZERO, ZERO, ZERO };
        VECTOR c[GROUP];

        _Pragma("GCC unroll 8")
        for (int i = 0; open && i < GROUP; i++) {
            TAKE(held[i], in + at + i * VECTOR_BYTES);
        }
        _Pragma("GCC unroll 8")
        for (int i = 0; i < GROUP; i++) {
            c[i] = XOR(REVERSE(counter), EACH(key->round[0]));
            counter = ADD(counter, step);
        }
        _Pragma("GCC unroll 16")
        for (int round = 1; round < AEAD_ROUNDS; round++) {
            round_and_product(c, round, &sum, key, held, hash, adds);
        }
        if (adds) {
            hash = reduced(&sum);
        }
        _Pragma("GCC unroll 8")
        for (int i = 0; i < GROUP; i++) {
            VECTOR text;

            if (open) {
                text = held[i];
            } else {
                TAKE(text, in + at + i * VECTOR_BYTES);
            }
            text = LAST(c[i], XOR(text, EACH(key->round[AEAD_ROUNDS])));
            GIVE(out + at + i * VECTOR_BYTES, text);
            if (!open) {
                held[i] = text;
            }
        }
    }
    if (!open) {
        Sum sum = { ZERO, ZERO, ZERO };

        _Pragma("GCC unroll 8")
        for (int i = 0; i < GROUP; i++) {
            VECTOR blocks = REVERSE(held[i]);

            add_product(&sum, key, i ? blocks : XOR(blocks, FIRST(hash)), i);
        }
        hash = reduced(&sum);
    }
    return hash;
}

AEAD_INLINE __m128i hash_of_aad(const AeadKey *key, const uint8_t aad[AEAD_BLOCK])
{
    return aead_times(aead_reverse(aead_load(aad)),
                      aead_load(key->power[AEAD_POWERS - 1]));
}

void NAME(seal)(const AeadKey *key, const uint8_t nonce[AEAD_NONCE],
                const uint8_t aad[AEAD_BLOCK], const void *in, void *out,
                uint8_t tag[AEAD_BLOCK])
{
    __m128i first = aead_first(nonce);
    __m128i hash = page(key, first, hash_of_aad(key, aad), in, out, 0);

    aead_store(tag, aead_tag(key, hash, first));
}

int NAME(open)(const AeadKey *key, const uint8_t nonce[AEAD_NONCE],
               const uint8_t aad[AEAD_BLOCK], const void *in, void *out,
               const uint8_t tag[AEAD_BLOCK])
{
    __m128i first = aead_first(nonce);
    __m128i hash = page(key, first, hash_of_aad(key, aad), in, out, 1);
    __m128i differs = _mm_xor_si128(aead_tag(key, hash, first), aead_load(tag));

    return _mm_testz_si128(differs, differs);
}

void NAME(copy)(void *to, const void *from)
{
    for (int at = 0; at < LANE_PAGE; at += VECTOR_BYTES * 4) {
        VECTOR v[4];

        _Pragma("GCC unroll 4")
        for (int i = 0; i < 4; i++) {
            v[i] = LOAD((const uint8_t *)from + at + i * VECTOR_BYTES);
        }
        _Pragma("GCC unroll 4")
        for (int i = 0; i < 4; i++) {
            GIVE((uint8_t *)to + at + i * VECTOR_BYTES, v[i]);
        }
    }
}
