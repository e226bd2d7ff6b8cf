/*
 * The declared page map against a bitmap: traces of declarations that overlap
 * in every way, and readers beside the writer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "target/i386/sev/declared-map.h"

#define PAGE        4096ull
#define PAGES       257         /* small: every kind of overlap happens */
#define TRACES      40
#define TRACE_LEN   2500

/* --- The same, said by a bitmap ------------------------------------------- */

static struct {
    unsigned long is_shared[BITS_TO_LONGS(PAGES)];
    unsigned long told[BITS_TO_LONGS(PAGES)];   /* that changed, this time */
    uint64_t base;
    bool is_private;
} model;

static void on_change(uint64_t start, uint64_t end, bool is_private)
{
    g_assert_cmphex(start, <, end);
    g_assert_cmpint(is_private, ==, model.is_private);
    for (uint64_t a = start; a < end; a += PAGE) {
        size_t page = (a - model.base) / PAGE;

        g_assert_cmpuint(page, <, PAGES);
        g_assert_false(test_bit(page, model.told));     /* never twice */
        set_bit(page, model.told);
    }
}

static void declare(SevDeclaredMap *map, size_t first, size_t n, bool is_private)
{
    unsigned long expect[BITS_TO_LONGS(PAGES)] = {};

    for (size_t page = first; page < first + n; page++) {
        if (test_bit(page, model.is_shared) == is_private) {
            set_bit(page, expect);
        }
        if (is_private) {
            clear_bit(page, model.is_shared);
        } else {
            set_bit(page, model.is_shared);
        }
    }
    bitmap_zero(model.told, PAGES);
    model.is_private = is_private;
    sev_declared_map_set(map, model.base + first * PAGE,
                         model.base + (first + n) * PAGE, is_private,
                         on_change);
    g_assert_true(bitmap_equal(expect, model.told, PAGES));
}

/* Page by page, run by run, and the number of runs: nothing left unmerged. */
static void compare(SevDeclaredMap *map)
{
    uint64_t at = model.base, end = model.base + PAGES * PAGE, run, run_end;
    size_t runs = 0, page = 0;

    for (page = 0; page < PAGES; page++) {
        uint64_t a = model.base + page * PAGE;
        bool is_private = !test_bit(page, model.is_shared);

        g_assert_cmpint(sev_declared_map_is_private(map, a), ==, is_private);
        g_assert_cmpint(sev_declared_map_is_private(map, a + PAGE - 1), ==,
                        is_private);
    }
    page = 0;
    while (sev_declared_map_next_shared(map, at, end, &run, &run_end)) {
        page = find_next_bit(model.is_shared, PAGES, page);
        g_assert_cmphex(run, ==, model.base + page * PAGE);
        page = find_next_zero_bit(model.is_shared, PAGES, page);
        g_assert_cmphex(run_end, ==, model.base + page * PAGE);
        at = run_end;
        runs++;
    }
    g_assert_cmpuint(find_next_bit(model.is_shared, PAGES, page), ==, PAGES);
    g_assert_cmpuint(sev_declared_map_ranges(map), ==, runs);
}

static void start_model(uint64_t base)
{
    memset(&model, 0, sizeof(model));
    model.base = base;
}

static void run_trace(uint32_t seed, uint64_t base)
{
    SevDeclaredMap *map = sev_declared_map_new();
    GRand *rand = g_rand_new_with_seed(seed);

    start_model(base);
    for (int i = 0; i < TRACE_LEN; i++) {
        /* mostly short, sometimes nearly everything, sometimes nothing */
        size_t first = g_rand_int_range(rand, 0, PAGES);
        size_t most = g_rand_int_range(rand, 0, 8) ? 12 : PAGES;
        size_t n = g_rand_int_range(rand, 0, MIN(most, PAGES - first) + 1);

        declare(map, first, n, g_rand_boolean(rand));
        if (i % 16 == 0) {
            compare(map);
        }
    }
    compare(map);
    declare(map, 0, PAGES, true);
    g_assert_cmpuint(sev_declared_map_ranges(map), ==, 0);
    sev_declared_map_free(map);
    g_rand_free(rand);
}

static void test_traces(void)
{
    for (uint32_t seed = 1; seed <= TRACES; seed++) {
        run_trace(seed, 0);
        run_trace(seed, 0xffffffff000ull);              /* around 2^44 */
        run_trace(seed, -(PAGES + 1) * PAGE);           /* to the last page */
    }
}

/* --- All pairs of ranges -------------------------------------------------- */

