/*
 * Tools that run inside the test guest, called by name from its shell.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools.h"

void fail(const char *what)
{
    fprintf(stderr, "tools: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void load_kernel(int argc, char **argv, unsigned long flags)
{
    int kernel = argc == 3 ? open(argv[0], O_RDONLY | O_CLOEXEC) : -1;
    int initrd = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

    if (kernel < 0 || initrd < 0 ||
        syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[2]) + 1,
                argv[2], flags)) {
        fail("kexec_file_load");
    }
    sync();
}

/* Put a kernel aside that a panic starts; Linux needs crashkernel=. */
int tool_kdump(int argc, char **argv)
{
    load_kernel(argc, argv, KEXEC_FILE_ON_CRASH);
    return 0;
}

/* Start another kernel from this one, without any firmware. */
int tool_kexec(int argc, char **argv)
{
    load_kernel(argc, argv, 0);
    reboot(RB_KEXEC);
    fail("kexec");
}

static const struct {
    const char *name, *arguments;
    int (*run)(int argc, char **argv);
} tools[] = {
    { "fill", "FILE PAGES SEED: make a file of known pages", tool_fill },
    { "where", "FILE: the guest-physical address of each page", tool_where },
    { "check", "FILE SEED: which 16-byte blocks are not as filled",
      tool_check },
    { "dma", "to|from FILE PAGE: the edu device's page to or from a page",
      tool_dma },
    { "stress", "SECONDS MIB WRITERS: write and check memory", tool_stress },
    { "kexec", "KERNEL INITRD COMMAND-LINE", tool_kexec },
    { "kdump", "KERNEL INITRD COMMAND-LINE: for when this one panics", tool_kdump },
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        if (argc > 1 && !strcmp(argv[1], tools[i].name)) {
            return tools[i].run(argc - 2, argv + 2);
        }
    }
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        fprintf(stderr, "usage: tools %s %s\n", tools[i].name,
                tools[i].arguments);
    }
    return 2;
}
