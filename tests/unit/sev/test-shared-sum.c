/*
 * The sum of a template's shared pages: what docs/interop/sev-record.rst says,
 * computed in another way; from a file and from RAM the same; and every change
 * changes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zlib.h>
#include "qemu/bswap.h"
#include "migration/sev/template/shared-sum.h"
#include "target/i386/sev/transfer.h"

#define PAGE 4096
#define PAGES 100
#define START (3 * PAGE)        /* of the block in its file */

/* --- What stands in for the rest of QEMU --------------------------------- */

static bool is_private[PAGES];

/* Runs of @rb, in order, as target/i386/sev/page-state.c has them. */
bool sev_page_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    for (size_t page = 0, end; page < PAGES; page = end + 1) {
        end = page;
        while (end < PAGES && is_private[end]) {
            end++;
        }
        if (end > page &&
            !fn(rb, page * PAGE, (end - page) * PAGE, opaque)) {
            return false;
        }
    }
    return true;
}

static uint8_t ram[PAGES * PAGE];
static RAMBlock block = { .host = ram, .used_length = sizeof(ram) };

static void setup(void)
{
    memset(ram, 0, sizeof(ram));
    memset(is_private, 0, sizeof(is_private));
}

static void fill(size_t page)
{
    for (size_t i = 0; i < PAGE; i++) {
        ram[page * PAGE + i] = g_test_rand_int();
    }
}

/* The document's words: CRC-32 over number, offset, bytes; added up. */
static SevSharedSum expected(uint64_t number)
{
    SevSharedSum s = {};

    for (uint64_t page = 0; page < PAGES; page++) {
        uint8_t text[16 + PAGE];
        bool zero = true;

        stq_be_p(text, number);
        stq_be_p(text + 8, page * PAGE);
        memcpy(text + 16, ram + page * PAGE, PAGE);
        for (size_t i = 16; i < sizeof(text); i++) {
            zero = zero && !text[i];
        }
        if (!zero && !is_private[page]) {
            s.sum += crc32(0, text, sizeof(text));
            s.pages++;
        }
    }
    return s;
}

/* RAM in a file: @sparse with a hole where a page is zero. */
static int file_of_ram(bool sparse)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("shared-sum-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    unlink(path);
    g_assert_cmpint(ftruncate(fd, START + sizeof(ram)), ==, 0);
    for (size_t page = 0; page < PAGES; page++) {
        const uint8_t *bytes = ram + page * PAGE;

        if (!sparse || bytes[0] || memcmp(bytes, bytes + 1, PAGE - 1)) {
            g_assert_cmpint(pwrite(fd, bytes, PAGE, START + page * PAGE), ==,
                            PAGE);
        }
    }
    return fd;
}

static SevSharedSum sum_of(uint64_t number, int fd)
{
    SevSharedSum s = {};

    g_assert_true(sev_shared_sum_block(&s, number, &block, fd,
                                       fd < 0 ? 0 : START));
    return s;
}

static void assert_same(SevSharedSum a, SevSharedSum b)
{
    g_assert_cmpuint(a.pages, ==, b.pages);
    g_assert_cmphex(a.sum, ==, b.sum);
}

/* --- Tests --------------------------------------------------------------- */

static void test_random(void)
{
    for (int round = 0; round < 20; round++) {
        uint64_t number = g_test_rand_int();
        int dense, sparse;

        setup();
        for (size_t page = 0; page < PAGES; page++) {
            if (g_test_rand_int_range(0, 20) < round) {
                fill(page);
            }
            is_private[page] = g_test_rand_bit();
        }
        dense = file_of_ram(false);
        sparse = file_of_ram(true);
        assert_same(sum_of(number, -1), expected(number));
        assert_same(sum_of(number, dense), expected(number));
        assert_same(sum_of(number, sparse), expected(number));
        close(dense);
        close(sparse);
    }
}

/* A bit, a place, a block's number: each makes another sum. */
static void test_changed(void)
{
    SevSharedSum before;

    setup();
    fill(5);
    fill(6);
    before = sum_of(2, -1);
    g_assert_cmpuint(before.pages, ==, 2);
    g_assert_cmphex(sum_of(3, -1).sum, !=, before.sum);
    for (size_t bit = 0; bit < 8 * PAGE; bit += 997) {
        ram[5 * PAGE + bit / 8] ^= 1 << bit % 8;
        g_assert_cmphex(sum_of(2, -1).sum, !=, before.sum);
        ram[5 * PAGE + bit / 8] ^= 1 << bit % 8;
    }
    for (size_t i = 0; i < PAGE; i++) {         /* they change places */
        uint8_t byte = ram[5 * PAGE + i];

        ram[5 * PAGE + i] = ram[6 * PAGE + i];
        ram[6 * PAGE + i] = byte;
    }
    g_assert_cmphex(sum_of(2, -1).sum, !=, before.sum);
}

static void test_order(void)
{
    SevSharedSum up = {}, down = {};

    setup();
    for (size_t page = 0; page < PAGES; page++) {
        fill(page);
    }
    for (size_t page = 0; page < PAGES; page++) {
        size_t last = PAGES - 1 - page;

        sev_shared_sum_page(&up, 7, page * PAGE, ram + page * PAGE);
        sev_shared_sum_page(&down, 7, last * PAGE, ram + last * PAGE);
    }
    assert_same(up, down);
    assert_same(up, expected(7));
}

/* Nothing around the range is read, and the stream goes on where it was. */
static void test_range(void)
{
    SevSharedSum s = {}, wanted = {};
    int fd;

    setup();
    for (size_t page = 0; page < PAGES; page++) {
        fill(page);
    }
    fd = file_of_ram(false);
    g_assert_cmpint(lseek(fd, 12345, SEEK_SET), ==, 12345);
    g_assert_true(sev_shared_sum_file(&s, 1, fd, START, 17 * PAGE,
                                      40 * PAGE));
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 12345);
    for (size_t page = 17; page < 57; page++) {
        sev_shared_sum_page(&wanted, 1, page * PAGE, ram + page * PAGE);
    }
    assert_same(s, wanted);
    g_assert_true(sev_shared_sum_file(&s, 1, fd, START, 17 * PAGE, 0));
    assert_same(s, wanted);
    close(fd);
}

/* A file that ends inside the range is an error, and not a hole. */
static void test_short(void)
{
    SevSharedSum s = {};
    int fd;

    setup();
    for (size_t page = 0; page < PAGES; page++) {
        fill(page);
    }
    fd = file_of_ram(false);
    g_assert_cmpint(ftruncate(fd, START + sizeof(ram) - 1), ==, 0);
    g_assert_false(sev_shared_sum_block(&s, 1, &block, fd, START));
    g_assert_cmpint(errno, ==, EIO);
    close(fd);
    g_assert_false(sev_shared_sum_block(&s, 1, &block, fd, START));
    g_assert_cmpint(errno, ==, EBADF);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/template-shared/random", test_random);
    g_test_add_func("/sev/template-shared/changed", test_changed);
    g_test_add_func("/sev/template-shared/order", test_order);
    g_test_add_func("/sev/template-shared/range", test_range);
    g_test_add_func("/sev/template-shared/short", test_short);
    return g_test_run();
}