/* Every way two ranges can lie, in every combination of sides. */
static void test_pairs(void)
{
    enum { N = 7 };

    start_model(0x100000000ull);
    for (int sides = 0; sides < 8; sides++) {
        for (int a = 0; a < N; a++) {
            for (int b = a; b <= N; b++) {
                for (int c = 0; c < N; c++) {
                    for (int d = c; d <= N; d++) {
                        SevDeclaredMap *map = sev_declared_map_new();

                        bitmap_zero(model.is_shared, PAGES);
                        declare(map, 0, N, sides & 4);
                        declare(map, a, b - a, sides & 1);
                        declare(map, c, d - c, sides & 2);
                        compare(map);
                        sev_declared_map_free(map);
                    }
                }
            }
        }
    }
}

static void test_limits(void)
{
    SevDeclaredMap *map = sev_declared_map_new();
    uint64_t run, run_end;

    g_assert_true(sev_declared_map_is_private(map, 0));
    g_assert_true(sev_declared_map_is_private(map, UINT64_MAX));
    g_assert_false(sev_declared_map_next_shared(map, 0, UINT64_MAX, &run,
                                                &run_end));
    sev_declared_map_set(map, 5, 5, false, NULL);       /* empty */
    sev_declared_map_set(map, 6, 5, false, NULL);       /* the wrong way round */
    g_assert_cmpuint(sev_declared_map_ranges(map), ==, 0);

    sev_declared_map_set(map, 0, UINT64_MAX, false, NULL);
    g_assert_true(sev_declared_map_next_shared(map, 7, UINT64_MAX, &run,
                                               &run_end));
    g_assert_cmphex(run, ==, 7);
    g_assert_cmphex(run_end, ==, UINT64_MAX);
    g_assert_false(sev_declared_map_next_shared(map, 7, 7, &run, &run_end));
    sev_declared_map_set(map, 1, UINT64_MAX - 1, true, NULL);
    g_assert_false(sev_declared_map_is_private(map, 0));
    g_assert_false(sev_declared_map_is_private(map, UINT64_MAX - 1));
    g_assert_cmpuint(sev_declared_map_ranges(map), ==, 2);
    sev_declared_map_free(map);
    sev_declared_map_free(NULL);
}

/* --- Readers beside the writer -------------------------------------------- */

/*
 * The writer declares ranges of BLOCK pages, aligned, so a reader that sees a
 * run ever sees whole blocks of it; the first block is always shared and the
 * last one never is.
 */
#define BLOCK   (16 * PAGE)
#define BLOCKS  64ull
#define READERS 4
#define ROUNDS  5000        /* of the writer, at least */
#define PASSES  20          /* of each reader, at least */

static struct {
    SevDeclaredMap *map;
    bool stop;
    int at_work;            /* readers that have not made their passes */
} race;

static gpointer reader(void *opaque)
{
    GRand *rand = g_rand_new_with_seed(GPOINTER_TO_UINT(opaque));
    int passes = 0;

    while (!qatomic_read(&race.stop)) {
        uint64_t at = 0, run, run_end;

        while (sev_declared_map_next_shared(race.map, at, BLOCKS * BLOCK, &run,
                                            &run_end)) {
            g_assert_cmphex(run, >=, at);
            g_assert_cmphex(run, <, run_end);
            g_assert_true(QEMU_IS_ALIGNED(run | run_end, BLOCK));
            at = run_end;
        }
        g_assert_cmphex(at, <=, (BLOCKS - 1) * BLOCK);
        at = g_rand_int_range(rand, 0, BLOCK);
        g_assert_false(sev_declared_map_is_private(race.map, at));
        g_assert_true(sev_declared_map_is_private(race.map,
                                                  (BLOCKS - 1) * BLOCK + at));
        if (++passes == PASSES) {
            qatomic_dec(&race.at_work);
        }
    }
    g_rand_free(rand);
    return NULL;
}

static void test_readers(void)
{
    GRand *rand = g_rand_new_with_seed(42);
    GThread *threads[READERS];

    race.map = sev_declared_map_new();
    sev_declared_map_set(race.map, 0, BLOCK, false, NULL);
    race.at_work = READERS;
    for (int i = 0; i < READERS; i++) {
        threads[i] = g_thread_new("reader", reader, GUINT_TO_POINTER(i));
    }
    for (int i = 0; i < ROUNDS || qatomic_read(&race.at_work); i++) {
        uint64_t start = g_rand_int_range(rand, 1, BLOCKS - 1);
        uint64_t end = g_rand_int_range(rand, start + 1, BLOCKS);

        sev_declared_map_set(race.map, start * BLOCK, end * BLOCK,
                             g_rand_boolean(rand), NULL);
    }
    qatomic_set(&race.stop, true);
    for (int i = 0; i < READERS; i++) {
        g_thread_join(threads[i]);
    }
    g_rand_free(rand);
    sev_declared_map_free(race.map);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/declared-map/limits", test_limits);
    g_test_add_func("/sev/declared-map/pairs", test_pairs);
    g_test_add_func("/sev/declared-map/traces", test_traces);
    g_test_add_func("/sev/declared-map/readers", test_readers);
    return g_test_run();
}
