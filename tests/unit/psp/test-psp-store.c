/*
 * Does an identity survive on disk: crashes, many processes, loose
 * permissions, foreign files, old formats?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chip.h"
#include "hw/psp/identity.h"
#include "hw/psp/psp-store.h"

typedef struct Place {
    char *dir;
    char *nv;
    char *roots;
    char *self;
} Place;

static void set_up(Place *place, gconstpointer data)
{
    g_autofree char *tmp = g_dir_make_tmp("psp-store-XXXXXX", NULL);

    place->dir = g_build_filename(tmp, "deep", "er", NULL);
    place->nv = g_build_filename(place->dir, "nv", NULL);
    place->roots = g_build_filename(place->dir, "roots", NULL);
    place->self = g_build_filename(place->roots, "self.cert", NULL);
}

static void tear_down(Place *place, gconstpointer data)
{
    g_autofree char *deep = g_path_get_dirname(place->dir);
    g_autofree char *tmp = g_path_get_dirname(deep);
    g_autofree char *lock = g_build_filename(place->dir, "lock", NULL);
    g_autofree char *left = g_build_filename(place->dir, "nv.tmp", NULL);
    g_autofree char *left_root = g_strconcat(place->self, ".tmp", NULL);

    g_remove(place->self);
    g_remove(left_root);            /* what a killed process leaves */
    g_rmdir(place->roots);
    g_remove(place->nv);
    g_remove(left);
    g_remove(lock);
    g_rmdir(place->dir);
    g_rmdir(deep);
    g_assert_cmpint(g_rmdir(tmp), ==, 0);
    g_free(place->dir);
    g_free(place->nv);
    g_free(place->roots);
    g_free(place->self);
}

/* An identity's blob, made once */
static GBytes *some_blob(void)
{
    g_autoptr(Chip) chip = chip_new("store");

    chip_init(chip, 0);
    return g_bytes_ref(chip->nv);
}

static PspStore *open_ok(const char *dir)
{
    GError *error = NULL;
    PspStore *store = psp_store_open(dir, &error);

    g_assert_no_error(error);
    return store;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    g_assert_cmpint(g_stat(path, &st), ==, 0);
    return st.st_mode & 07777;
}

/* --- Save and load ------------------------------------------------------- */

static void test_save(Place *place, gconstpointer data)
{
    g_autoptr(PspStore) store = open_ok(place->dir);
    g_autoptr(GBytes) blob = some_blob();
    g_autoptr(GBytes) again = NULL;
    g_autofree char *ark = NULL;
    GError *error = NULL;
    size_t len;

    g_assert_null(psp_store_load(store, &error));
    g_assert_no_error(error);
    g_assert_true(psp_store_lock(store, &error));
    g_assert_true(psp_store_save(store, blob, &error));
    psp_store_unlock(store);
    again = psp_store_load(store, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(blob, again));
    g_assert_cmpint(mode_of(place->dir), ==, 0700);
    g_assert_cmpint(mode_of(place->nv), ==, 0600);
    g_assert_cmpint(mode_of(place->roots), ==, 0700);
    g_assert_cmpstr(psp_store_roots_dir(store), ==, place->roots);
    g_assert_true(g_file_get_contents(place->self, &ark, &len, NULL));
    g_assert_cmpmem(ark, len, psp_identity_find_ark(blob), 832);
}

static void refuses_load(PspStore *store, PspErrorCode code,
                         const char *contains)
{
    GError *error = NULL;

    g_assert_null(psp_store_load(store, &error));
    g_assert_error(error, PSP_ERROR, (int)code);
    if (!strstr(error->message, contains)) {
        g_test_message("'%s' does not contain '%s'", error->message,
                       contains);
        g_test_fail();
    }
    g_error_free(error);
}

static void refuses_open(const char *dir, PspErrorCode code,
                         const char *contains)
{
    GError *error = NULL;

    g_assert_null(psp_store_open(dir, &error));
    g_assert_error(error, PSP_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, contains));
    g_error_free(error);
}

