/*
 * A template's file, read while somebody changes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "migration/sev/template-file.h"

#define LEN (3 * MiB + 77)

static char *folder;

static uint8_t byte_at(size_t i)
{
    return (i * 2654435761u) >> 24;
}

static char *make(const char *name, size_t len)
{
    char *path = g_build_filename(folder, name, NULL);
    g_autofree uint8_t *bytes = g_malloc(len + 1);

    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_at(i);
    }
    g_file_set_contents(path, (char *)bytes, len, NULL);
    return path;
}

static void same(const uint8_t *bytes, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(bytes[i], ==, byte_at(at + i));
    }
}

static void test_walk(void)
{
    g_autofree char *path = make("walk", LEN);
    SevTemplateFile f = { .fd = -1 };
    uint8_t copy[100];

    g_assert_true(sev_template_file_open(&f, path, &error_abort));
    g_assert_cmpint(f.len, ==, LEN);
    for (size_t at = 0; at < MiB; at += 999) {
        g_assert_true(sev_template_file_need(&f, at, 1000));
        same(f.bytes + at, at, 1000);
    }
    /* Over a gap, to the end. */
    g_assert_true(sev_template_file_need(&f, 2 * MiB + 5, LEN - 2 * MiB - 5));
    same(f.bytes + 2 * MiB + 5, 2 * MiB + 5, LEN - 2 * MiB - 5);
    g_assert_true(sev_template_file_need(&f, LEN, 0));
    g_assert_false(sev_template_file_need(&f, LEN, 1));
    g_assert_false(sev_template_file_need(&f, LEN + 1, 0));
    g_assert_true(sev_template_file_copy(&f, LEN - 100, copy, 100));
    same(copy, LEN - 100, 100);
    g_assert_false(sev_template_file_copy(&f, LEN - 99, copy, 100));
    g_assert_false(sev_template_file_copy(&f, UINT64_MAX, copy, 100));
    sev_template_file_close(&f);
    unlink(path);
}

static void test_truncated_meanwhile(void)
{
    g_autofree char *path = make("short", LEN);
    SevTemplateFile f = { .fd = -1 };
    uint8_t copy;

    g_assert_true(sev_template_file_open(&f, path, &error_abort));
    g_assert_true(sev_template_file_need(&f, 0, 16));
    g_assert_cmpint(truncate(path, 2 * MiB + 9), ==, 0);
    g_assert_false(sev_template_file_need(&f, 2 * MiB, 10));
    g_assert_cmpint(f.len, ==, 2 * MiB + 9);
    g_assert_true(sev_template_file_need(&f, 2 * MiB, 9));
    same(f.bytes + 2 * MiB, 2 * MiB, 9);
    g_assert_false(sev_template_file_copy(&f, 2 * MiB + 9, &copy, 1));
    sev_template_file_close(&f);
    unlink(path);
}

static void refused(const char *path, const char *pattern)
{
    SevTemplateFile f = { .fd = -1 };
    Error *err = NULL;

    g_assert_false(sev_template_file_open(&f, path, &err));
    g_assert_true(g_pattern_match_simple(pattern, error_get_pretty(err)));
    error_free(err);
    sev_template_file_close(&f);
}

static void test_refused(void)
{
    g_autofree char *empty = make("empty", 0);
    g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    refused(empty, "*empty*");
    refused(folder, "*no regular file*");
    refused(fifo, "*no regular file*");         /* and does not wait */
    refused("/nonexistent/file", "*cannot be read*No such file*");
    unlink(empty);
    unlink(fifo);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("sev-file-XXXXXX", NULL);
    g_test_add_func("/sev/template-file/walk", test_walk);
    g_test_add_func("/sev/template-file/truncated-meanwhile",
                    test_truncated_meanwhile);
    g_test_add_func("/sev/template-file/refused", test_refused);
    ret = g_test_run();
    rmdir(folder);
    g_free(folder);
    return ret;
}
