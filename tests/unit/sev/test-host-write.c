/*
 * The emulated cache and devices that write behind it: what the guest flushed and
 * a device wrote since stays as the device wrote it, also when a dirty-log sync of a
 * migration begins before and ends after.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/ram_addr.h"
#include "hw/psp/psp-memory.h"
#include "system/confidential-guest-write.h"
#include "system/replay.h"
#include "target/i386/sev/tcg/cache-int.h"
#include "target/i386/sev/tcg/host-write.h"
#include "accel/tcg/tlb-host-range.h"

#define PAGES 4
#define PAGE  2
#define KEY   0x55
#define OLD   0x11
#define NEW   0x22
#define BY_DEVICE 0x33
#define LATE  0x44

/* --- What stands in for the rest of QEMU ------------------------------------ */

static uint8_t state[PAGES], age[PAGES];
static uint8_t dram[PAGES * TARGET_PAGE_SIZE] QEMU_ALIGNED(4096);
static uint8_t plain[PAGES * TARGET_PAGE_SIZE] QEMU_ALIGNED(4096);
static unsigned long dirty[DIRTY_MEMORY_NUM][2];
static size_t n_code;
static bool template_is_whole = true;
static MemoryListener *listener;

static RAMBlock rb = { .idstr = "ram", .used_length = PAGES * TARGET_PAGE_SIZE,
                       .max_length = PAGES * TARGET_PAGE_SIZE };
static MemoryRegion mr = { .ram_block = &rb };
static SevCacheBlock cache = { .dram = dram, .plain = plain, .age = age,
                               /* the second word of the dirty bitmaps */
                               .shadow_addr = BITS_PER_LONG * TARGET_PAGE_SIZE };
static SevPageMap map = {
    .rb = &rb, .npages = PAGES, .state = state, .cache = &cache,
};

ConfidentialGuestWrite *confidential_guest_write;
QemuMutex sev_cache_lock;
PspMemKey *sev_cache_vek;
CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
__thread CPUState *current_cpu;
ReplayMode replay_mode;
RAMList ram_list;

SevPageMap *sev_page_map(const RAMBlock *block)
{
    return block == &rb ? &map : NULL;
}

void sev_page_map_foreach(SevPageMapFn fn)
{
    fn(&map);
}

void sev_sealed_replaced(SevPageMap *m, size_t page)
{
    m->state[page] &= ~SEV_PAGE_SEALED;
}

/* As in tcg/sealed.c, of a page that a device wrote to. */
bool sev_sealed_settle(SevPageMap *m, size_t page)
{
    if (template_is_whole) {
        m->state[page] &= ~SEV_PAGE_SEALED;
    }
    return template_is_whole;
}

static void cipher(const uint8_t *from, uint8_t *to, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        to[i] = from[i] ^ KEY;
    }
}

void psp_mem_encrypt(PspMemKey *key, uint64_t paddr, const void *from, void *to,
                     size_t len)
{
    cipher(from, to, len);
}

void psp_mem_decrypt(PspMemKey *key, uint64_t paddr, const void *from, void *to,
                     size_t len)
{
    cipher(from, to, len);
}

/* As in tcg/cache.c. */
bool sev_cache_share_locked(SevPageMap *m, size_t page, uint8_t bits)
{
    bool cached = m->state[page] & SEV_PAGE_CACHED;

    if (cached) {
        sev_cache_flush_evicted(m->cache, page, m->state[page] & SEV_PAGE_SYNCING);
    }
    m->state[page] = bits;
    return cached;
}

/* A vCPU is behind the look at its TLB, whose entry had no trap, and not yet done. */
static bool store_under_way, traps_are_set;
static CPUState vcpu;

void tlb_reset_dirty_range_all(ram_addr_t start, ram_addr_t length)
{
    traps_are_set = true;
}

/* Nobody is told of it: the entry had no trap. */
void run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    g_assert_true(cpu == &vcpu);
    g_assert_true(traps_are_set);
    if (store_under_way) {
        memset(plain + PAGE * TARGET_PAGE_SIZE, LATE, TARGET_PAGE_SIZE);
        store_under_way = false;
    }
    func(cpu, data);
}

void sev_cache_forget_code(SevCacheBlock *b, size_t page, size_t n)
{
    n_code++;
}

void memory_listener_register(MemoryListener *l, AddressSpace *as)
{
    listener = l;
}

AddressSpace address_space_memory;

/* Only the shadow's bits are asked for: one word. */
#define SHADOW_WORD dirty[DIRTY_MEMORY_VGA][1]