static void test_permissions(Place *place, gconstpointer data)
{
    g_autoptr(PspStore) store = open_ok(place->dir);
    g_autoptr(GBytes) blob = some_blob();
    g_autofree char *advice = NULL;
    GError *error = NULL;

    g_assert_true(psp_store_save(store, blob, &error));
    g_chmod(place->nv, 0640);
    advice = g_strdup_printf("has mode 0640, open to other users: chmod 600"
                             " '%s'", place->nv);
    refuses_load(store, PSP_ERROR_PERMISSIONS, advice);
    g_chmod(place->nv, 0600);
    g_chmod(place->dir, 0755);
    refuses_open(place->dir, PSP_ERROR_PERMISSIONS, "chmod 700");
    g_chmod(place->dir, 0700);
    if (geteuid() == 0) {
        g_assert_cmpint(chown(place->nv, 12345, -1), ==, 0);
        refuses_load(store, PSP_ERROR_PERMISSIONS, "belongs to user 12345");
        g_assert_cmpint(chown(place->dir, 12345, -1), ==, 0);
        refuses_open(place->dir, PSP_ERROR_PERMISSIONS, "SEV_PSP_DIR");
        g_assert_cmpint(chown(place->dir, 0, -1), ==, 0);
    }
}

static void write_nv(Place *place, const void *data, size_t len)
{
    g_assert_true(g_file_set_contents_full(place->nv, data, len,
                                           G_FILE_SET_CONTENTS_CONSISTENT,
                                           0600,
                                           NULL));
}

static void test_foreign(Place *place, gconstpointer data)
{
    g_autoptr(PspStore) store = open_ok(place->dir);
    g_autoptr(GBytes) blob = some_blob();
    g_autofree uint8_t *bytes = NULL;
    g_autofree uint8_t *big = g_malloc0(70000);
    size_t len;

    bytes = g_memdup2(g_bytes_get_data(blob, &len), g_bytes_get_size(blob));
    write_nv(place, "", 0);
    refuses_load(store, PSP_ERROR_FORMAT, "does not hold a chip's identity");
    write_nv(place, "somebody else's file", 20);
    refuses_load(store, PSP_ERROR_FORMAT, "move it away");
    refuses_load(store, PSP_ERROR_FORMAT, place->nv);
    write_nv(place, big, 70000);
    refuses_load(store, PSP_ERROR_FORMAT, "move it away");
    write_nv(place, bytes, len - 1);
    refuses_load(store, PSP_ERROR_FORMAT, "truncated");
    bytes[100] ^= 1;
    write_nv(place, bytes, len);
    refuses_load(store, PSP_ERROR_FORMAT, "damaged");
    bytes[100] ^= 1;
    bytes[8] = 9;
    write_nv(place, bytes, len);
    refuses_load(store, PSP_ERROR_FORMAT, "format version 9");
    g_remove(place->nv);
    g_mkdir(place->nv, 0700);
    refuses_load(store, PSP_ERROR_FORMAT, "move it away");
    g_rmdir(place->nv);
    g_assert_cmpint(symlink("/etc/hostname", place->nv), ==, 0);
    refuses_load(store, PSP_ERROR_STORE, "cannot open");
}

static void test_not_a_directory(Place *place, gconstpointer data)
{
    g_autofree char *parent = g_path_get_dirname(place->dir);

    g_mkdir_with_parents(parent, 0700);
    g_file_set_contents(place->dir, "x", 1, NULL);
    refuses_open(place->dir, PSP_ERROR_STORE, place->dir);
    g_remove(place->dir);
}

/* What a crash may leave behind does not matter. */
static void test_left_over(Place *place, gconstpointer data)
{
    g_autoptr(PspStore) store = open_ok(place->dir);
    g_autoptr(GBytes) blob = some_blob();
    g_autoptr(GBytes) again = NULL;
    g_autofree char *tmp = g_strconcat(place->nv, ".tmp", NULL);
    GError *error = NULL;

    g_file_set_contents(tmp, "half", 4, NULL);
    g_assert_null(psp_store_load(store, &error));
    g_assert_no_error(error);
    g_assert_true(psp_store_save(store, blob, &error));
    again = psp_store_load(store, &error);
    g_assert_true(g_bytes_equal(blob, again));
    g_assert_false(g_file_test(tmp, G_FILE_TEST_EXISTS));
}

static void test_full(Place *place, gconstpointer data)
{
    g_autoptr(PspStore) store = open_ok(place->dir);
    g_autoptr(GBytes) blob = some_blob();
    g_autofree char *tmp = g_strconcat(place->nv, ".tmp", NULL);
    GError *error = NULL;

    g_mkdir(tmp, 0700);                 /* the new file cannot be made */
    g_assert_false(psp_store_save(store, blob, &error));
    g_assert_error(error, PSP_ERROR, PSP_ERROR_STORE);
    g_clear_error(&error);
    g_rmdir(tmp);
    g_remove(place->self);
    g_rmdir(place->roots);
    g_file_set_contents(place->roots, "", 0, NULL);
    g_assert_false(psp_store_save(store, blob, &error));
    g_assert_error(error, PSP_ERROR, PSP_ERROR_STORE);
    g_clear_error(&error);
    g_remove(place->roots);
}

