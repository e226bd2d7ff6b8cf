/*
 * The rules of the emulated cache: what is right passes, each broken rule is
 * found, named with its page, and ends the process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "target/i386/sev/tcg/cache-int.h"
#include "accel/tcg/tlb-host-range.h"
#include "qemu/error-report.h"

#define PAGES 4

/* --- What stands in for the cache ------------------------------------------ */

static RAMBlock rb = { .idstr = "ram", .used_length = PAGES * TARGET_PAGE_SIZE };
static uint8_t state[PAGES], age[PAGES];
static uint8_t dram[PAGES * TARGET_PAGE_SIZE] QEMU_ALIGNED(4096);
static uint8_t plain[PAGES * TARGET_PAGE_SIZE] QEMU_ALIGNED(4096);
static uintptr_t entries[PAGES];
static size_t n_entries, n_compared;

static SevCacheBlock cache = { .dram = dram, .plain = plain, .age = age };
static SevPageMap map = {
    .rb = &rb, .npages = PAGES, .state = state, .cache = &cache,
};

void sev_page_map_foreach(SevPageMapFn fn)
{
    fn(&map);
}

void tlb_foreach_host_page(void (*fn)(uintptr_t host))
{
    for (size_t i = 0; i < n_entries; i++) {
        fn(entries[i]);
    }
}

bool sev_cache_is_newer(SevCacheBlock *b, size_t page)
{
    return false;
}

bool sev_cache_differs_from_dram(SevCacheBlock *b, size_t page)
{
    n_compared++;
    return false;
}

/* --- Tests ------------------------------------------------------------------ */

enum { IN_PLAIN = 1, IN_DRAM = 2 };

static void set(size_t page, uint8_t bits, uint8_t years, int in_tlb)
{
    state[page] = bits;
    age[page] = years;
    if (in_tlb) {
        entries[n_entries++] = (uintptr_t)(in_tlb == IN_PLAIN ? plain : dram) +
                               page * TARGET_PAGE_SIZE;
    }
}

static void test_right(void)
{
    cache.map = &map;
    set(0, 0, 0, 0);
    set(1, SEV_PAGE_PRIVATE | SEV_PAGE_CACHED, 1, IN_PLAIN);
    set(2, SEV_PAGE_MAPPED, 0, IN_DRAM);
    set(3, SEV_PAGE_PRIVATE | SEV_PAGE_CACHED | SEV_PAGE_UNSETTLED, 3, 0);
    entries[n_entries++] = (uintptr_t)&rb;          /* not ours */
    sev_cache_check();
    g_assert_cmpint(n_compared, ==, 1);             /* the settled one */
}

typedef struct Broken {
    const char *name;
    uint8_t bits, age;
    int in_tlb;
    const char *says;
} Broken;

static const Broken broken[] = {
    { "both", SEV_PAGE_PRIVATE | SEV_PAGE_CACHED | SEV_PAGE_MAPPED, 1, 0,
      "both CACHED and MAPPED" },
    { "shared", SEV_PAGE_CACHED, 1, 0, "CACHED, not PRIVATE" },
    { "unsettled", SEV_PAGE_PRIVATE | SEV_PAGE_UNSETTLED, 0, 0,
      "UNSETTLED, SYNCING or FLUSHED, not CACHED" },
    { "syncing", SEV_PAGE_PRIVATE | SEV_PAGE_SYNCING, 0, 0,
      "UNSETTLED, SYNCING or FLUSHED, not CACHED" },
    { "flushed", SEV_PAGE_PRIVATE | SEV_PAGE_FLUSHED, 0, 0,
      "UNSETTLED, SYNCING or FLUSHED, not CACHED" },
    { "no-age", SEV_PAGE_PRIVATE | SEV_PAGE_CACHED, 0, 0,
      "not known to have plaintext" },
    { "plain-in-tlb", SEV_PAGE_PRIVATE, 0, IN_PLAIN,
      "its plaintext is in a TLB, not CACHED" },
    { "dram-in-tlb", SEV_PAGE_PRIVATE | SEV_PAGE_CACHED, 1, IN_DRAM,
      "its DRAM is in a TLB, not MAPPED" },
};

static void test_broken(const void *opaque)
{
    const Broken *row = opaque;
    g_autofree char *says = g_strdup_printf("*block 'ram' page 0x2 state 0x%02x:"
                                            "*%s*", row->bits, row->says);

    if (g_test_subprocess()) {
        cache.map = &map;
        set(2, row->bits, row->age, row->in_tlb);
        sev_cache_check();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(says);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/cache-check/right", test_right);
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
        g_autofree char *path = g_strdup_printf("/sev/cache-check/broken/%s",
                                                broken[i].name);

        g_test_add_data_func(path, &broken[i], test_broken);
    }
    return g_test_run();
}
