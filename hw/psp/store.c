/*
 * A chip's persistent area kept in a directory.
 *
 *   DIR/lock    flock(2)ed around every load-modify-store
 *   DIR/nv      the blob; replaced by rename(2), so it is old or new
 *   DIR/opened-PDH  sessions opened with that PDH (store-opened.c)
 *   DIR/roots/  ARKs that are trusted; self.cert is this chip's own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"

#define PSP_STORE_NV_MAX 65536

bool psp_store_fail(GError **error, const PspStore *store, const char *what,
                    const char *name)
{
    g_set_error(error, PSP_ERROR, PSP_ERROR_STORE, "cannot %s '%s/%s': %s",
                what, store->dir, name, g_strerror(errno));
    return false;
}

bool psp_store_check_mode(const char *path, int fd, mode_t want,
                          GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_STORE, "cannot stat '%s': %s",
                    path, g_strerror(errno));
        return false;
    }
    if (st.st_uid != geteuid()) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_PERMISSIONS,
                    "'%s' holds secret keys and belongs to user %u, not to"
                    " us (%u): chown it, or set SEV_PSP_DIR to a directory"
                    " of your own", path, (unsigned)st.st_uid,
                    (unsigned)geteuid());
        return false;
    }
    if (st.st_mode & 077) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_PERMISSIONS,
                    "'%s' holds secret keys but has mode %04o, open to other"
                    " users: chmod %o '%s'", path, st.st_mode & 07777,
                    (unsigned)want, path);
        return false;
    }
    return true;
}

PspStore *psp_store_open(const char *dir, GError **error)
{
    g_autoptr(PspStore) store = g_new0(PspStore, 1);

    store->dir = g_strdup(dir);
    store->roots = g_build_filename(dir, "roots", NULL);
    store->dir_fd = -1;
    store->lock_fd = -1;
    g_mutex_init(&store->mutex);

    if (g_mkdir_with_parents(dir, 0700) == 0) {
        store->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (store->dir_fd < 0) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_STORE,
                    "cannot open or create the directory '%s': %s", dir,
                    g_strerror(errno));
        return NULL;
    }
    if (!psp_store_check_mode(dir, store->dir_fd, 0700, error)) {
        return NULL;
    }
    return g_steal_pointer(&store);
}

void psp_store_close(PspStore *store)
{
    if (!store) {
        return;
    }
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    if (store->dir_fd >= 0) {
        close(store->dir_fd);
    }
    g_mutex_clear(&store->mutex);
    g_free(store->roots);
    g_free(store->dir);
    g_free(store);
}

const char *psp_store_roots_dir(const PspStore *store)
{
    return store->roots;
}

/* --- Lock ---------------------------------------------------------------- */

bool psp_store_lock(PspStore *store, GError **error)
{
    int fd, ret;

    g_mutex_lock(&store->mutex);
    fd = openat(store->dir_fd, "lock",
                O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    do {
        ret = fd < 0 ? -1 : flock(fd, LOCK_EX);
    } while (ret < 0 && fd >= 0 && errno == EINTR);
    if (ret < 0) {
        psp_store_fail(error, store, "lock", "lock");
        if (fd >= 0) {
            close(fd);
        }
        g_mutex_unlock(&store->mutex);
        return false;
    }
    store->lock_fd = fd;
    return true;
}

void psp_store_unlock(PspStore *store)
{
    close(store->lock_fd);
    store->lock_fd = -1;
    g_mutex_unlock(&store->mutex);
}

/* --- Load ---------------------------------------------------------------- */

bool psp_store_read(int fd, uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = read(fd, buf, len);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            errno = n ? errno : EIO;
            return false;
        }
        if (n > 0) {
            buf += n;
            len -= n;
        }
    }
    return true;
}

static GBytes *psp_store_load_fd(PspStore *store, const char *path, int fd,
                                 GError **error)
{
    g_autoptr(GBytes) blob = NULL;
    struct stat st;
    uint8_t *buf;

    if (!psp_store_check_mode(path, fd, 0600, error)) {
        return NULL;
    }
    if (fstat(fd, &st) < 0) {
        psp_store_fail(error, store, "stat", "nv");
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > PSP_STORE_NV_MAX) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                    "'%s' is not a chip's persistent area: move it away, or"
                    " set SEV_PSP_DIR to another directory", path);
        return NULL;
    }
    buf = g_malloc0(st.st_size + 1);
    blob = psp_secret_bytes(buf, st.st_size);
    if (!psp_store_read(fd, buf, st.st_size)) {
        psp_store_fail(error, store, "read", "nv");
        return NULL;
    }
    if (!psp_identity_check(blob, error)) {
        g_prefix_error(error, "'%s': ", path);
        if (error) {
            char *advice = g_strdup_printf(
                "%s (restore it from a backup, move it away, or set"
                " SEV_PSP_DIR to another directory)", (*error)->message);

            g_free((*error)->message);
            (*error)->message = advice;
        }
        return NULL;
    }
    return g_steal_pointer(&blob);
}

