/*
 * SEV guests under TCG for qtests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <ftw.h>
#include "qobject/qdict.h"
#include "migration/migration-qmp.h"
#include "migration/migration-util.h"
#include "sev-vm.h"

#define LIMIT   120             /* seconds; on a quiet machine it is moments */
#define MARKS   5

/* --- A folder for each test ---------------------------------------------- */

static char *folder;

typedef struct SevTest {
    char *path;
    void (*fn)(void);
} SevTest;

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    return remove(path);
}

static void run(const void *data)
{
    const SevTest *test = data;

    folder = g_dir_make_tmp("qtest-sev-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_test_message("%s: files are in %s", test->path, folder);
    test->fn();
    g_assert_cmpint(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
    g_clear_pointer(&folder, g_free);
}

static void test_free(void *data)
{
    SevTest *test = data;

    g_free(test->path);
    g_free(test);
}

void sev_test_add(const char *path, void (*fn)(void))
{
    SevTest *test = g_new(SevTest, 1);

    *test = (SevTest) { g_strdup(path), fn };
    qtest_add_data_func_full(path, test, run, test_free);
}

char *sev_test_file(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* --- Guests -------------------------------------------------------------- */

static char *file_of(SevVm *vm, const char *what)
{
    g_autofree char *name = g_strdup_printf("%s.%s", vm->name, what);

    return sev_test_file(name);
}

static SevVm *start(const char *name, const char *host, const char *incoming,
                    const SevVmOptions *options)
{
    static const SevVmOptions none;
    const SevVmOptions *o = options ?: &none;
    SevVm *vm = g_new0(SevVm, 1);
    g_autofree char *screen = NULL, *log = NULL, *args = NULL, *config = NULL;

    vm->name = g_strdup(name);
    vm->host = sev_test_file(host);
    screen = file_of(vm, "screen");
    log = file_of(vm, "log");
    config = sev_test_file("etc");
    args = g_strdup_printf(
        "-nodefaults -no-user-config -accel tcg -cpu EPYC-v4 -m 16 "
        "-machine q35,confidential-guest-support=sev0 "
        "-object sev-guest,id=sev0,policy=%u%s%s "
        "-drive if=pflash,unit=0,format=raw,readonly=on,file=%s "
        "-serial file:%s %s %s 2>%s",
        o->policy ?: 1, o->sev ? "," : "", o->sev ?: "", SEV_TEST_FIRMWARE,
        screen, incoming, o->extra ?: "", log);
    /* Not g_setenv(): it warns of threads, and none of ours reads it. */
    setenv("SEV_PSP_DIR", vm->host, 1);
    setenv("SEV_PSP_CONFIG_DIR", config, 1);
    vm->qts = qtest_init(args);
    return vm;
}

SevVm *sev_vm_start(const char *name, const char *host,
                    const SevVmOptions *options)
{
    return start(name, host, "", options);
}

SevVm *sev_vm_start_incoming(const char *name, const char *host,
                             const SevVmOptions *options)
{
    return start(name, host, "-incoming defer", options);
}

void sev_vm_stop(SevVm *vm)
{
    qtest_quit(vm->qts);
    g_free(vm->name);
    g_free(vm->host);
    g_free(vm);
}

void sev_vm_trust(SevVm *vm, SevVm *other)
{
    g_autofree char *root = g_build_filename(other->host, "roots",
                                             "self.cert", NULL);
    g_autofree char *base = g_path_get_basename(other->host);
    g_autofree char *name = g_strdup_printf("%s.cert", base);
    g_autofree char *pinned = g_build_filename(vm->host, "roots", name, NULL);
    g_autofree char *bytes = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(root, &bytes, &len, NULL));
    g_assert_true(g_file_set_contents(pinned, bytes, len, NULL));
}

void sev_vm_wait_sound(SevVm *vm)
{
    g_autofree char *screen = file_of(vm, "screen");
    gsize len, aim = 0;

    g_test_timer_start();
    do {
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(screen, &text, &len, NULL));
        if (strspn(text, "+") != len) {
            g_error("%s found its memory changed: %s", vm->name, text);
        }
        if (!aim) {
            aim = len + MARKS;
        }
        g_assert_cmpfloat(g_test_timer_elapsed(), <, LIMIT);
        g_usleep(1000);
    } while (len < aim);
}

/* --- Migration ----------------------------------------------------------- */

void sev_vm_load(SevVm *vm, const char *uri)
{
    migrate_incoming_qmp(vm->qts, uri, NULL, "{ 'exit-on-error': false }");
}

char *sev_vm_listen(SevVm *vm)
{
    g_autofree char *socket = file_of(vm, "socket");
    char *uri = g_strdup_printf("unix:%s", socket);

    sev_vm_load(vm, uri);
    return uri;
}

void sev_vm_migrate(SevVm *vm, const char *uri)
{
    migrate_qmp(vm->qts, NULL, uri, NULL, "{}");
}

void sev_vm_expect(SevVm *vm, const char *status, const char *words)
{
    g_test_timer_start();
    for (;;) {
        QDict *info = migrate_query(vm->qts);
        const char *now = qdict_get_try_str(info, "status") ?: "none";
        const char *error = qdict_get_try_str(info, "error-desc") ?: "";

        if (g_str_equal(now, "completed") || g_str_equal(now, "cancelled") ||
            g_str_equal(now, "failed")) {
            g_test_message("%s: %s %s", vm->name, now, error);
            g_assert_cmpstr(now, ==, status);
            if (words && !strstr(error, words)) {
                g_error("%s says '%s', not '%s'", vm->name, error, words);
            }
            qobject_unref(info);
            return;
        }
        qobject_unref(info);
        g_assert_cmpfloat(g_test_timer_elapsed(), <, LIMIT);
        g_usleep(1000);
    }
}

uint64_t sev_vm_sev_info(SevVm *vm, const char *field)
{
    QDict *info = migrate_query(vm->qts);
    QDict *sev = qdict_get_qdict(info, "sev");
    uint64_t value = sev ? qdict_get_try_int(sev, field, 0) : 0;

    qobject_unref(info);
    return value;
}

void sev_vm_move(SevVm *from, SevVm *to)
{
    g_autofree char *uri = sev_vm_listen(to);

    sev_vm_migrate(from, uri);
    sev_vm_expect(from, "completed", NULL);
    sev_vm_expect(to, "completed", NULL);
    sev_vm_wait_sound(to);
    sev_vm_assert_gone(from);
}

void sev_assert_words(QDict *response, const char *words)
{
    const char *desc = qdict_get_str(response, "desc");

    g_test_message("QMP: %s", desc);
    if (!strstr(desc, words)) {
        g_error("QMP says '%s', not '%s'", desc, words);
    }
    qobject_unref(response);
}

void sev_vm_assert_gone(SevVm *vm)
{
    QDict *status;

    qobject_unref(qtest_qmp_assert_failure_ref(vm->qts,
                                               "{ 'execute': 'cont' }"));
    status = qtest_qmp_assert_success_ref(vm->qts,
                                          "{ 'execute': 'query-status' }");
    g_assert_false(qdict_get_bool(status, "running"));
    qobject_unref(status);
}
