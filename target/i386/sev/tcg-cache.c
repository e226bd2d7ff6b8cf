/*
 * The write-back cache between the vCPUs and DRAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tcg-cache.h"
#include "accel/tcg/tlb-host-range.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/ram_addr.h"
#include "exec/tb-flush.h"
#include "hw/psp/psp-memory.h"
#include "qemu/lockable.h"
#include "qemu/madvise.h"
#include "system/runstate.h"
#include "system/system.h"
#include "trace.h"

/*
 * Serialises every change of state and every move between cache and DRAM.
 * Taken by vCPU and migration threads, with or without the BQL; TLB and TB
 * locks nest inside.
 */
static QemuMutex cache_lock;
static MemoryRegion shadow_root;
static PspMemKey *vek;
static Notifier machine_done;
static bool machine_is_done;
static size_t n_syncing;                /* pages with SEV_PAGE_SYNCING */

MemoryRegion *sev_cache_root(void)
{
    return &shadow_root;
}

void sev_cache_set_key(PspMemKey *key)
{
    PspMemKey *old = vek;

    vek = key ? psp_mem_key_ref(key) : NULL;
    if (old) {
        psp_mem_key_unref(old);
    }
}

static ram_addr_t page_offset(size_t page)
{
    return (ram_addr_t)page << TARGET_PAGE_BITS;
}

static void encrypt_page(SevCacheBlock *b, size_t page)
{
    psp_mem_encrypt(vek, b->map->rb->offset + page_offset(page),
                    b->plain + page_offset(page),
                    b->dram + page_offset(page), TARGET_PAGE_SIZE);
}

static void encrypt_to_dram(SevCacheBlock *b, size_t page)
{
    encrypt_page(b, page);
    cpu_physical_memory_set_dirty_range(
        b->map->rb->offset + page_offset(page), TARGET_PAGE_SIZE,
        DIRTY_CLIENTS_NOCODE);
}

/*
 * "The plaintext is newer than DRAM" is the shadow page's bit of the VGA
 * dirty client, which nobody else uses on this block: TCG's own TLB_NOTDIRTY
 * machinery keeps it, for all vCPUs.
 *
 * Stores under way.  A vCPU sets the bit, then stores.  If another one clears
 * the bit in between and encrypts the page at once, the store reaches the
 * cache and nobody knows that DRAM lacks it.  Therefore:
 *  - a dirty-log sync clears the bits first, and encrypts when every vCPU has
 *    ended the translation block it was in (SEV_PAGE_SYNCING);
 *  - a CLFLUSH or WBINVD must be over at once.  If other vCPUs run, the page
 *    stays UNSETTLED: the next stop or sync compares it with DRAM.
 */
static bool is_newer(SevCacheBlock *b, size_t page)
{
    return cpu_physical_memory_get_dirty(b->shadow_addr + page_offset(page),
                                         TARGET_PAGE_SIZE, DIRTY_MEMORY_VGA);
}

static void state_set_bits(SevPageMap *map, size_t page, uint8_t clear,
                           uint8_t set)
{
    qatomic_store_release(&map->state[page],
                          (map->state[page] & ~clear) | set);
}

static bool other_cpus_run(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu != current_cpu && !qatomic_read(&cpu->halted)) {
            return true;
        }
    }
    return false;
}

static bool differs_from_dram(SevCacheBlock *b, size_t page)
{
    uint8_t buf[TARGET_PAGE_SIZE];
    ram_addr_t offset = page_offset(page);

    psp_mem_decrypt(vek, b->map->rb->offset + offset, b->dram + offset, buf,
                    sizeof(buf));
    return memcmp(buf, b->plain + offset, sizeof(buf)) != 0;
}

/* A vCPU writes back one page, to be seen by a device from now on. */
static void writeback_locked(SevCacheBlock *b, size_t page)
{
    bool newer = is_newer(b, page);

    if (newer) {
        cpu_physical_memory_test_and_clear_dirty(
            b->shadow_addr + page_offset(page), TARGET_PAGE_SIZE,
            DIRTY_MEMORY_VGA);
        if (other_cpus_run()) {
            state_set_bits(b->map, page, 0, SEV_PAGE_UNSETTLED);
        }
    }
    if (newer || b->map->state[page] & SEV_PAGE_SYNCING) {
        encrypt_to_dram(b, page);
    }
}

static void evict_locked(SevCacheBlock *b, size_t page)
{
    ram_addr_t addr = b->shadow_addr + page_offset(page);

    tlb_invalidate_host_range_all((uintptr_t)b->plain + page_offset(page),
                                  TARGET_PAGE_SIZE);
    writeback_locked(b, page);
    /* a page that is not cached has no translated code */
    tb_invalidate_phys_range(addr, addr + TARGET_PAGE_SIZE - 1);
}

