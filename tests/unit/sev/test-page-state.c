/*
 * Which pages are private: blocks that come and go, every change of side in the
 * dirty log and nothing else there, and runs as a model of bits has them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "target/i386/sev/page-state.h"
#include "target/i386/sev/declared-pages.h"
#include "target/i386/sev/kvm-guest.h"
#include "dirty-log.h"

#define PAGE TARGET_PAGE_SIZE
#define BLOCKS 80               /* more than the table has room for at first */
#define PAGES 200               /* of a block; the last 50 are not used yet */
#define USED 150
#define STRIDE (256 * PAGE)     /* so that there are gaps between blocks */

/* --- What stands in for the rest of QEMU --------------------------------- */

static RAMBlock blocks[BLOCKS];
static MemoryRegion regions[BLOCKS];
static uint8_t memory[BLOCKS];  /* addresses only, but for block 0 */
static RAMBlockNotifier *notifier;

void ram_block_notifier_add(RAMBlockNotifier *n)
{
    notifier = n;
}

RAMBlock *qemu_ram_block_from_host(void *ptr, bool round, ram_addr_t *offset)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].host == ptr) {
            *offset = 0;
            return &blocks[i];
        }
    }
    return NULL;
}

const char *memory_region_name(const MemoryRegion *mr)
{
    return mr->name;
}

bool sev_declared_rules;
static bool coherent;
static unsigned declared_sets, declared_walks;

bool sev_kvm_coherent(void)
{
    return coherent;
}

void sev_declared_set(ram_addr_t paddr, ram_addr_t length, bool is_private)
{
    g_assert_cmphex(paddr, ==, blocks[1].offset + 3 * PAGE);
    g_assert_cmphex(length, ==, 2 * PAGE);
    g_assert_true(is_private);
    declared_sets++;
}

bool sev_declared_is_private(RAMBlock *rb, ram_addr_t offset)
{
    return rb == &blocks[1] && offset == 7 * PAGE;
}

bool sev_declared_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    declared_walks++;
    return false;
}

/* --- Blocks -------------------------------------------------------------- */

static void add(size_t i)
{
    RAMBlock *rb = &blocks[i];

    memset(rb, 0, sizeof(*rb));
    memset(&regions[i], 0, sizeof(regions[i]));
    regions[i].name = "ram";
    rb->mr = &regions[i];
    rb->host = &memory[i];
    rb->offset = i * STRIDE;
    rb->used_length = USED * PAGE;
    rb->max_length = PAGES * PAGE;
    notifier->ram_block_added(notifier, rb->host, rb->used_length,
                              rb->max_length);
}

static void del(size_t i)
{
    notifier->ram_block_removed(notifier, blocks[i].host, 0, 0);
    blocks[i].host = NULL;
}

static SevPageMap *map_of(size_t i)
{
    return sev_page_map(&blocks[i]);
}

static unsigned n_added;

static void count_added(SevPageMap *map)
{
    g_assert_true(sev_page_map(map->rb) == map);
    n_added++;
}

/* Each test begins without blocks; maps of those that are gone stay. */
static void begin(SevPageMapFn added, SevPageMapFn removed)
{
    sev_page_state_init(added, removed);
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].host && map_of(i)) {
            qatomic_set(&map_of(i)->rb, NULL);
        }
        blocks[i].host = NULL;
    }
    n_added = 0;
    sev_declared_rules = false;
    dirty_log_clear();
}

static void test_blocks(void)
{
    begin(count_added, NULL);
    for (size_t i = 0; i < BLOCKS; i++) {
        g_assert_null(map_of(i));
        add(i);
    }
    g_assert_cmpuint(n_added, ==, BLOCKS);
    for (size_t i = 0; i < BLOCKS; i++) {
        ram_addr_t first = blocks[i].offset, end = first + USED * PAGE;

        g_assert_true(map_of(i)->rb == &blocks[i]);
        g_assert_cmpuint(map_of(i)->npages, ==, PAGES);
        g_assert_true(sev_page_map_at(first) == map_of(i));
        g_assert_true(sev_page_map_at(end - 1) == map_of(i));
        g_assert_null(sev_page_map_at(end));    /* not used yet: no memory */
    }
    g_assert_null(sev_page_map_at(BLOCKS * STRIDE));
    g_assert_null(sev_page_map_at(-(ram_addr_t)1));
    /* Said again, it is the same. */
    notifier->ram_block_added(notifier, blocks[3].host, 0, 0);
    g_assert_cmpuint(n_added, ==, BLOCKS);
}

static unsigned n_seen;

static void count_seen(SevPageMap *map)
{
    g_assert_nonnull(map->rb);
    n_seen++;
}

