/*
 * LD_PRELOAD: what a process writes to one file and when it syncs it, in order.
 *
 * POWERCUT_FILE names the file, POWERCUT_JOURNAL gets a line for each call:
 * "w OFFSET LENGTH" or "s".  From that the test computes what a power cut
 * could leave on the disk.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static bool watched(int fd)
{
    const char *path = getenv("POWERCUT_FILE");
    struct stat ours, other;

    return path && !fstat(fd, &ours) && S_ISREG(ours.st_mode) &&
           !stat(path, &other) && ours.st_dev == other.st_dev &&
           ours.st_ino == other.st_ino;
}

static void note(const char *text)
{
    int fd = open(getenv("POWERCUT_JOURNAL"),
                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || dprintf(fd, "%s\n", text) < 0) {
        abort();
    }
    close(fd);
}

static void note_write(int fd, off_t at, ssize_t len)
{
    char text[64];

    if (len > 0 && watched(fd)) {
        snprintf(text, sizeof(text), "w %lld %zd", (long long)at, len);
        note(text);
    }
}

#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t at)
{
    ssize_t len = NEXT(pwritev64)(fd, iov, n, at);

    note_write(fd, at, len);
    return len;
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    ssize_t len = NEXT(writev)(fd, iov, n);

    note_write(fd, lseek(fd, 0, SEEK_CUR) - len, len);
    return len;
}

ssize_t write(int fd, const void *buf, size_t n)
{
    ssize_t len = NEXT(write)(fd, buf, n);

    note_write(fd, lseek(fd, 0, SEEK_CUR) - len, len);
    return len;
}

int fdatasync(int fd)
{
    if (watched(fd)) {
        note("s");
    }
    return NEXT(fdatasync)(fd);
}
