/*
 * Addresses of guest memory: what lies in it is found, and no byte outside.
 *
 * Two blocks of four pages, each in the middle of a larger allocation, so that
 * a wrong address lands in bytes that are looked at afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "target/i386/sev/guest-page.h"
#include "target/i386/sev/declared-pages.h"
#include "target/i386/sev/tcg/cache.h"
#include "target/i386/sev/tcg/sealed.h"
#include "hw/psp/psp-memory.h"
#include "dirty-log.h"

#define PAGE TARGET_PAGE_SIZE
#define PAGES 4
#define FAR (64 * PAGE)         /* where the second block begins */

static uint8_t memory[2][(PAGES + 2) * TARGET_PAGE_SIZE];
static RAMBlock blocks[3];      /* 2: no memory of the guest */
static SevPageMap maps[2];

/* --- What stands in for the rest of QEMU --------------------------------- */

RAMBlock *qemu_ram_block_from_host(void *ptr, bool round, ram_addr_t *offset)
{
    for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++) {
        uintptr_t at = (uintptr_t)ptr - (uintptr_t)blocks[i].host;

        if (blocks[i].host && at < blocks[i].max_length) {
            *offset = at;
            return &blocks[i];
        }
    }
    return NULL;
}

SevPageMap *sev_page_map(const RAMBlock *rb)
{
    return rb == &blocks[0] ? &maps[0] : rb == &blocks[1] ? &maps[1] : NULL;
}

SevPageMap *sev_page_map_at(ram_addr_t paddr)
{
    for (int i = 0; i < 2; i++) {
        if (paddr - blocks[i].offset < blocks[i].used_length) {
            return &maps[i];
        }
    }
    return NULL;
}

static bool mac_fails;
static ram_addr_t settled_at;
static size_t settled;

bool sev_sealed_settle_range(SevPageMap *map, ram_addr_t offset, size_t length)
{
    settled_at = map->rb->offset + offset;
    settled = length;
    return !mac_fails;
}

static ram_addr_t private_at, private_length, declared_at, declared_length;
static unsigned n_private;

void sev_page_set_private(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                          bool is_private)
{
    g_assert_true(is_private);
    private_at = rb->offset + offset;
    private_length = length;
    n_private++;
}

void sev_declared_set(ram_addr_t paddr, ram_addr_t length, bool is_private)
{
    g_assert_true(is_private);
    declared_at = paddr;
    declared_length = length;
}

PspMemKey *psp_mem_key_get(PspPlatform *psp, uint32_t asid)
{
    g_assert_not_reached();
}

void psp_mem_key_unref(PspMemKey *key)
{
    g_assert_not_reached();
}

void sev_cache_set_key(PspMemKey *key)
{
    g_assert_not_reached();
}

static void setup(void)
{
    for (int i = 0; i < 3; i++) {
        blocks[i] = (RAMBlock) {
            .offset = i * FAR,
            .used_length = PAGES * PAGE, .max_length = (PAGES + 1) * PAGE,
            .host = i < 2 ? memory[i] + PAGE : g_malloc0((PAGES + 1) * PAGE),
        };
    }
    for (int i = 0; i < 2; i++) {
        maps[i].rb = &blocks[i];
    }
}

/* --- Tests --------------------------------------------------------------- */

static void test_bytes(void)
{
    static const struct {
        ram_addr_t offset;
        bool good;
    } rows[] = {
        { 0, true },
        { (PAGES - 1) * PAGE, true },
        { 1, false },
        { PAGE - 1, false },
        { PAGES * PAGE, false },        /* memory, but not used yet */
        { (PAGES + 1) * PAGE, false },
        { -(ram_addr_t)PAGE, false },
        { 1ull << 63, false },
    };
    RAMBlock none = { .used_length = PAGE };
    RAMBlock odd = blocks[0];

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        SevPage page = { &blocks[1], rows[i].offset };
        uint8_t *bytes = sev_page_bytes(&page);

        g_assert_true(bytes == (rows[i].good ? memory[1] + PAGE + rows[i].offset
                                             : NULL));
    }
    g_assert_null(sev_page_bytes(&(SevPage) { &none, 0 }));
    odd.used_length = 2 * PAGE + 100;
    g_assert_nonnull(sev_page_bytes(&(SevPage) { &odd, PAGE }));
    g_assert_null(sev_page_bytes(&(SevPage) { &odd, 2 * PAGE }));
}

