/*
 * What the files of the store share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_STORE_PRIVATE_H
#define PSP_STORE_PRIVATE_H

#include "psp-store.h"

#include <sys/types.h>

struct PspStore {
    char *dir;
    char *roots;
    int dir_fd;
    GMutex mutex;               /* flock() does not tell threads apart */
    int lock_fd;                /* open while locked, else -1 */
};

/* "cannot WHAT 'DIR/NAME'", with errno; false. */
bool psp_store_fail(GError **error, const PspStore *store, const char *what,
                    const char *name);

/* Only this user may read or write the open file at @path. */
bool psp_store_check_mode(const char *path, int fd, mode_t want,
                          GError **error);

/* All of @len bytes, or false with errno. */
bool psp_store_read(int fd, uint8_t *buf, size_t len);

/* Whoever looks sees the old file or the new one, also after a crash. */
bool psp_store_replace(PspStore *store, int dir_fd, const char *name,
                       const void *data, size_t len, GError **error);

#endif /* PSP_STORE_PRIVATE_H */
