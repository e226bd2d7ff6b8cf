/*
 * Copying, zeroing and comparing, for a program without libc.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "state.h"

typedef volatile uint64_t __attribute__((aligned(1), may_alias)) Word;

void lane_zero(void *at, size_t bytes)
{
    volatile uint8_t *p = at;

    for (; bytes >= 8; bytes -= 8, p += 8) {
        *(Word *)p = 0;
    }
    while (bytes--) {
        *p++ = 0;
    }
}

/* Each byte is read once: the host may change it at any time. */
void lane_take(void *to, const volatile void *from, size_t bytes)
{
    const volatile uint8_t *in = from;
    volatile uint8_t *out = to;

    for (; bytes >= 8; bytes -= 8, in += 8, out += 8) {
        *(Word *)out = *(const Word *)in;
    }
    while (bytes--) {
        *out++ = *in++;
    }
}

void lane_give(volatile void *to, const void *from, size_t bytes)
{
    lane_take((void *)to, from, bytes);
}

/* In a time that does not depend on the bytes */
int lane_same(const void *a, const void *b, size_t bytes)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t differs = 0;

    for (size_t i = 0; i < bytes; i++) {
        differs |= x[i] ^ y[i];
    }
    return !differs;
}

#ifndef LANE_HOSTED
/* The compiler calls these where it likes. */
void *memset(void *to, int value, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);

void *memset(void *to, int value, size_t bytes)
{
    void *at = to;

    asm volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, size_t bytes)
{
    void *at = to;

    asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) :: "memory");
    return to;
}
#endif