void sev_cache_fill(SevPageMap *map, size_t page)
{
    SevCacheBlock *b = map->cache;
    ram_addr_t offset = page_offset(page);

    QEMU_LOCK_GUARD(&cache_lock);
    if (map->state[page] & SEV_PAGE_CACHED) {
        return;
    }
    if (map->state[page] & SEV_PAGE_MAPPED) {
        tlb_invalidate_host_range_all((uintptr_t)b->dram + offset,
                                      TARGET_PAGE_SIZE);
    }
    psp_mem_decrypt(vek, map->rb->offset + offset, b->dram + offset,
                    b->plain + offset, TARGET_PAGE_SIZE);
    sev_page_state_set(map, page, SEV_PAGE_CACHED | SEV_PAGE_PRIVATE);
}

static void share_locked(SevPageMap *map, size_t page, uint8_t state)
{
    if (map->state[page] & SEV_PAGE_CACHED) {
        evict_locked(map->cache, page);
    }
    sev_page_state_set(map, page, state);
}

void sev_cache_share(SevPageMap *map, size_t page)
{
    QEMU_LOCK_GUARD(&cache_lock);
    share_locked(map, page, SEV_PAGE_MAPPED);
}

void sev_cache_declare(SevPageMap *map, size_t page, bool is_private)
{
    uint8_t state;

    QEMU_LOCK_GUARD(&cache_lock);
    state = map->state[page];
    if (!is_private) {
        share_locked(map, page, state & SEV_PAGE_MAPPED);
    } else if (state & SEV_PAGE_MAPPED) {
        /* Its content counts as ciphertext now; one never touched is none. */
        sev_page_state_set(map, page, state | SEV_PAGE_PRIVATE);
    }
}

void sev_cache_writeback(SevPageMap *map, size_t page)
{
    if (!(sev_page_state(map, page) & SEV_PAGE_CACHED)) {
        return;
    }
    QEMU_LOCK_GUARD(&cache_lock);
    if (map->state[page] & SEV_PAGE_CACHED) {
        writeback_locked(map->cache, page);
    }
}

/*
 * Take the pages of a range that are newer than DRAM: @fn is called for each,
 * its bit is cleared.  One pass over the TLBs; dirty bitmaps are cleared by
 * the word, so the range is made whole words.
 */
static void take_newer(SevCacheBlock *b, ram_addr_t start, ram_addr_t length,
                       void (*fn)(SevCacheBlock *b, size_t page))
{
    g_autofree DirtyBitmapSnapshot *snap = NULL;
    const size_t word = BITS_PER_LONG;
    size_t first = QEMU_ALIGN_DOWN(start >> TARGET_PAGE_BITS, word);
    size_t end = MIN(QEMU_ALIGN_UP((start + length) >> TARGET_PAGE_BITS, word),
                     b->map->npages);

    start = page_offset(first);
    length = page_offset(end - first);
    if (cpu_physical_memory_get_dirty(b->shadow_addr + start, length,
                                      DIRTY_MEMORY_VGA)) {
        snap = cpu_physical_memory_snapshot_and_clear_dirty(
            &b->shadow, start, length, DIRTY_MEMORY_VGA);
    }
    for (size_t page = first; page < end; page++) {
        uint8_t state = b->map->state[page];

        if (!(state & SEV_PAGE_CACHED)) {
            continue;
        }
        if ((snap && cpu_physical_memory_snapshot_get_dirty(
                         snap, b->shadow_addr + page_offset(page),
                         TARGET_PAGE_SIZE)) ||
            state & SEV_PAGE_SYNCING ||
            (state & SEV_PAGE_UNSETTLED && differs_from_dram(b, page))) {
            fn(b, page);
        }
    }
}

static void wbinvd_page(SevCacheBlock *b, size_t page)
{
    if (other_cpus_run()) {
        state_set_bits(b->map, page, 0, SEV_PAGE_UNSETTLED);
    }
    encrypt_to_dram(b, page);
}

static void wbinvd_block(SevPageMap *map)
{
    if (map->cache) {
        take_newer(map->cache, 0, page_offset(map->npages), wbinvd_page);
    }
}

void sev_cache_writeback_all(void)
{
    QEMU_LOCK_GUARD(&cache_lock);
    sev_page_map_foreach(wbinvd_block);
}

/* Migration and dirty-rate look at DRAM and its dirty bits. */
static void sync_page(SevCacheBlock *b, size_t page)
{
    state_set_bits(b->map, page, SEV_PAGE_UNSETTLED, SEV_PAGE_SYNCING);
    cpu_physical_memory_set_dirty_range(
        b->map->rb->offset + page_offset(page), TARGET_PAGE_SIZE,
        DIRTY_CLIENTS_NOCODE);
    n_syncing++;
}

