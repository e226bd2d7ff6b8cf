/*
 * /dev/sev on a machine that has none: a library for LD_PRELOAD.
 *
 * Answers PDH_CERT_EXPORT and GET_ID2 from the files pdh.cert, plat.cert and id
 * in $DEV_SEV_FILES, in the way of Linux' ccp driver: a status is written when
 * the firmware gave one, and left alone when the driver refuses by itself.
 * $DEV_SEV_FAIL makes it fail: "open", "driver" (EPERM, no status), "firmware"
 * (EIO and a status), "no-call" (EIO, the driver never got to the firmware).
 * A VM of KVM says that it knows SEV.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEVICE "/dev/sev"

static bool told_to_fail(const char *how)
{
    const char *fail = getenv("DEV_SEV_FAIL");

    return fail && strcmp(fail, how) == 0;
}

static bool is_device(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_rdev == makedev(1, 3);
}

/* @len as the caller has it, and as it is needed */
static bool answer(const char *name, uint64_t to, uint32_t *len)
{
    char path[4096];
    struct stat st;
    bool fits;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", getenv("DEV_SEV_FILES"), name);
    f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) < 0) {
        abort();                /* the test's own mistake */
    }
    fits = to && *len >= st.st_size;
    *len = st.st_size;
    fits = fits && fread((void *)(uintptr_t)to, 1, *len, f) == *len;
    fclose(f);
    return fits;
}

static bool export(struct sev_user_data_pdh_cert_export *data)
{
    uint32_t pdh_len = data->pdh_cert_len, plat_len = data->cert_chain_len;
    bool pdh = answer("pdh.cert", data->pdh_cert_address, &pdh_len);
    bool plat = answer("plat.cert", data->cert_chain_address, &plat_len);

    data->pdh_cert_len = pdh_len;
    data->cert_chain_len = plat_len;
    return pdh && plat;
}

static int issue(struct sev_issue_cmd *cmd)
{
    bool fits = false;

    if (told_to_fail("driver")) {
        errno = EPERM;
        return -1;
    }
    if (told_to_fail("firmware") || told_to_fail("no-call")) {
        cmd->error = told_to_fail("firmware") ? SEV_RET_HWSEV_RET_PLATFORM : -1;
        errno = EIO;
        return -1;
    }
    if (cmd->cmd == SEV_PDH_CERT_EXPORT) {
        fits = export((void *)(uintptr_t)cmd->data);
    } else if (cmd->cmd == SEV_GET_ID2) {
        struct sev_user_data_get_id2 *data = (void *)(uintptr_t)cmd->data;
        uint32_t length = data->length;

        fits = answer("id", data->address, &length);
        data->length = length;
    } else {
        errno = EINVAL;
        return -1;
    }
    cmd->error = fits ? SEV_RET_SUCCESS : SEV_RET_INVALID_LEN;
    errno = EIO;
    return fits ? 0 : -1;
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    request = (unsigned int)request;
    if (request == (unsigned int)SEV_ISSUE_CMD && is_device(fd)) {
        return issue(arg);
    }
    if (request == (unsigned int)KVM_MEMORY_ENCRYPT_OP && !arg) {
        return 0;
    }
    return next(fd, request, arg);
}

static int open_it(const char *name, const char *path, int flags, mode_t mode)
{
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, name);

    if (strcmp(path, DEVICE) == 0) {
        if (told_to_fail("open")) {
            errno = EACCES;
            return -1;
        }
        path = "/dev/null";
    }
    return next(path, flags, mode);
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...)                              \
    {                                                                       \
        va_list args;                                                       \
        mode_t mode;                                                        \
                                                                            \
        va_start(args, flags);                                              \
        mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;  \
        va_end(args);                                                       \
        return open_it(#name, path, flags, mode);                           \
    }

OPEN(open)
OPEN(open64)