/* --- Where --------------------------------------------------------------- */

/* A process that may write @limit bytes of a file saves @blob. */
static int save_within(const char *dir, GBytes *blob, size_t limit,
                       bool killed)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        g_autoptr(PspStore) store = psp_store_open(dir, NULL);
        struct rlimit r = { limit, limit }, no_core = { 0, 0 };

        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGXFSZ, killed ? SIG_DFL : SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &r);
        _exit(!psp_store_save(store, blob, NULL));
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

/* A crash, or a full disk, after any number of bytes: old or new */
static void test_any_write(Place *place, gconstpointer data)
{
    g_autoptr(PspStore) store = open_ok(place->dir);
    g_autoptr(GBytes) old = some_blob();
    g_autoptr(GBytes) new = NULL;
    g_autoptr(Chip) chip = chip_new("store");
    size_t len;
    GError *error = NULL;

    chip_init(chip, 0);
    chip_ok(psp_exec(chip->psp, PSP_CMD_PDH_GEN, NULL, 0));
    new = g_bytes_ref(chip->nv);
    len = g_bytes_get_size(new);
    g_assert_true(psp_store_save(store, old, &error));
    for (size_t n = 0; n < len; n += 331) {
        g_autoptr(GBytes) now = NULL;

        g_assert_true(WIFSIGNALED(save_within(place->dir, new, n, true)));
        g_assert_cmpint(save_within(place->dir, new, n, false), !=, 0);
        now = psp_store_load(store, &error);
        g_assert_no_error(error);
        g_assert_true(g_bytes_equal(now, old));
    }
    g_bytes_unref(old);
    g_assert_cmpint(save_within(place->dir, new, len, true), ==, 0);
    old = psp_store_load(store, &error);
    g_assert_true(g_bytes_equal(old, new));
}

static void test_erase(Place *place, gconstpointer data)
{
    g_autoptr(PspStore) store = open_ok(place->dir);
    g_autoptr(GBytes) blob = some_blob();
    GError *error = NULL;

    g_assert_true(psp_store_erase(store, &error));      /* nothing there */
    g_assert_true(psp_store_save(store, blob, &error));
    g_assert_true(psp_store_erase(store, &error));
    g_assert_false(g_file_test(place->nv, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(place->self, G_FILE_TEST_EXISTS));
    g_assert_null(psp_store_load(store, &error));
    g_assert_no_error(error);
}

static void test_default_dir(void)
{
    g_autofree char *env = NULL, *state = NULL, *want = NULL;

    g_setenv("SEV_PSP_DIR", "/somewhere/else", true);
    env = psp_store_default_dir();
    g_assert_cmpstr(env, ==, "/somewhere/else");
    g_unsetenv("SEV_PSP_DIR");
    if (g_file_test("/var/lib/sev-psp", G_FILE_TEST_EXISTS)) {
        g_test_skip("this system has a /var/lib/sev-psp");
        return;
    }
    state = psp_store_default_dir();
    want = g_build_filename(g_get_user_state_dir(), "sev-psp", NULL);
    g_assert_cmpstr(state, ==, want);
}

/* --- Does the place last? ------------------------------------------------ */

typedef struct Home {
    const char *name;
    const char *home;           /* "@": a directory of our own; NULL: unset */
    const char *below;          /* of it */
    bool named;                 /* SEV_PSP_DIR */
    const char *why;            /* NULL: it lasts */
} Home;

static const Home homes[] = {
    { "own", "@", "", false, NULL },
    { "guest", "@", "lib/libvirt/qemu/domain-3-web", false,
      "is removed with this process's guest" },
    { "probe", "@", "lib/libvirt/qemu/qmp-Xy12zA", false,
      "is removed with this process's guest" },
    { "embedded", "@", "root/lib/qemu/domain-1-x", false,
      "is removed with this process's guest" },
    { "alike", "@", "qemu/domain-of-mine/x", false, NULL },
    { "named", "@", "lib/libvirt/qemu/domain-3-web", true, NULL },
    { "unset", NULL, "", false, "HOME is not set" },
};

/* GLib looks at HOME once: each row has a process of its own. */
static void test_home(gconstpointer data)
{
    g_autofree char *tmp = NULL, *home = NULL, *dir = NULL;
    const Home *row = data;
    GError *error = NULL;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
        g_test_trap_assert_passed();
        return;
    }
    g_unsetenv("SEV_PSP_DIR");
    g_unsetenv("XDG_STATE_HOME");
    g_unsetenv("HOME");
    if (row->home) {
        tmp = g_dir_make_tmp("psp-store-XXXXXX", NULL);
        home = g_build_filename(tmp, row->below, NULL);
        g_setenv("HOME", home, true);
    }
    dir = g_build_filename(g_get_user_state_dir(), "sev-psp", NULL);
    if (row->named) {
        g_setenv("SEV_PSP_DIR", dir, true);
    }
    g_assert_cmpint(psp_store_check_home(dir, &error), ==, !row->why);
    if (row->why) {
        g_assert_error(error, PSP_ERROR, PSP_ERROR_STORE);
        g_assert_nonnull(strstr(error->message, row->why));
        g_assert_nonnull(strstr(error->message, "install -d -m 700 -o "));
        g_error_free(error);
    }
    if (tmp) {
        g_assert_cmpint(g_rmdir(tmp), ==, 0);       /* nothing was made */
    }
}

