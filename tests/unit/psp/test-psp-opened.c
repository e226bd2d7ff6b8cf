/*
 * Is a session that was opened once known for ever, by every process?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw/psp/psp-store.h"

#define HERE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ELSE "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct Place {
    char *dir;
    char *list;
    PspStore *store;
} Place;

static PspStore *open_ok(const char *dir)
{
    GError *error = NULL;
    PspStore *store = psp_store_open(dir, &error);

    g_assert_no_error(error);
    return store;
}

static void set_up(Place *place, gconstpointer unused)
{
    place->dir = g_dir_make_tmp("psp-opened-XXXXXX", NULL);
    place->list = g_build_filename(place->dir, "opened-0123456789abcdef", NULL);
    place->store = open_ok(place->dir);
}

static void tear_down(Place *place, gconstpointer unused)
{
    g_autoptr(GDir) dir = g_dir_open(place->dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(place->dir, name, NULL);

        g_remove(path);
    }
    g_assert_cmpint(g_rmdir(place->dir), ==, 0);
    psp_store_close(place->store);
    g_free(place->list);
    g_free(place->dir);
}

static void digest_of(uint32_t number, uint8_t digest[PSP_STORE_DIGEST_LEN])
{
    memset(digest, 0x5a, PSP_STORE_DIGEST_LEN);
    memcpy(digest + 7, &number, sizeof(number));
}

static bool is_first(PspStore *store, const char *pdh, uint32_t number)
{
    uint8_t digest[PSP_STORE_DIGEST_LEN];
    GError *error = NULL;
    bool first = false;

    digest_of(number, digest);
    g_assert_true(psp_store_opened(store, pdh, digest, &first, &error));
    g_assert_no_error(error);
    return first;
}

static void fails(PspStore *store, PspErrorCode code, const char *words)
{
    uint8_t digest[PSP_STORE_DIGEST_LEN];
    GError *error = NULL;
    bool first = true;

    digest_of(UINT32_MAX, digest);
    g_assert_false(psp_store_opened(store, HERE, digest, &first, &error));
    g_assert_error(error, PSP_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, words));
    g_clear_error(&error);
}

static void test_once(Place *place, gconstpointer unused)
{
    g_autoptr(PspStore) other = open_ok(place->dir);
    struct stat st;

    for (uint32_t i = 0; i < 40; i++) {
        g_assert_true(is_first(place->store, HERE, i));
        g_assert_false(is_first(other, HERE, i));
    }
    g_assert_false(is_first(place->store, HERE, 7));
    g_assert_true(is_first(place->store, ELSE, 7));     /* another PDH */
    g_assert_cmpint(stat(place->list, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(st.st_size, ==, 40 * PSP_STORE_DIGEST_LEN);
}

static void test_full(Place *place, gconstpointer unused)
{
    size_t len = (size_t)PSP_STORE_OPENED_MAX * PSP_STORE_DIGEST_LEN;
    g_autofree uint8_t *bytes = g_malloc(len);

    for (uint32_t i = 0; i < PSP_STORE_OPENED_MAX; i++) {
        digest_of(i, bytes + i * PSP_STORE_DIGEST_LEN);
    }
    g_file_set_contents_full(place->list, (char *)bytes,
                             len - PSP_STORE_DIGEST_LEN,
                             G_FILE_SET_CONTENTS_NONE, 0600, NULL);
    g_assert_true(is_first(place->store, HERE, PSP_STORE_OPENED_MAX - 1));
    fails(place->store, PSP_ERROR_STORE, "is full (65536)");
    g_assert_false(is_first(place->store, HERE, 0));
    g_assert_false(is_first(place->store, HERE, PSP_STORE_OPENED_MAX - 1));
}

static void write_list(Place *place, size_t len, mode_t mode)
{
    g_autofree char *bytes = g_malloc0(len);

    g_remove(place->list);
    g_file_set_contents_full(place->list, bytes, len, G_FILE_SET_CONTENTS_NONE,
                             mode, NULL);
    g_chmod(place->list, mode);
}

static void test_foreign(Place *place, gconstpointer unused)
{
    write_list(place, 33, 0600);
    fails(place->store, PSP_ERROR_FORMAT, "(33 bytes)");
    write_list(place, PSP_STORE_OPENED_MAX * PSP_STORE_DIGEST_LEN + 32, 0600);
    fails(place->store, PSP_ERROR_FORMAT, "is not a list");
    write_list(place, 32, 0644);
    fails(place->store, PSP_ERROR_PERMISSIONS, "0644");
    g_remove(place->list);
    g_assert_cmpint(symlink("/dev/null", place->list), ==, 0);
    fails(place->store, PSP_ERROR_STORE, "cannot open");
    g_remove(place->list);
    g_assert_cmpint(mkfifo(place->list, 0600), ==, 0);
    fails(place->store, PSP_ERROR_FORMAT, "is not a list");
}

/* Of many that bring the same session one is first, and nothing is lost. */
static void test_processes(Place *place, gconstpointer unused)
{
    enum { PROCESSES = 4, SESSIONS = 25 };
    pid_t pids[PROCESSES];
    int firsts = 0;

    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            g_autoptr(PspStore) store = open_ok(place->dir);
            int first = 0;

            for (uint32_t n = 0; n < SESSIONS; n++) {
                first += is_first(store, HERE, n);
            }
            _exit(first);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
        g_assert_true(WIFEXITED(status));
        firsts += WEXITSTATUS(status);
    }
    g_assert_cmpint(firsts, ==, SESSIONS);
}

static void add(const char *name, void (*test)(Place *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/psp/opened/", name, NULL);

    g_test_add(path, Place, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("once", test_once);
    add("full", test_full);
    add("foreign", test_foreign);
    add("processes", test_processes);
    return g_test_run();
}