static void sev_cache_log_sync(MemoryListener *l, MemoryRegionSection *s)
{
    RAMBlock *rb = s->mr->ram_block;
    SevPageMap *map = rb ? sev_page_map(rb) : NULL;

    if (map && map->cache) {
        QEMU_LOCK_GUARD(&cache_lock);
        take_newer(map->cache, s->offset_within_region,
                   int128_get64(s->size), sync_page);
    }
}

static void sync_block(SevPageMap *map)
{
    for (size_t page = 0; map->cache && page < map->npages; page++) {
        if (map->state[page] & SEV_PAGE_SYNCING) {
            state_set_bits(map, page, SEV_PAGE_SYNCING, 0);
            encrypt_page(map->cache, page);
        }
    }
}

/* By now no vCPU is in a translation block that began before the sync. */
static void sev_cache_log_after_sync(MemoryListener *l)
{
    QEMU_LOCK_GUARD(&cache_lock);
    if (n_syncing) {
        sev_page_map_foreach(sync_block);
        trace_sev_cache_log_sync(n_syncing);
        n_syncing = 0;
    }
}

static MemoryListener sev_cache_listener = {
    .name = "sev-cache",
    .priority = MEMORY_LISTENER_PRIORITY_ACCEL,     /* after TCG's own */
    .log_sync = sev_cache_log_sync,
    .log_global_after_sync = sev_cache_log_after_sync,
};

static void drop_block(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;

    if (!b) {
        return;
    }
    take_newer(b, 0, page_offset(map->npages), encrypt_to_dram);
    for (size_t page = 0; page < map->npages; page++) {
        qatomic_store_release(&map->state[page],
                              map->state[page] & SEV_PAGE_PRIVATE);
    }
    qemu_madvise(b->plain, page_offset(map->npages), QEMU_MADV_DONTNEED);
}

/*
 * Nothing is cached while the VM is stopped: loadvm, the secure processor,
 * dumps and debuggers may look at DRAM and change it.
 */
static void sev_cache_vm_state(void *opaque, bool running, RunState state)
{
    CPUState *cpu;

    if (running) {
        return;
    }
    qemu_mutex_lock(&cache_lock);
    sev_page_map_foreach(drop_block);
    qemu_mutex_unlock(&cache_lock);
    CPU_FOREACH(cpu) {
        tlb_flush(cpu);
    }
    if (first_cpu) {
        tb_flush(first_cpu);
    }
    trace_sev_cache_dropped();
}

static void create_shadow(SevPageMap *map)
{
    SevCacheBlock *b;
    g_autofree char *name = NULL;
    RAMBlock *rb = map->rb;

    if (!machine_is_done || map->cache) {
        return;
    }
    b = g_new0(SevCacheBlock, 1);
    name = g_strdup_printf(SEV_SHADOW_PREFIX ".%s", rb->idstr);
    b->map = map;
    memory_region_init_ram_nomigrate(&b->shadow, NULL, name,
                                     page_offset(map->npages), &error_fatal);
    b->dram = rb->host;
    b->plain = memory_region_get_ram_ptr(&b->shadow);
    b->shadow_addr = memory_region_get_ram_addr(&b->shadow);
    /* plaintext never gets into a core file of QEMU */
    qemu_madvise(b->plain, page_offset(map->npages), QEMU_MADV_DONTDUMP);
    if (rb->mr->rom_device || rb->mr->readonly) {
        memory_region_set_readonly(&b->shadow, true);
    }
    memory_region_add_subregion(&shadow_root, rb->offset, &b->shadow);
    cpu_physical_memory_test_and_clear_dirty(b->shadow_addr,
                                             page_offset(map->npages),
                                             DIRTY_MEMORY_VGA);
    trace_sev_cache_shadow(rb->idstr, page_offset(map->npages));
    qatomic_store_release(&map->cache, b);
}

static void sev_cache_machine_done(Notifier *n, void *unused)
{
    machine_is_done = true;
    sev_page_map_foreach(create_shadow);
    memory_listener_register(&sev_cache_listener, &address_space_memory);
    qemu_add_vm_change_state_handler(sev_cache_vm_state, NULL);
}

void sev_cache_init(void)
{
    qemu_mutex_init(&cache_lock);
    memory_region_init(&shadow_root, NULL, "sev-shadow", UINT64_MAX);
    sev_page_state_init(create_shadow);
    machine_done.notify = sev_cache_machine_done;
    qemu_add_machine_init_done_notifier(&machine_done);
}
