/*
 * What the CPU can do, and its random numbers.
 *
 * CPUID is answered by the host.  A host that lies gets an invalid opcode,
 * which is reported as a fault, or a slower path; nothing else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "state.h"

#define BIT(n)          (1u << (n))

/* Leaf 1, ECX */
#define PCLMULQDQ       BIT(1)
#define SSSE3           BIT(9)
#define SSE41           BIT(19)
#define AES             BIT(25)
#define OSXSAVE         BIT(27)
#define AVX             BIT(28)
#define RDRAND          BIT(30)
/* Leaf 7, EBX and ECX */
#define AVX2            BIT(5)
#define AVX512          (BIT(16) | BIT(17) | BIT(30) | BIT(31)) /* F DQ BW VL */
#define VAES            (BIT(9) | BIT(10))                      /* and VPCLMUL */
/* XCR0 */
#define XCR0_AVX        0x06u
#define XCR0_AVX512     0xe6u

typedef struct Cpuid {
    uint32_t eax, ebx, ecx, edx;
} Cpuid;

static Cpuid cpuid(uint32_t leaf)
{
    Cpuid c;

    asm volatile("cpuid" : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx)
                 : "a"(leaf), "c"(0));
    return c;
}

static int has(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

int lane_has_aes(void)
{
    return has(cpuid(1).ecx, PCLMULQDQ | SSSE3 | SSE41 | AES | RDRAND);
}

uint32_t lane_best_path(void)
{
    uint32_t xcr0, high;
    Cpuid c;

    if (!has(cpuid(1).ecx, OSXSAVE | AVX) || cpuid(0).eax < 7) {
        return LANE_PATH_AESNI;
    }
    asm volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    c = cpuid(7);
    if (!has(xcr0, XCR0_AVX) || !has(c.ebx, AVX2) || !has(c.ecx, VAES)) {
        return LANE_PATH_AESNI;
    }
    return has(xcr0, XCR0_AVX512) && has(c.ebx, AVX512) ? LANE_PATH_VAES512
                                                        : LANE_PATH_VAES256;
}

/* Some CPUs answered nothing but ones after a suspend, and called it random. */
int lane_random(uint64_t *value)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint8_t ok;

        asm volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(ok) :: "cc");
        if (ok && *value && *value != ~0ULL) {
            return 1;
        }
    }
    return 0;
}
