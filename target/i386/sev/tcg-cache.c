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

static void encrypt_to_dram(SevCacheBlock *b, size_t page)
{
    ram_addr_t paddr = b->map->rb->offset + page_offset(page);

    psp_mem_encrypt(vek, paddr, b->plain + page_offset(page),
                    b->dram + page_offset(page), TARGET_PAGE_SIZE);
    cpu_physical_memory_set_dirty_range(paddr, TARGET_PAGE_SIZE,
                                        DIRTY_CLIENTS_NOCODE);
}

/*
 * "The plaintext is newer than DRAM" is the shadow page's bit of the VGA
 * dirty client, which nobody else uses on this block: TCG's own TLB_NOTDIRTY
 * machinery keeps it, for all vCPUs.
 */
static bool writeback_locked(SevCacheBlock *b, size_t page)
{
    ram_addr_t addr = b->shadow_addr + page_offset(page);

    if (!cpu_physical_memory_get_dirty(addr, TARGET_PAGE_SIZE,
                                       DIRTY_MEMORY_VGA)) {
        return false;
    }
    cpu_physical_memory_test_and_clear_dirty(addr, TARGET_PAGE_SIZE,
                                             DIRTY_MEMORY_VGA);
    encrypt_to_dram(b, page);
    return true;
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
        /* from now on the content counts as ciphertext; a never-touched
         * page stays what it is */
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

/* Write back the dirty pages of a range with one pass over the TLBs. */
static size_t writeback_range_locked(SevCacheBlock *b, ram_addr_t start,
                                     ram_addr_t length)
{
    g_autofree DirtyBitmapSnapshot *snap = NULL;
    size_t first = start >> TARGET_PAGE_BITS, n = 0;
    size_t end = (start + length) >> TARGET_PAGE_BITS;

    if (!cpu_physical_memory_get_dirty(b->shadow_addr + start, length,
                                       DIRTY_MEMORY_VGA)) {
        return 0;
    }
    snap = memory_region_snapshot_and_clear_dirty(&b->shadow, start, length,
                                                  DIRTY_MEMORY_VGA);
    for (size_t page = first; page < end; page++) {
        if (b->map->state[page] & SEV_PAGE_CACHED &&
            memory_region_snapshot_get_dirty(&b->shadow, snap,
                                             page_offset(page),
                                             TARGET_PAGE_SIZE)) {
            encrypt_to_dram(b, page);
            n++;
        }
    }
    return n;
}

static void writeback_block(SevPageMap *map)
{
    if (map->cache) {
        writeback_range_locked(map->cache, 0,
                               page_offset(map->npages));
    }
}

void sev_cache_writeback_all(void)
{
    QEMU_LOCK_GUARD(&cache_lock);
    sev_page_map_foreach(writeback_block);
}

/* Migration and dirty-rate look at DRAM and its dirty bits. */
static void sev_cache_log_sync(MemoryListener *l, MemoryRegionSection *s)
{
    RAMBlock *rb = s->mr->ram_block;
    SevPageMap *map = rb ? sev_page_map(rb) : NULL;
    size_t n;

    if (!map || !map->cache) {
        return;
    }
    QEMU_LOCK_GUARD(&cache_lock);
    n = writeback_range_locked(map->cache, s->offset_within_region,
                               int128_get64(s->size));
    trace_sev_cache_log_sync(rb->idstr, n);
}

static MemoryListener sev_cache_listener = {
    .name = "sev-cache",
    .log_sync = sev_cache_log_sync,
};

static void drop_block(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;

    if (!b) {
        return;
    }
    writeback_range_locked(b, 0, page_offset(map->npages));
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
