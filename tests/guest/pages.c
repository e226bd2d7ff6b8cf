/*
 * Pages whose content is known and whose place the host is told, so that it
 * can meddle with their ciphertext; and a device that does DMA to them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools.h"

enum { BLOCK_WORDS = 2 };               /* what the cipher works on */

uint64_t *pages_map(const char *path, size_t *n)
{
    int fd = open(path, O_RDWR);
    struct stat st;
    void *mem;

    if (fd < 0 || fstat(fd, &st)) {
        fail(path);
    }
    *n = st.st_size / PAGE;
    mem = mmap(NULL, *n * PAGE, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_POPULATE, fd, 0);
    if (mem == MAP_FAILED) {
        fail("mmap");
    }
    close(fd);
    return mem;
}

uint64_t physical(const void *p)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry;

    if (fd < 0 || pread(fd, &entry, sizeof(entry),
                        (uintptr_t)p / PAGE * sizeof(entry)) != sizeof(entry) ||
        !(entry >> 63)) {
        fail("/proc/self/pagemap");
    }
    close(fd);
    return (entry & ((1ULL << 55) - 1)) * PAGE;
}

int tool_fill(int argc, char **argv)
{
    size_t n = argc == 3 ? atoi(argv[1]) : 0;
    uint64_t seed = n ? strtoull(argv[2], NULL, 16) : 0;
    int fd = n ? open(argv[0], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;

    for (size_t i = 0; i < n * PAGE_WORDS; i++) {
        uint64_t word = noise(seed, i);

        if (fd < 0 || write(fd, &word, sizeof(word)) != sizeof(word)) {
            fail("fill");
        }
    }
    return !n;
}

int tool_where(int argc, char **argv)
{
    size_t n = 0;
    uint64_t *mem = argc == 1 ? pages_map(argv[0], &n) : NULL;

    for (size_t i = 0; i < n; i++) {
        printf("PAGE %zu at %#llx\n", i, (unsigned long long)
               physical(mem + i * PAGE_WORDS));
    }
    return !n;
}

/* "PAGE 3 bad 17 18": the blocks that differ from what was filled in. */
int tool_check(int argc, char **argv)
{
    size_t n = 0;
    uint64_t *mem = argc == 2 ? pages_map(argv[0], &n) : NULL;
    uint64_t seed = n ? strtoull(argv[1], NULL, 16) : 0;

    for (size_t page = 0; page < n; page++) {
        printf("PAGE %zu bad", page);
        for (size_t i = 0; i < PAGE_WORDS; i += BLOCK_WORDS) {
            size_t word = page * PAGE_WORDS + i;

            if (mem[word] != noise(seed, word) ||
                mem[word + 1] != noise(seed, word + 1)) {
                printf(" %zu", i / BLOCK_WORDS);
            }
        }
        printf("\n");
    }
    return !n;
}

/* QEMU's educational PCI device (docs/specs/edu.rst): 4 KiB and a DMA engine. */
#define EDU_DEVICE "/sys/bus/pci/devices/"
#define EDU_BUFFER 0x40000
enum { EDU_SRC = 0x80 / 8, EDU_DST = 0x88 / 8, EDU_COUNT = 0x90 / 8,
       EDU_COMMAND = 0x98 / 8, EDU_RUN = 1, EDU_TO_MEMORY = 2 };

static volatile uint64_t *edu_map(void)
{
    static const char id[] = { 0x34, 0x12, 0xe8, 0x11 };
    uint16_t command = 0x6;             /* memory space, bus master */
    char path[300], found[4];
    volatile uint64_t *bar;
    glob_t all;
    int fd;

    glob(EDU_DEVICE "*", 0, NULL, &all);
    for (size_t i = 0; i < all.gl_pathc; i++) {
        snprintf(path, sizeof(path), "%s/config", all.gl_pathv[i]);
        fd = open(path, O_RDWR);
        if (fd < 0 || pread(fd, found, 4, 0) != 4 || memcmp(found, id, 4)) {
            close(fd);
            continue;
        }
        if (pwrite(fd, &command, sizeof(command), 4) != sizeof(command)) {
            fail("edu's command register");
        }
        close(fd);
        snprintf(path, sizeof(path), "%s/resource0", all.gl_pathv[i]);
        fd = open(path, O_RDWR);
        bar = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (bar == MAP_FAILED) {
            fail("edu's registers");
        }
        return bar;
    }
    fprintf(stderr, "tools: no edu device\n");
    exit(1);
}

int tool_dma(int argc, char **argv)
{
    size_t n = 0, page = argc == 3 ? atoi(argv[2]) : 0;
    uint64_t *mem = argc == 3 ? pages_map(argv[1], &n) : NULL;
    volatile uint64_t *edu;
    uint64_t gpa;
    bool to_memory;

    if (page >= n) {
        return 2;
    }
    to_memory = !strcmp(argv[0], "to");
    gpa = physical(mem + page * PAGE_WORDS);
    edu = edu_map();
    edu[EDU_SRC] = to_memory ? EDU_BUFFER : gpa;
    edu[EDU_DST] = to_memory ? gpa : EDU_BUFFER;
    edu[EDU_COUNT] = PAGE;
    edu[EDU_COMMAND] = EDU_RUN | (to_memory ? EDU_TO_MEMORY : 0);
    for (int try = 0; edu[EDU_COMMAND] & EDU_RUN; try++) {
        if (try == 500) {
            fprintf(stderr, "tools: the DMA does not end\n");
            return 1;
        }
        usleep(10000);
    }
    return 0;
}