/* A range, by where it begins in the block, and whether it is guest memory. */
static const struct {
    uint64_t offset;
    size_t len;
    bool good;
} ranges[] = {
    { 0, 1, true },
    { 0, PAGES * PAGE, true },
    { 100, PAGES * PAGE - 100, true },
    { PAGES * PAGE - 1, 1, true },
    { 0, PAGES * PAGE + 1, false },
    { 1, PAGES * PAGE, false },
    { PAGES * PAGE - 1, 2, false },
    { PAGES * PAGE, 1, false },
    { PAGES * PAGE + 1, 1, false },
    { 16, SIZE_MAX, false },
    { 16, SIZE_MAX - 15, false },       /* its end is 0 */
};

static void test_paddr(void)
{
    for (int block = 0; block < 2; block++) {
        for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
            uint64_t paddr = 0xdead;
            bool good = sev_guest_paddr(
                (uintptr_t)blocks[block].host + ranges[i].offset,
                ranges[i].len, &paddr);

            g_assert_cmpint(good, ==, ranges[i].good);
            g_assert_cmphex(paddr, ==, good ? blocks[block].offset +
                                              ranges[i].offset : 0xdead);
        }
    }
}

/* A pointer that QEMU has, and the guest has not. */
static void test_paddr_foreign(void)
{
    uint64_t paddr;
    int local;

    g_assert_false(sev_guest_paddr((uintptr_t)blocks[2].host, 1, &paddr));
    g_assert_false(sev_guest_paddr((uintptr_t)&local, 1, &paddr));
    g_assert_false(sev_guest_paddr(0, 1, &paddr));
    g_assert_false(sev_guest_paddr(UINT64_MAX, 1, &paddr));
}

static void test_map(void)
{
    for (int block = 0; block < 2; block++) {
        for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
            uint64_t paddr = blocks[block].offset + ranges[i].offset;
            uint8_t *bytes;

            settled = 0;
            bytes = sev_guest_page_map(paddr, ranges[i].len);
            if (!ranges[i].good) {
                g_assert_null(bytes);
                g_assert_cmpuint(settled, ==, 0);
                continue;
            }
            g_assert_true(bytes == blocks[block].host + ranges[i].offset);
            /* What the chip reads is as silicon would have it. */
            g_assert_cmphex(settled_at, ==, paddr);
            g_assert_cmpuint(settled, ==, ranges[i].len);
        }
    }
    g_assert_null(sev_guest_page_map(2 * FAR, 1));
    g_assert_null(sev_guest_page_map(UINT64_MAX, 1));
}

/* A packet that fails its MAC is nobody's memory. */
static void test_map_fails(void)
{
    mac_fails = true;
    g_assert_null(sev_guest_page_map(FAR, PAGE));
    mac_fails = false;
    g_assert_nonnull(sev_guest_page_map(FAR, PAGE));
}

/* In every log but that of code, which the cache keeps itself. */
static void test_written(void)
{
    dirty_log_clear();
    sev_guest_page_written(FAR + PAGE - 1, 2);
    g_assert_cmpuint(count_dirty(DIRTY_MEMORY_MIGRATION), ==, 2);
    g_assert_true(is_dirty(DIRTY_MEMORY_MIGRATION, FAR));
    g_assert_true(is_dirty(DIRTY_MEMORY_MIGRATION, FAR + PAGE));
    g_assert_cmpuint(count_dirty(DIRTY_MEMORY_VGA), ==, 2);
    g_assert_cmpuint(count_dirty(DIRTY_MEMORY_CODE), ==, 0);
}

static void test_private(void)
{
    sev_guest_page_mark_private(FAR + 100, 200);
    g_assert_cmpuint(n_private, ==, 1);
    g_assert_cmphex(private_at, ==, FAR + 100);
    g_assert_cmphex(private_length, ==, 200);
    /* What the guest declared and what is known agree from then on. */
    g_assert_cmphex(declared_at, ==, FAR + 100);
    g_assert_cmphex(declared_length, ==, 200);

    sev_guest_page_mark_private(FAR, 0);
    sev_guest_page_mark_private(2 * FAR, PAGE);
    g_assert_cmpuint(n_private, ==, 1);
}

int main(int argc, char **argv)
{
    dirty_log_init();
    setup();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/guest-page/bytes", test_bytes);
    g_test_add_func("/sev/guest-page/paddr", test_paddr);
    g_test_add_func("/sev/guest-page/paddr-foreign", test_paddr_foreign);
    g_test_add_func("/sev/guest-page/map", test_map);
    g_test_add_func("/sev/guest-page/map-fails", test_map_fails);
    g_test_add_func("/sev/guest-page/written", test_written);
    g_test_add_func("/sev/guest-page/private", test_private);
    return g_test_run();
}
