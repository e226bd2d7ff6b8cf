/*
 * Faults on demand: what x-fault accepts, and that it fires once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/wait.h>
#include "qemu/thread.h"
#include "target/i386/sev/test/fault.h"

#define PAGES SEV_FAULT_PAGES_WRITE

static void test_text(void)
{
    static const struct {
        const char *text, *armed;       /* NULL: refused */
    } rows[] = {
        { "", "" },
        { "pages-write", "pages-write:1:fail=19" },
        { "pages-write:7", "pages-write:7:fail=19" },
        { "pages-write:7:fail", "pages-write:7:fail=19" },
        { "receive-start:fail=7", "receive-start:1:fail=7" },
        { "pages-write:stall", "pages-write:1:stall=60000" },
        { "end-read:2:stall=500", "end-read:2:stall=500" },
        { "load-end:die", "load-end:1:die" },
        { "pages", NULL },
        { ":1", NULL },
        { "pages-write:", NULL },
        { "pages-write:0", NULL },
        { "pages-write:1x", NULL },
        { "pages-write:99999999999", NULL },
        { "pages-write:1:", NULL },
        { "pages-write:1:die:2", NULL },
        { "pages-write:die:2", NULL },
        { "pages-write:die=2", NULL },
        { "pages-write:stall=", NULL },
        { "pages-write:stall=0", NULL },
        { "pages-write:stall=60001", NULL },
        { "pages-write:fail=65536", NULL },
        { "pages-write:fall", NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *armed = NULL;
        Error *err = NULL;

        g_assert_true(sev_fault_set("", &error_abort));
        g_assert_cmpint(sev_fault_set(rows[i].text, &err), ==,
                        rows[i].armed != NULL);
        g_assert_cmpint(err == NULL, ==, rows[i].armed != NULL);
        error_free(err);
        armed = sev_fault_get();
        g_assert_cmpstr(armed, ==, rows[i].armed ?: "");
    }
    sev_fault_set("", &error_abort);
}

static void test_points(void)
{
    g_assert_null(sev_fault_describe(SEV_FAULT_NONE));
    for (int i = SEV_FAULT_NONE + 1; i < SEV_FAULT__MAX; i++) {
        g_autofree char *said = sev_fault_describe(i);
        g_autofree char *armed = NULL;

        g_assert_true(sev_fault_set(strchr(said, ' ') + 1, &error_abort));
        g_assert_cmpint(sev_fault_armed, ==, i);
        armed = sev_fault_get();
        g_assert_true(g_str_has_prefix(armed, strchr(said, ' ') + 1));
    }
    sev_fault_set("", &error_abort);
}

static void test_fail(void)
{
    Error *err = NULL;
    int status = 0;

    sev_fault_set("pages-write:3", &error_abort);
    g_assert_false(sev_fault(PAGES, &error_abort));
    g_assert_false(sev_fault(SEV_FAULT_END_WRITE, &error_abort));
    g_assert_false(sev_fault(PAGES, &error_abort));
    g_assert_true(sev_fault(PAGES, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "pages-write"));
    error_free(err);
    g_assert_false(sev_fault(PAGES, &error_abort));

    sev_fault_set("send-start:fail=7", &error_abort);
    g_assert_cmpint(sev_fault_command(SEV_FAULT_SEND_START, &status), ==, -EIO);
    g_assert_cmpint(status, ==, 7);
    g_assert_cmpint(sev_fault_command(SEV_FAULT_SEND_START, &status), ==, 0);
}

static void *reach(void *opaque)
{
    g_assert_false(sev_fault(PAGES, &error_abort));
    return NULL;
}

static void test_stall(void)
{
    QemuThread thread;

    /* By itself ... */
    sev_fault_set("pages-write:stall=20", &error_abort);
    g_assert_false(sev_fault(PAGES, &error_abort));

    /* ... and when somebody says so. */
    sev_fault_set("pages-write:stall", &error_abort);
    qemu_thread_create(&thread, "stalled", reach, NULL, QEMU_THREAD_JOINABLE);
    while (qatomic_read(&sev_fault_armed)) {
        g_usleep(1000);
    }
    sev_fault_set("", &error_abort);
    qemu_thread_join(&thread);
}

static void test_die(void)
{
    pid_t child = fork();
    int status;

    g_assert_cmpint(child, >=, 0);
    if (!child) {
        sev_fault_set("pages-write:die", &error_abort);
        sev_fault(PAGES, NULL);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/fault/text", test_text);
    g_test_add_func("/sev/fault/points", test_points);
    g_test_add_func("/sev/fault/fail", test_fail);
    g_test_add_func("/sev/fault/stall", test_stall);
    g_test_add_func("/sev/fault/die", test_die);
    return g_test_run();
}
