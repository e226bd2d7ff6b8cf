/*
 * Memory of the process that calls, as the kernel reaches it: a bad address
 * is an answer and not a crash.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "standin.h"

int ks_from_user(void *to, uint64_t from, size_t len)
{
    struct iovec local = { to, len }, remote = { (void *)from, len };

    if (len && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) !=
        (ssize_t)len) {
        return -EFAULT;
    }
    return 0;
}

int ks_to_user(uint64_t to, const void *from, size_t len)
{
    struct iovec local = { (void *)from, len }, remote = { (void *)to, len };

    if (len && process_vm_writev(getpid(), &local, 1, &remote, 1, 0) !=
        (ssize_t)len) {
        return -EFAULT;
    }
    return 0;
}

void *ks_user_blob(uint64_t from, uint32_t len, int *error)
{
    void *blob;

    *error = -EINVAL;
    if (!from || !len || len > KS_BLOB_MAX) {
        return NULL;
    }
    blob = g_malloc(len);
    *error = ks_from_user(blob, from, len);
    if (*error) {
        g_free(blob);
        return NULL;
    }
    return blob;
}

bool ks_user_mapped(uint64_t addr, uint64_t len)
{
    unsigned char present[4096];
    uint64_t end = addr + len;

    addr &= ~(uint64_t)(KS_PAGE - 1);
    while (addr < end) {
        uint64_t part = MIN(end - addr, sizeof(present) * KS_PAGE);

        if (mincore((void *)addr, part, present)) {
            return false;
        }
        addr += part;
    }
    return true;
}
