/*
 * The list of sessions that were opened: DIR/opened-PDH, digests of 32 bytes,
 * one behind the other, in the order in which they came.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PSP_OPENED_PDH_LEN 16           /* of a fingerprint, in the name */
#define PSP_OPENED_BYTES (PSP_STORE_OPENED_MAX * PSP_STORE_DIGEST_LEN)

static GByteArray *psp_opened_load_fd(PspStore *store, const char *name, int fd,
                                      GError **error)
{
    g_autofree char *path = g_build_filename(store->dir, name, NULL);
    g_autoptr(GByteArray) list = g_byte_array_new();
    struct stat st;

    if (!psp_store_check_mode(path, fd, 0600, error)) {
        return NULL;
    }
    if (fstat(fd, &st) < 0) {
        psp_store_fail(error, store, "stat", name);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > PSP_OPENED_BYTES ||
        st.st_size % PSP_STORE_DIGEST_LEN) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                    "'%s' is not a list of opened sessions (%jd bytes): move"
                    " it away", path, (intmax_t)st.st_size);
        return NULL;
    }
    g_byte_array_set_size(list, st.st_size);
    if (!psp_store_read(fd, list->data, list->len)) {
        psp_store_fail(error, store, "read", name);
        return NULL;
    }
    return g_steal_pointer(&list);
}

/* Empty when there is no file yet. */
static GByteArray *psp_opened_load(PspStore *store, const char *name,
                                   GError **error)
{
    int fd = openat(store->dir_fd, name,
                    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    GByteArray *list;

    if (fd < 0 && errno == ENOENT) {
        return g_byte_array_new();
    }
    if (fd < 0) {
        psp_store_fail(error, store, "open", name);
        return NULL;
    }
    list = psp_opened_load_fd(store, name, fd, error);
    close(fd);
    return list;
}

static bool psp_opened_has(const GByteArray *list, const uint8_t *digest)
{
    for (size_t at = 0; at < list->len; at += PSP_STORE_DIGEST_LEN) {
        if (memcmp(list->data + at, digest, PSP_STORE_DIGEST_LEN) == 0) {
            return true;
        }
    }
    return false;
}

static bool psp_opened_locked(PspStore *store, const char *name,
                              const uint8_t *digest, bool *first,
                              GError **error)
{
    g_autoptr(GByteArray) list = psp_opened_load(store, name, error);

    if (!list) {
        return false;
    }
    *first = !psp_opened_has(list, digest);
    if (!*first) {
        return true;
    }
    if (list->len == PSP_OPENED_BYTES) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_STORE,
                    "the list of opened sessions '%s/%s' is full (%d): a new"
                    " PDH begins a new one, and opens none of the old",
                    store->dir, name, PSP_STORE_OPENED_MAX);
        return false;
    }
    g_byte_array_append(list, digest, PSP_STORE_DIGEST_LEN);
    return psp_store_replace(store, store->dir_fd, name, list->data, list->len,
                             error);
}

bool psp_store_opened(PspStore *store, const char *pdh,
                      const uint8_t digest[PSP_STORE_DIGEST_LEN], bool *first,
                      GError **error)
{
    g_autofree char *name = NULL;
    bool ok;

    g_return_val_if_fail(strspn(pdh, "0123456789abcdef") >= PSP_OPENED_PDH_LEN,
                         false);
    name = g_strdup_printf("opened-%.*s", PSP_OPENED_PDH_LEN, pdh);
    if (!psp_store_lock(store, error)) {
        return false;
    }
    ok = psp_opened_locked(store, name, digest, first, error);
    psp_store_unlock(store);
    return ok;
}