static void test_anothers_home(void)
{
    GError *error = NULL;

    if (geteuid()) {
        g_test_skip("only root can become another user");
        return;
    }
    g_unsetenv("SEV_PSP_DIR");
    g_setenv("HOME", "/", true);
    g_assert_true(psp_store_check_home("/.local/state/sev-psp", &error));
    g_assert_cmpint(seteuid(12345), ==, 0);
    g_assert_false(psp_store_check_home("/.local/state/sev-psp", &error));
    g_assert_nonnull(strstr(error->message, "in a directory of another user"));
    g_assert_nonnull(strstr(error->message, "-o 12345 /var/lib/sev-psp"));
    g_clear_error(&error);
    g_assert_true(psp_store_check_home("/tmp/.local/state/sev-psp", &error));
    g_assert_true(psp_store_check_home("/var/lib/sev-psp", &error));
    g_assert_cmpint(seteuid(0), ==, 0);
}

/* --- A chip on it, from many processes ----------------------------------- */

static void *no_map(void *opaque, uint64_t paddr, size_t len, bool write)
{
    return paddr == 0x1000 ? g_malloc0(len) : NULL;
}

static void no_unmap(void *opaque, void *ptr, uint64_t paddr, size_t len,
                     size_t written)
{
    g_free(ptr);
}

static void real_random(void *opaque, void *dst, size_t len)
{
    uint8_t *p = dst;

    while (len) {
        ssize_t n = getrandom(p, MIN(len, 256), 0);

        g_assert_cmpint(n, >, 0);
        p += n;
        len -= n;
    }
}

static bool disk_lock(void *opaque, GError **error)
{
    return psp_store_lock(opaque, error);
}

static void disk_unlock(void *opaque)
{
    psp_store_unlock(opaque);
}

static GBytes *disk_load(void *opaque, GError **error)
{
    return psp_store_load(opaque, error);
}

static bool disk_store(void *opaque, GBytes *blob, GError **error)
{
    return psp_store_save(opaque, blob, error);
}

static const PspHost disk_host = {
    .mem_map = no_map, .mem_unmap = no_unmap, .random = real_random,
    .nv_lock = disk_lock, .nv_unlock = disk_unlock,
    .nv_load = disk_load, .nv_store = disk_store,
};

/* Start @starts chips, one after another; now and then change the PDH. */
static void child_main(const char *dir, int starts)
{
    for (int i = 0; i < starts; i++) {
        g_autoptr(PspStore) store = psp_store_open(dir, NULL);
        g_autoptr(PspPlatform) psp = psp_platform_new(&disk_host, store,
                                                      NULL);
        PspInit cmd = { 0 };

        if (psp_exec(psp, PSP_CMD_INIT, &cmd, sizeof(cmd))) {
            g_printerr("INIT: %s\n", psp_last_error());
            _exit(1);
        }
        if (i % 8 == 0 && psp_exec(psp, PSP_CMD_PDH_GEN, NULL, 0)) {
            _exit(2);
        }
    }
    _exit(0);
}

#define CHILDREN 16
#define STARTS 100