bool cpu_physical_memory_test_and_clear_dirty(ram_addr_t start,
                                              ram_addr_t length, unsigned client)
{
    unsigned long bit = BIT((start >> TARGET_PAGE_BITS) % BITS_PER_LONG);
    bool was = SHADOW_WORD & bit;

    SHADOW_WORD &= ~bit;
    return was;
}

DirtyBitmapSnapshot *
cpu_physical_memory_snapshot_and_clear_dirty(MemoryRegion *shadow, hwaddr offset,
                                             hwaddr length, unsigned client)
{
    unsigned long *snap = g_memdup2(&SHADOW_WORD, sizeof(SHADOW_WORD));

    SHADOW_WORD = 0;
    return (DirtyBitmapSnapshot *)snap;
}

bool cpu_physical_memory_snapshot_get_dirty(DirtyBitmapSnapshot *snap,
                                            ram_addr_t start, ram_addr_t length)
{
    return *(unsigned long *)snap & BIT((start >> TARGET_PAGE_BITS) % BITS_PER_LONG);
}

/* --- Who does what ------------------------------------------------------------ */

static uint8_t *page_of(uint8_t *memory)
{
    return memory + PAGE * TARGET_PAGE_SIZE;
}

/* PAGE is what @bits say; DRAM has OLD under the key, the cache has NEW. */
static void begin(uint8_t bits)
{
    memset(state, 0, sizeof(state));
    memset(dirty, 0, sizeof(dirty));
    state[PAGE] = bits;
    memset(page_of(plain), OLD, TARGET_PAGE_SIZE);
    cipher(page_of(plain), page_of(dram), TARGET_PAGE_SIZE);
    n_code = 0;
}

static void guest_stores(void)
{
    memset(page_of(plain), NEW, TARGET_PAGE_SIZE);
    SHADOW_WORD |= BIT(PAGE);
}

static void guest_flushes(void)
{
    sev_cache_writeback(&map, PAGE);
}

static void guest_flushes_all(void)
{
    sev_cache_writeback_all();
}

static void device_writes(void)
{
    memset(page_of(dram), BY_DEVICE, TARGET_PAGE_SIZE);
    confidential_guest_write(&mr, PAGE * TARGET_PAGE_SIZE, TARGET_PAGE_SIZE);
}

static void sync_begins(void)
{
    MemoryRegionSection section = {
        .mr = &mr, .size = int128_make64(sizeof(dram)),
    };

    listener->log_sync(listener, &section);
}

static void sync_ends(void)
{
    listener->log_global_after_sync(listener);
}

static void must_be_by_device(void)
{
    g_assert_cmphex(state[PAGE] & ~SEV_PAGE_MAPPED, ==, 0);
    g_assert_cmphex(page_of(dram)[0], ==, BY_DEVICE);
    g_assert_cmphex(page_of(dram)[TARGET_PAGE_SIZE - 1], ==, BY_DEVICE);
}

/* --- Tests ------------------------------------------------------------------ */

#define IN_CACHE (SEV_PAGE_PRIVATE | SEV_PAGE_CACHED)

static void test_flushed(void)
{
    begin(IN_CACHE);
    guest_stores();
    guest_flushes();
    g_assert_cmphex(page_of(dram)[0], ==, NEW ^ KEY);
    device_writes();
    must_be_by_device();
    g_assert_cmpuint(n_code, ==, 1);
}

static void test_not_cached(void)
{
    begin(SEV_PAGE_PRIVATE);
    device_writes();
    must_be_by_device();
    g_assert_cmpuint(n_code, ==, 0);
}

/* A clone's firmware after a reset: the packet that lay there is gone. */
static void test_sealed(void)
{
    begin(SEV_PAGE_PRIVATE | SEV_PAGE_SEALED);
    device_writes();
    must_be_by_device();

    template_is_whole = false;
    begin(SEV_PAGE_PRIVATE | SEV_PAGE_SEALED);
    device_writes();
    g_assert_cmphex(state[PAGE], ==, SEV_PAGE_PRIVATE | SEV_PAGE_SEALED);
    template_is_whole = true;
}

/* Another vCPU may have stored while the page was flushed: that was before. */
static void test_unsettled(void)
{
    begin(IN_CACHE | SEV_PAGE_UNSETTLED | SEV_PAGE_FLUSHED);
    device_writes();
    sync_begins();
    sync_ends();
    must_be_by_device();
}

