/*
 * A template's file, read while somebody changes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "migration/sev/template/file.h"

#define LEN (13 * MiB + 77)

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

static void there(SevTemplateFile *f, uint64_t at, size_t len)
{
    const uint8_t *bytes = sev_template_file_at(f, at, len);

    g_assert_nonnull(bytes);
    same(bytes, at, len);
}

static void test_walk(void)
{
    g_autofree char *path = make("walk", LEN);
    SevTemplateFile f = { .fd = -1 };
    uint8_t copy[100];

    g_assert_true(sev_template_file_open(&f, path, &error_abort));
    g_assert_cmpint(f.len, ==, LEN);
    for (size_t at = 0; at < MiB; at += 999) {
        there(&f, at, 1000);
    }
    there(&f, 5, SEV_TEMPLATE_FILE_MAX);        /* all that a window holds */
    for (size_t at = MiB; at < 9 * MiB; at += 65521) {
        there(&f, at, 70000);
        there(&f, at - MiB, 300000);            /* a step behind */
    }
    there(&f, 10 * MiB + 5, LEN - 10 * MiB - 5);        /* over a gap */
    there(&f, 3, 5);                            /* all the way back */
    there(&f, LEN - 4 * MiB, 4 * MiB);
    there(&f, LEN, 0);
    g_assert_null(sev_template_file_at(&f, LEN, 1));
    g_assert_null(sev_template_file_at(&f, LEN + 1, 0));
    g_assert_null(sev_template_file_at(&f, LEN - 5, 6));
    g_assert_null(sev_template_file_at(&f, UINT64_MAX - 1, 4));
    g_assert_null(sev_template_file_at(&f, 0, SEV_TEMPLATE_FILE_MAX + 1));
    g_assert_null(sev_template_file_at(&f, 0, SIZE_MAX));
    g_assert_true(sev_template_file_copy(&f, LEN - 100, copy, 100));
    same(copy, LEN - 100, 100);
    g_assert_false(sev_template_file_copy(&f, LEN - 99, copy, 100));
    g_assert_false(sev_template_file_copy(&f, UINT64_MAX, copy, 100));
    g_assert_false(sev_template_file_copy(&f, INT64_MAX - 50, copy, 100));
    sev_template_file_close(&f);
    unlink(path);
}

static void test_truncated_meanwhile(void)
{
    g_autofree char *path = make("short", LEN);
    SevTemplateFile f = { .fd = -1 };
    uint8_t copy;

    g_assert_true(sev_template_file_open(&f, path, &error_abort));
    there(&f, 0, 16);
    g_assert_cmpint(truncate(path, 7 * MiB + 9), ==, 0);
    g_assert_null(sev_template_file_at(&f, 7 * MiB, 10));
    g_assert_cmpint(f.len, ==, 7 * MiB + 9);
    there(&f, 7 * MiB, 9);
    g_assert_false(sev_template_file_copy(&f, 7 * MiB + 9, &copy, 1));
    sev_template_file_close(&f);
    unlink(path);
}

/* A terabyte that costs nothing has a window of memory, and holes. */
static void test_sparse(void)
{
    g_autofree char *path = make("sparse", MiB);
    SevTemplateFile f = { .fd = -1 };
    uint64_t size = 1 * TiB;
    const uint8_t *bytes;

    g_assert_cmpint(truncate(path, size), ==, 0);
    g_assert_true(sev_template_file_open(&f, path, &error_abort));
    g_assert_cmpint(f.len, ==, size);
    there(&f, MiB - 100, 100);
    bytes = sev_template_file_at(&f, size - 9, 9);
    g_assert_nonnull(bytes);
    g_assert_cmphex(ldl_he_p(bytes), ==, 0);
    if (sev_template_file_holes(&f, MiB, size)) {       /* as most can tell */
        g_assert_cmpint(sev_template_file_holes(&f, MiB, size), ==, size - MiB);
        g_assert_cmpint(sev_template_file_holes(&f, 0, MiB), ==, 0);
        g_assert_cmpint(sev_template_file_holes(&f, 0, 3 * MiB), ==, 2 * MiB);
        g_assert_cmpint(sev_template_file_holes(&f, 5, 5), ==, 0);
    }
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
    g_test_add_func("/sev/template-file/sparse", test_sparse);
    g_test_add_func("/sev/template-file/refused", test_refused);
    ret = g_test_run();
    rmdir(folder);
    g_free(folder);
    return ret;
}