/* A block at the address of one that is gone begins as nobody's. */
static void test_replaced(void)
{
    SevPageMap *old;

    begin(NULL, NULL);
    add(0);
    add(1);
    old = map_of(0);
    sev_page_set_private(&blocks[0], 0, USED * PAGE, true);
    del(0);
    g_assert_null(map_of(0));
    g_assert_null(sev_page_map_at(0));
    n_seen = 0;
    sev_page_map_foreach(count_seen);
    g_assert_cmpuint(n_seen, ==, 1);
    add(0);
    g_assert_nonnull(map_of(0));
    g_assert_true(map_of(0) != old);
    g_assert_false(sev_page_is_private(&blocks[0], 0));
    sev_page_map_foreach(count_seen);
    g_assert_cmpuint(n_seen, ==, 1 + 2);
}

static SevPageMap *told;

static void tell(SevPageMap *map)
{
    told = map;
}

/* Who asks to be told before a block goes ends its map himself. */
static void test_removed(void)
{
    begin(NULL, tell);
    add(0);
    del(0);
    g_assert_nonnull(told);
    g_assert_true(told->rb == &blocks[0]);
    told->rb = NULL;
    g_assert_null(map_of(0));
}

/* The cache itself, and what is less than a page. */
static void test_not_followed(void)
{
    begin(NULL, NULL);
    add(0);
    del(0);
    blocks[0].host = &memory[0];
    regions[0].name = SEV_SHADOW_PREFIX "-pc.ram";
    notifier->ram_block_added(notifier, &memory[0], 0, 0);
    g_assert_null(map_of(0));
    regions[0].name = "ram";
    blocks[0].max_length = PAGE - 1;
    notifier->ram_block_added(notifier, &memory[0], 0, 0);
    g_assert_null(map_of(0));
    blocks[0].max_length = PAGE;
    notifier->ram_block_added(notifier, &memory[0], 0, 0);
    g_assert_nonnull(map_of(0));
    notifier->ram_block_added(notifier, &memory[5], 0, 0);     /* nobody's */
}

/* --- Pages --------------------------------------------------------------- */

/* A change of side is in migration's log, and nothing else is in any. */
static void test_sides(void)
{
    const ram_addr_t page = 9;
    static const struct {
        uint8_t from, to;
        bool dirty;
    } rows[] = {
        { 0, SEV_PAGE_PRIVATE, true },
        { SEV_PAGE_PRIVATE, SEV_PAGE_PRIVATE | SEV_PAGE_CACHED, false },
        { SEV_PAGE_PRIVATE | SEV_PAGE_CACHED, SEV_PAGE_PRIVATE, false },
        { SEV_PAGE_PRIVATE | SEV_PAGE_SEALED, 0, true },
        { 0, SEV_PAGE_MAPPED, false },
        { SEV_PAGE_MAPPED, SEV_PAGE_PRIVATE | SEV_PAGE_CACHED, true },
        { SEV_PAGE_PRIVATE | SEV_PAGE_CACHED, SEV_PAGE_MAPPED, true },
    };
    SevPageMap *map;

    begin(NULL, NULL);
    add(2);
    map = map_of(2);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        map->state[page] = rows[i].from;
        dirty_log_clear();
        sev_page_state_set(map, page, rows[i].to);
        g_assert_cmphex(sev_page_state(map, page), ==, rows[i].to);
        g_assert_cmpuint(count_dirty(DIRTY_MEMORY_MIGRATION), ==,
                         rows[i].dirty);
        g_assert_cmpint(is_dirty(DIRTY_MEMORY_MIGRATION,
                                 blocks[2].offset + page * PAGE), ==,
                        rows[i].dirty);
        g_assert_cmpuint(count_dirty(DIRTY_MEMORY_VGA), ==, 0);
        g_assert_cmpuint(count_dirty(DIRTY_MEMORY_CODE), ==, 0);
    }
}

/* Part of a page is a page; what lies behind the block is nothing. */
static void test_range(void)
{
    SevPageMap *map;

    begin(NULL, NULL);
    add(1);
    map = map_of(1);
    map->state[4] = SEV_PAGE_MAPPED;
    sev_page_set_private(&blocks[1], 3 * PAGE + 100, PAGE, true);
    for (size_t page = 0; page < PAGES; page++) {
        g_assert_cmphex(map->state[page], ==,
                        page == 3 ? SEV_PAGE_PRIVATE :
                        page == 4 ? SEV_PAGE_PRIVATE | SEV_PAGE_MAPPED : 0);
    }
    sev_page_set_private(&blocks[1], 4 * PAGE, 1, false);
    g_assert_cmphex(map->state[4], ==, SEV_PAGE_MAPPED);
    g_assert_cmphex(map->state[3], ==, SEV_PAGE_PRIVATE);
    sev_page_set_private(&blocks[1], (PAGES - 1) * PAGE, 5 * PAGE, true);
    g_assert_cmphex(map->state[PAGES - 1], ==, SEV_PAGE_PRIVATE);
    for (size_t page = PAGES; page < PAGES + 4; page++) {
        g_assert_false(is_dirty(DIRTY_MEMORY_MIGRATION,
                                blocks[1].offset + page * PAGE));
    }
    sev_page_set_private(&blocks[0], 0, PAGE, true);    /* nobody follows it */
    g_assert_false(sev_page_is_private(&blocks[0], 0));
}