/* What a stop, a sync or silicon writes back later is the guest's store. */
static void test_newer(void)
{
    begin(IN_CACHE);
    guest_stores();
    device_writes();
    g_assert_cmphex(state[PAGE], ==, IN_CACHE);
    guest_flushes();
    g_assert_cmphex(page_of(dram)[0], ==, NEW ^ KEY);
}

/* The guest reads its own copy until that leaves the cache. */
static void test_not_flushed(void)
{
    begin(IN_CACHE);
    device_writes();
    g_assert_cmphex(state[PAGE], ==, IN_CACHE);
    g_assert_cmphex(page_of(plain)[0], ==, OLD);
}

static void sync_around(void (*flush)(void))
{
    begin(IN_CACHE);
    guest_stores();
    sync_begins();
    g_assert_cmphex(state[PAGE], ==, IN_CACHE | SEV_PAGE_SYNCING);
    flush();
    device_writes();
    sync_ends();
    must_be_by_device();
}

static void test_sync(void)
{
    sync_around(guest_flushes);
    sync_around(guest_flushes_all);
}

/* Without a flush the end of the sync still writes what it found. */
static void test_sync_alone(void)
{
    begin(IN_CACHE);
    guest_stores();
    sync_begins();
    sync_ends();
    g_assert_cmphex(state[PAGE], ==, IN_CACHE);
    g_assert_cmphex(page_of(dram)[0], ==, NEW ^ KEY);
}

/* The trap was lifted just after the sync had set it, and the vCPU stored once more. */
static void test_sync_past_trap(void)
{
    QTAILQ_INSERT_TAIL(&cpus_queue, &vcpu, node);
    begin(IN_CACHE);
    guest_stores();
    sync_begins();
    traps_are_set = false;
    store_under_way = true;
    sync_ends();
    g_assert_cmphex(state[PAGE], ==, IN_CACHE);
    g_assert_cmphex(page_of(dram)[0], ==, LATE ^ KEY);
    QTAILQ_REMOVE(&cpus_queue, &vcpu, node);
}

/* It cannot be waited for: what it may have stored is looked for later. */
static void test_sync_unplug(void)
{
    QTAILQ_INSERT_TAIL(&cpus_queue, &vcpu, node);
    vcpu.unplug = true;
    begin(IN_CACHE);
    guest_stores();
    sync_begins();
    sync_ends();
    g_assert_cmphex(state[PAGE], ==, IN_CACHE | SEV_PAGE_UNSETTLED);
    vcpu.unplug = false;
    QTAILQ_REMOVE(&cpus_queue, &vcpu, node);
}

static void test_left_alone(void)
{
    static const uint8_t bits[] = {
        0, SEV_PAGE_MAPPED, IN_CACHE | SEV_PAGE_SEALED,
    };

    for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
        begin(bits[i]);
        device_writes();
        g_assert_cmphex(state[PAGE], ==, bits[i]);
    }
    begin(SEV_PAGE_PRIVATE);
    sev_host_write_ignore(true);        /* a vCPU enters SMM */
    device_writes();
    g_assert_cmphex(state[PAGE], ==, SEV_PAGE_PRIVATE);
    sev_host_write_ignore(false);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < DIRTY_MEMORY_NUM; i++) {
        DirtyMemoryBlocks *blocks = g_malloc0(sizeof(*blocks) + sizeof(void *));

        blocks->blocks[0] = dirty[i];
        ram_list.dirty_memory[i] = blocks;
    }
    cache.map = &map;
    OBJECT(&vcpu)->ref = 1;
    qemu_mutex_init(&sev_cache_lock);
    sev_cache_listen();
    sev_host_write_watch();

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/host-write/flushed", test_flushed);
    g_test_add_func("/sev/host-write/not-cached", test_not_cached);
    g_test_add_func("/sev/host-write/sealed", test_sealed);
    g_test_add_func("/sev/host-write/unsettled", test_unsettled);
    g_test_add_func("/sev/host-write/newer", test_newer);
    g_test_add_func("/sev/host-write/not-flushed", test_not_flushed);
    g_test_add_func("/sev/host-write/sync", test_sync);
    g_test_add_func("/sev/host-write/sync-alone", test_sync_alone);
    g_test_add_func("/sev/host-write/sync-past-trap", test_sync_past_trap);
    g_test_add_func("/sev/host-write/sync-unplug", test_sync_unplug);
    g_test_add_func("/sev/host-write/left-alone", test_left_alone);
    return g_test_run();
}