GBytes *psp_store_load(PspStore *store, GError **error)
{
    g_autofree char *path = g_build_filename(store->dir, "nv", NULL);
    int fd = openat(store->dir_fd, "nv", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    GBytes *blob;

    if (fd < 0) {
        if (errno != ENOENT) {
            psp_store_fail(error, store, "open", "nv");
        }
        return NULL;
    }
    blob = psp_store_load_fd(store, path, fd, error);
    close(fd);
    return blob;
}

/* --- Save ---------------------------------------------------------------- */

static bool psp_store_write(int fd, const uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = write(fd, buf, len);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0) {
            buf += n;
            len -= n;
        }
    }
    return fsync(fd) == 0;
}

bool psp_store_replace(PspStore *store, int dir_fd, const char *name,
                       const void *data, size_t len, GError **error)
{
    g_autofree char *tmp = g_strconcat(name, ".tmp", NULL);
    bool ok;
    int fd;

    unlinkat(dir_fd, tmp, 0);
    fd = openat(dir_fd, tmp,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return psp_store_fail(error, store, "create", tmp);
    }
    ok = psp_store_write(fd, data, len);
    if (close(fd) < 0 || !ok || renameat(dir_fd, tmp, dir_fd, name) < 0) {
        psp_store_fail(error, store, "write", name);
        unlinkat(dir_fd, tmp, 0);
        return false;
    }
    return fsync(dir_fd) == 0 || psp_store_fail(error, store, "sync", name);
}

/* The chip's own ARK among the trusted ones */
static bool psp_store_save_root(PspStore *store, const uint8_t *ark,
                                GError **error)
{
    g_autofree char *path = g_build_filename(store->roots, "self.cert", NULL);
    g_autofree char *old = NULL;
    size_t len;
    bool ok;
    int fd;

    if (g_file_get_contents(path, &old, &len, NULL) &&
        len == PSP_AMD_CERT_LEN_2048 && memcmp(old, ark, len) == 0) {
        return true;
    }
    if (mkdirat(store->dir_fd, "roots", 0700) < 0 && errno != EEXIST) {
        return psp_store_fail(error, store, "create", "roots");
    }
    fd = openat(store->dir_fd, "roots",
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return psp_store_fail(error, store, "open", "roots");
    }
    ok = psp_store_replace(store, fd, "self.cert", ark, PSP_AMD_CERT_LEN_2048,
                           error);
    close(fd);
    return ok;
}

bool psp_store_save(PspStore *store, GBytes *blob, GError **error)
{
    const uint8_t *ark = psp_identity_find_ark(blob);
    size_t len;
    const void *data = g_bytes_get_data(blob, &len);

    /* The root first: an identity that nobody trusts would be worse. */
    return (!ark || psp_store_save_root(store, ark, error)) &&
           psp_store_replace(store, store->dir_fd, "nv", data, len, error);
}

bool psp_store_erase(PspStore *store, GError **error)
{
    if ((unlinkat(store->dir_fd, "nv", 0) < 0 && errno != ENOENT) ||
        (unlinkat(store->dir_fd, "roots/self.cert", 0) < 0 &&
         errno != ENOENT && errno != ENOTDIR)) {
        return psp_store_fail(error, store, "remove", "nv");
    }
    return fsync(store->dir_fd) == 0 ||
           psp_store_fail(error, store, "sync", "nv");
}

char *psp_store_default_dir(void)
{
    const char *env = g_getenv("SEV_PSP_DIR");
    struct stat st;

    if (env && *env) {
        return g_strdup(env);
    }
    if (g_stat(PSP_STORE_SYSTEM_DIR, &st) == 0 && S_ISDIR(st.st_mode) &&
        st.st_uid == geteuid() &&
        g_access(PSP_STORE_SYSTEM_DIR, R_OK | W_OK | X_OK) == 0) {
        return g_strdup(PSP_STORE_SYSTEM_DIR);
    }
    return g_build_filename(g_get_user_state_dir(), "sev-psp", NULL);
}

char *psp_store_config_dir(void)
{
    const char *env = g_getenv("SEV_PSP_CONFIG_DIR");

    return g_strdup(env && *env ? env : PSP_STORE_CONFIG_DIR);
}
