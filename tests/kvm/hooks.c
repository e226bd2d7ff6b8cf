/*
 * The functions of the C library that the stand-in stands in front of.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
/* open() and open64() are two functions here, and neither is checked. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "standin.h"

#define EXPORT      __attribute__((visibility("default")))
#define FILES       4096

/* Entries are never freed: whoever looks one up may still hold it. */
static const KsFile *_Atomic files[FILES];

const KsFile *ks_file(int fd)
{
    static const KsFile other = { KS_OTHER };
    const KsFile *file = fd >= 0 && fd < FILES ? files[fd] : NULL;

    return file ?: &other;
}

void ks_file_add(int fd, KsKind kind, void *object, bool writable)
{
    KsFile *file;

    if (fd >= FILES) {
        ks_die("descriptor %d is too large", fd);
    }
    file = g_new(KsFile, 1);
    *file = (KsFile) { kind, object, writable };
    files[fd] = file;
}

int ks_real_ioctl(int fd, unsigned long request, void *arg)
{
    int ret = syscall(SYS_ioctl, fd, request, arg);

    return ret < 0 ? -errno : ret;
}

/* --- Devices --------------------------------------------------------------- */

static bool is_enabled(void)
{
    return getenv("SEV_STANDIN_IDENTITY");
}

static bool is_sev_device(const char *path)
{
    return path && !strcmp(path, "/dev/sev") && is_enabled();
}

static int hooked_open(int dir, const char *path, int flags, mode_t mode)
{
    bool is_sev = is_sev_device(path);
    int fd;

    if (is_sev && ks_option("no-device")) {
        errno = ENOENT;
        return -1;
    }
    fd = syscall(SYS_openat, dir, is_sev ? "/dev/null" : path, flags, mode);
    if (fd < 0) {
        return fd;
    }
    if (is_sev) {
        ks_file_add(fd, KS_SEV, NULL, (flags & O_ACCMODE) != O_RDONLY);
    } else if (path && !strcmp(path, "/dev/kvm") && is_enabled()) {
        ks_file_add(fd, KS_KVM, NULL, true);
    }
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ?
           va_arg(args, mode_t) : 0;
}

#define OPEN_BODY(dir, path, flags) \
    va_list args; \
    mode_t mode; \
    va_start(args, flags); \
    mode = mode_of(flags, args); \
    va_end(args); \
    return hooked_open(dir, path, flags, mode)

EXPORT int open(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD, path, flags);
}

EXPORT int open64(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD, path, flags);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
    OPEN_BODY(dir, path, flags);
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
    OPEN_BODY(dir, path, flags);
}

/* What a compiler makes of them that checks its callers */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
    return hooked_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
    return hooked_open(AT_FDCWD, path, flags, 0);
}

EXPORT int close(int fd)
{
    if (fd >= 0 && fd < FILES) {
        files[fd] = NULL;
    }
    return syscall(SYS_close, fd);
}

EXPORT int access(const char *path, int mode)
{
    if (is_sev_device(path)) {
        path = ks_option("no-device") ? "/dev/sev" : "/dev/null";
    }
    return syscall(SYS_access, path, mode);
}

EXPORT int stat(const char *path, struct stat *st)
{
    if (is_sev_device(path)) {
        path = ks_option("no-device") ? "/dev/sev" : "/dev/null";
    }
    return syscall(SYS_newfstatat, AT_FDCWD, path, st, 0);
}

EXPORT int stat64(const char *path, struct stat64 *st)
{
    return stat(path, (struct stat *)st);       /* one layout on x86-64 */
}

/* --- Memory that goes away ------------------------------------------------- */

EXPORT int munmap(void *addr, size_t len)
{
    ks_check_gone("munmap", (uintptr_t)addr, len);
    return syscall(SYS_munmap, addr, len);
}

EXPORT int madvise(void *addr, size_t len, int advice)
{
    if (advice == MADV_DONTNEED || advice == MADV_REMOVE ||
        advice == MADV_FREE) {
        ks_check_gone("madvise", (uintptr_t)addr, len);
    }
    return syscall(SYS_madvise, addr, len, advice);
}

/* --- ioctl ----------------------------------------------------------------- */

static int hooked_ioctl(const KsFile *file, int fd, unsigned long request,
                        void *arg)
{
    switch (file->kind) {
    case KS_SEV:
        return ks_ccp_ioctl(file, request, (uintptr_t)arg);
    case KS_KVM:
        return ks_kvm_ioctl(fd, request, (uintptr_t)arg);
    case KS_VM:
        return ks_vm_ioctl(file->object, request, (uintptr_t)arg);
    case KS_VCPU:
        return ks_vcpu_ioctl(file->object, request, (uintptr_t)arg);
    default:
        return ks_real_ioctl(fd, request, arg);
    }
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;
    int ret;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    ret = hooked_ioctl(ks_file(fd), fd, request, arg);
    if (ret < 0) {
        errno = -ret;
        return -1;
    }
    return ret;
}
