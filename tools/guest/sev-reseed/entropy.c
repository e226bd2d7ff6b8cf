/*
 * Fresh entropy for the kernel's pool.
 *
 * RNDADDENTROPY mixes and credits, RNDRESEEDCRNG makes the generator draw a new
 * key from the pool at once; per-CPU generators, batches of get_random_u32()
 * and the vDSO follow by its generation number (Linux drivers/char/random.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "reseed.h"

enum {
    CPU_WORDS = 8,              /* 512 bits, credited as 256 */
    CPU_BITS = 256,
    DEVICE_BYTES = 512,
    TRIES = 10,                 /* what Intel's guide asks for */
};

struct request {
    struct rand_pool_info info;
    uint8_t bytes[DEVICE_BYTES];
};

__attribute__((target("rdseed"))) static bool seed_word(unsigned long long *w)
{
    return _rdseed64_step(w);
}

__attribute__((target("rdrnd"))) static bool rand_word(unsigned long long *w)
{
    return _rdrand64_step(w);
}

static bool cpu_words(uint64_t *words)
{
    unsigned int a, b, c, d, has_seed = 0, has_rand = 0;
    unsigned long long w;

    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        has_seed = b & bit_RDSEED;
    }
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        has_rand = c & bit_RDRND;
    }
    for (int i = 0; i < CPU_WORDS; i++) {
        bool got = false;

        for (int t = 0; t < TRIES && has_seed && !got; t++) {
            got = seed_word(&w);
        }
        for (int t = 0; t < TRIES && has_rand && !got; t++) {
            got = rand_word(&w);
        }
        if (!got) {
            return false;
        }
        words[i] = w;
    }
    return true;
}

static bool add(int random, const void *bytes, size_t len, int bits)
{
    struct request r = { .info = { .entropy_count = bits, .buf_size = len } };
    bool ok;

    memcpy(r.info.buf, bytes, len);
    ok = ioctl(random, RNDADDENTROPY, &r) == 0;
    explicit_bzero(&r, sizeof(r));
    return ok;
}

/*
 * The driver has asked the device for its next bytes before the template was
 * sealed, so the first ones are the same in every clone: read on, past them.
 */
static size_t device_bytes(uint8_t *out)
{
    int fd = open("/dev/hwrng", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    size_t got = 0;

    if (fd < 0) {
        return 0;
    }
    for (int t = 0; t < 2 * TRIES && got < DEVICE_BYTES; t++) {
        ssize_t n = read(fd, out + got, DEVICE_BYTES - got);

        if (n > 0) {
            got += n;
        } else if (errno == EAGAIN) {
            usleep(500);
        } else {
            break;
        }
    }
    close(fd);
    return got;
}

bool entropy_reseed(const Message *m)
{
    int random = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    uint64_t words[CPU_WORDS], tsc = __rdtsc();
    uint8_t device[DEVICE_BYTES];
    size_t len = device_bytes(device);
    bool ok;

    if (random < 0) {
        perror("sev-reseed: /dev/urandom");
        return false;
    }
    if (!cpu_words(words)) {
        fprintf(stderr, "sev-reseed: this CPU has no working RDRAND; what the "
                "host offers is no entropy in an SEV guest\n");
        close(random);
        return false;
    }
    ok = add(random, words, sizeof(words), CPU_BITS) &&
         add(random, &tsc, sizeof(tsc), 0) &&
         add(random, m, sizeof(*m), 0) &&
         add(random, device, len, 0) &&
         ioctl(random, RNDRESEEDCRNG) == 0;
    if (!ok) {
        perror("sev-reseed: the kernel's random pool");
    }
    explicit_bzero(words, sizeof(words));
    explicit_bzero(device, sizeof(device));
    close(random);
    return ok;
}