static void test_processes(Place *place, gconstpointer data)
{
    pid_t pids[CHILDREN];
    g_autoptr(GBytes) first = NULL, last = NULL;
    g_autoptr(PspStore) store = NULL;
    g_autofree char *ark = NULL;
    GError *error = NULL;
    size_t len;

    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            child_main(place->dir, STARTS);
        }
    }
    /* as soon as there is an identity it must never be another one */
    while (!g_file_test(place->nv, G_FILE_TEST_EXISTS)) {
        g_usleep(1000);
    }
    store = open_ok(place->dir);
    g_assert_true(psp_store_lock(store, &error));
    first = psp_store_load(store, &error);
    psp_store_unlock(store);
    g_assert_no_error(error);

    for (int i = 0; i < CHILDREN; i++) {
        int status;

        if (i % 2) {
            g_usleep(g_test_rand_int_range(0, 50000));
            kill(pids[i], SIGKILL);
        }
        g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
        g_assert_cmpint(WIFSIGNALED(status) ? 0 : WEXITSTATUS(status), ==, 0);
    }
    last = psp_store_load(store, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(psp_identity_find_ark(first), 832,
                    psp_identity_find_ark(last), 832);
    g_assert_true(g_file_get_contents(place->self, &ark, &len, NULL));
    g_assert_cmpmem(ark, len, psp_identity_find_ark(last), 832);
}

/* Killed at a random moment of the very first start */
static void test_killed(Place *place, gconstpointer data)
{
    for (int i = 0; i < 20; i++) {
        g_autoptr(PspStore) store = NULL;
        g_autoptr(GBytes) blob = NULL;
        GError *error = NULL;
        pid_t pid = fork();

        if (pid == 0) {
            child_main(place->dir, 1);
        }
        g_usleep(g_test_rand_int_range(0, 250000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        store = open_ok(place->dir);
        g_assert_true(psp_store_lock(store, &error));
        blob = psp_store_load(store, &error);
        psp_store_unlock(store);
        g_assert_no_error(error);
        g_remove(place->nv);
    }
}

/* --- Yesterday's files --------------------------------------------------- */

static char *golden_path(void)
{
    const char *dir = g_getenv("PSP_DATA");

    return g_build_filename(dir ? dir : ".", "nv-v1.hex", NULL);
}

static int write_golden(void)
{
    g_autoptr(GBytes) blob = some_blob();
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *path = golden_path();
    size_t len;
    const uint8_t *data = g_bytes_get_data(blob, &len);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(text, "%02x%s", data[i],
                               i % 32 == 31 || i == len - 1 ? "\n" : "");
    }
    return !g_file_set_contents(path, text->str, text->len, NULL);
}

static void test_golden(void)
{
    g_autofree char *path = golden_path();
    g_autofree char *text = NULL;
    g_autofree uint8_t *bytes = NULL;
    g_autoptr(GBytes) blob = NULL;
    g_autoptr(PspIdentity) id = NULL;
    g_auto(GStrv) lines = NULL;
    g_autofree char *hex = NULL;
    GError *error = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    lines = g_strsplit(text, "\n", -1);
    hex = g_strjoinv("", lines);
    bytes = g_malloc(strlen(hex) / 2);
    hex_to(bytes, strlen(hex) / 2, hex);
    blob = g_bytes_new(bytes, strlen(hex) / 2);
    id = psp_identity_decode(blob, &error);
    g_assert_no_error(error);
    g_assert_true(id->provisioned);
    g_assert_false(id->external);
    assert_hex(id->chip_id, 8, "86f2e2b14e5f11b3");
}

static void add(const char *name, void (*test)(Place *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/psp/store/", name, NULL);

    g_test_add(path, Place, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--write-golden") == 0) {
        return write_golden();
    }
    g_test_init(&argc, &argv, NULL);
    add("save", test_save);
    add("permissions", test_permissions);
    add("foreign", test_foreign);
    add("not-a-directory", test_not_a_directory);
    add("left-over", test_left_over);
    add("full", test_full);
    add("any-write", test_any_write);
    add("erase", test_erase);
    g_test_add_func("/psp/store/default-dir", test_default_dir);
    for (size_t i = 0; i < G_N_ELEMENTS(homes); i++) {
        g_autofree char *path = g_strconcat("/psp/store/home/", homes[i].name,
                                            NULL);

        g_test_add_data_func(path, &homes[i], test_home);
    }
    g_test_add_func("/psp/store/home/anothers", test_anothers_home);
    add("processes", test_processes);
    add("killed", test_killed);
    g_test_add_func("/psp/store/golden", test_golden);
    return g_test_run();
}
