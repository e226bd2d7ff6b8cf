/*
 * Processes that write memory, check it, give it back and take it again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools.h"

static bool equal(const uint64_t *mem, size_t words, uint64_t stream)
{
    for (size_t i = 0; i < words; i++) {
        if (mem[i] != noise(stream, i)) {
            printf("STRESS BAD word %zu of %zu at %#llx\n", i, words,
                   (unsigned long long)physical(mem + i));
            return false;
        }
    }
    return true;
}

/* A child sees the same memory, writes its copy; ours stays as it is. */
static bool copied(uint64_t *mem, size_t words, uint64_t stream)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        bool ok = equal(mem, words, stream);

        for (size_t i = 0; i < words; i += PAGE_WORDS) {
            mem[i] = ~mem[i];
        }
        _exit(!ok);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* One round: fresh pages, noise, a copy, the same bytes moved elsewhere. */
static bool turn(size_t words, uint64_t stream)
{
    size_t size = words * sizeof(uint64_t);
    uint64_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *other = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool ok;

    if (mem == MAP_FAILED || other == MAP_FAILED) {
        fail("mmap");
    }
    for (size_t i = 0; i < words; i++) {
        mem[i] = noise(stream, i);
    }
    ok = copied(mem, words, stream);
    memcpy(other, mem, size);
    ok &= equal(mem, words, stream);
    munmap(mem, size);
    ok &= equal(other, words, stream);
    munmap(other, size);
    return ok;
}

static int writer(unsigned number, unsigned seconds, size_t mib)
{
    size_t most = mib * (1 << 20) / sizeof(uint64_t) / 2;
    time_t end = time(NULL) + seconds;
    uint64_t rounds = 0, bytes = 0;
    bool ok = true;

    while (ok && time(NULL) < end) {
        uint64_t stream = noise(number, ++rounds);
        size_t words = 1 + (stream >> 8) % most;

        ok = turn(words, stream);
        bytes += words * sizeof(uint64_t);
    }
    printf("STRESS writer %u: %s, %llu rounds, %llu MiB\n", number,
           ok ? "ok" : "BAD", (unsigned long long)rounds,
           (unsigned long long)bytes >> 20);
    return !ok;
}

int tool_stress(int argc, char **argv)
{
    unsigned writers = argc == 3 ? atoi(argv[2]) : 0;
    int bad = !writers, status;

    for (unsigned i = 0; i < writers; i++) {
        if (fork() == 0) {
            _exit(writer(i, atoi(argv[0]), atoi(argv[1])));
        }
    }
    while (wait(&status) > 0) {
        bad += status != 0;
    }
    return bad != 0;
}