/* Where a guest cannot write, looking through the C-bit changes nothing. */
static void test_read_only(void)
{
    for (int rom = 0; rom < 2; rom++) {
        begin(NULL, NULL);
        add(0);
        regions[0].readonly = !rom;
        regions[0].rom_device = rom;
        sev_page_state_set(map_of(0), 0, SEV_PAGE_PRIVATE);
        g_assert_false(sev_page_is_private(&blocks[0], 0));
        sev_page_set_private(&blocks[0], PAGE, PAGE, true);
        g_assert_true(sev_page_is_private(&blocks[0], PAGE));
        sev_page_set_private(&blocks[0], PAGE, PAGE, false);
        g_assert_false(sev_page_is_private(&blocks[0], PAGE));
    }
}

/* --- Runs ---------------------------------------------------------------- */

typedef struct Runs {
    bool page[PAGES];
    size_t n, stop_at;
    ram_addr_t end;             /* of the last one */
} Runs;

static bool add_run(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                    void *opaque)
{
    Runs *runs = opaque;

    g_assert_true(rb == &blocks[0]);
    g_assert_cmphex(length, >, 0);
    g_assert_cmphex(offset + length, <=, rb->used_length);
    /* In order, and never two where one would do. */
    g_assert_true(!runs->n || offset > runs->end);
    for (ram_addr_t at = offset; at < offset + length; at += PAGE) {
        runs->page[at / PAGE] = true;
    }
    runs->end = offset + length;
    return ++runs->n != runs->stop_at;
}

static void test_runs(void)
{
    begin(NULL, NULL);
    add(0);
    for (int round = 0; round < 200; round++) {
        int chance = g_test_rand_int_range(1, 8);
        Runs runs = {};

        for (size_t page = 0; page < PAGES; page++) {
            bool set = round == 0 ||
                       (round > 1 && !g_test_rand_int_range(0, chance));

            sev_page_state_set(map_of(0), page, SEV_PAGE_MAPPED |
                               (set ? SEV_PAGE_PRIVATE : 0));
        }
        g_assert_true(sev_page_foreach_private(&blocks[0], add_run, &runs));
        for (size_t page = 0; page < USED; page++) {
            g_assert_cmpint(runs.page[page], ==,
                            sev_page_is_private(&blocks[0], page * PAGE));
        }
        g_assert_true(round > 1 || runs.n == (round == 0));
    }
}

static void test_runs_stopped(void)
{
    Runs runs = { .stop_at = 2 };

    begin(NULL, NULL);
    add(0);
    for (size_t page = 0; page < USED; page += 2) {
        sev_page_state_set(map_of(0), page, SEV_PAGE_PRIVATE);
    }
    g_assert_false(sev_page_foreach_private(&blocks[0], add_run, &runs));
    g_assert_cmpuint(runs.n, ==, 2);
}

/* --- Under KVM ----------------------------------------------------------- */

static void test_declared_rules(void)
{
    static uint8_t page[TARGET_PAGE_SIZE];

    begin(NULL, NULL);
    add(1);
    blocks[1].host = page;
    g_assert_false(sev_page_never_written(&blocks[1], 0));
    sev_declared_rules = true;
    g_assert_true(sev_page_is_private(&blocks[1], 7 * PAGE));
    g_assert_false(sev_page_is_private(&blocks[1], 8 * PAGE));
    g_assert_false(sev_page_foreach_private(&blocks[1], NULL, NULL));
    g_assert_cmpuint(declared_walks, ==, 1);
    sev_page_set_private(&blocks[1], 3 * PAGE, 2 * PAGE, true);
    g_assert_cmpuint(declared_sets, ==, 1);

    g_assert_false(sev_page_never_written(&blocks[1], 0));
    coherent = true;
    g_assert_true(sev_page_never_written(&blocks[1], 0));
    page[PAGE - 1] = 1;
    g_assert_false(sev_page_never_written(&blocks[1], 0));
    blocks[1].host = &memory[1];
}

int main(int argc, char **argv)
{
    dirty_log_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/page-state/blocks", test_blocks);
    g_test_add_func("/sev/page-state/replaced", test_replaced);
    g_test_add_func("/sev/page-state/removed", test_removed);
    g_test_add_func("/sev/page-state/not-followed", test_not_followed);
    g_test_add_func("/sev/page-state/sides", test_sides);
    g_test_add_func("/sev/page-state/range", test_range);
    g_test_add_func("/sev/page-state/read-only", test_read_only);
    g_test_add_func("/sev/page-state/runs", test_runs);
    g_test_add_func("/sev/page-state/runs-stopped", test_runs_stopped);
    g_test_add_func("/sev/page-state/declared-rules", test_declared_rules);
    return g_test_run();
}
