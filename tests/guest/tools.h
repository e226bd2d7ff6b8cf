/*
 * What the test guest's tools share; tools.c is their front door.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_GUEST_TOOLS_H
#define TESTS_GUEST_TOOLS_H

#include <stddef.h>
#include <stdint.h>

enum {
    PAGE = 4096,
    PAGE_WORDS = PAGE / 8,
};

/* Word @i of a stream: the same as in agent.c and in the host's netlab.py. */
static inline uint64_t noise(uint64_t stream, uint64_t i)
{
    uint64_t z = stream + (i + 1) * 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* Print what failed, and errno, and leave. */
_Noreturn void fail(const char *what);

/* Guest-physical address of the page that holds @p, which is in memory. */
uint64_t physical(const void *p);

/*
 * Map the file of pages at @path; *n becomes their number.  The initramfs
 * keeps files in memory only, so a file's pages stay where they are.
 */
uint64_t *pages_map(const char *path, size_t *n);

/* One per tool: arguments after the tool's name; returns the exit code. */
int tool_fill(int argc, char **argv);
int tool_where(int argc, char **argv);
int tool_check(int argc, char **argv);
int tool_dma(int argc, char **argv);
int tool_stress(int argc, char **argv);
int tool_kexec(int argc, char **argv);
int tool_kdump(int argc, char **argv);

#endif
