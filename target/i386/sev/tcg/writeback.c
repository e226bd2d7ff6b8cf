/*
 * From the cache to DRAM: what is newer, and when it is written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cache-int.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/ram_addr.h"
#include "hw/core/cpu.h"
#include "hw/psp/psp-memory.h"
#include "qemu/lockable.h"
#include "system/replay.h"
#include "target/i386/sev/trace.h"

static size_t n_syncing;                /* pages with SEV_PAGE_SYNCING */
static int syncing_thread;              /* whose sync marked the last of them */
static bool sync_in_doubt;              /* two threads' syncs overlap */
static size_t n_wbinvd;                 /* pages that this WBINVD wrote */

static void encrypt_page(SevCacheBlock *b, size_t page)
{
    psp_mem_encrypt(sev_cache_vek, b->map->rb->offset + sev_cache_offset(page),
                    b->plain + sev_cache_offset(page),
                    b->dram + sev_cache_offset(page), TARGET_PAGE_SIZE);
    sev_sealed_replaced(b->map, page);
}

static void encrypt_to_dram(SevCacheBlock *b, size_t page)
{
    encrypt_page(b, page);
    cpu_physical_memory_set_dirty_range(
        b->map->rb->offset + sev_cache_offset(page), TARGET_PAGE_SIZE,
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
 *    ended the translation block it was in (SEV_PAGE_SYNCING), twice: a write trap may
 *    have been lifted after the bit was cleared, so the traps are set in between;
 *  - a CLFLUSH or WBINVD must be over at once.  If other vCPUs run, the page
 *    stays UNSETTLED: the next stop or sync compares it with DRAM.  Not the
 *    next WBINVD: a device may have written to DRAM since.
 */
bool sev_cache_is_newer(SevCacheBlock *b, size_t page)
{
    return cpu_physical_memory_get_dirty(b->shadow_addr + sev_cache_offset(page),
                                         TARGET_PAGE_SIZE, DIRTY_MEMORY_VGA);
}

static void take_newer_bit(SevCacheBlock *b, size_t page)
{
    cpu_physical_memory_test_and_clear_dirty(
        b->shadow_addr + sev_cache_offset(page), TARGET_PAGE_SIZE,
        DIRTY_MEMORY_VGA);
}

/* The same when no TLB has an entry for the page's plaintext any more. */
static void forget_newer(SevCacheBlock *b, size_t page)
{
    size_t bit = (b->shadow_addr >> TARGET_PAGE_BITS) + page;
    DirtyMemoryBlocks *blocks;

    RCU_READ_LOCK_GUARD();
    blocks = qatomic_rcu_read(&ram_list.dirty_memory[DIRTY_MEMORY_VGA]);
    bitmap_test_and_clear_atomic(blocks->blocks[bit / DIRTY_MEMORY_BLOCK_SIZE],
                                 bit % DIRTY_MEMORY_BLOCK_SIZE, 1);
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

bool sev_cache_differs_from_dram(SevCacheBlock *b, size_t page)
{
    uint8_t buf[TARGET_PAGE_SIZE];
    ram_addr_t offset = sev_cache_offset(page);
    bool differs;

    psp_mem_decrypt(sev_cache_vek, b->map->rb->offset + offset, b->dram + offset, buf,
                    sizeof(buf));
    differs = memcmp(buf, b->plain + offset, sizeof(buf)) != 0;
    explicit_bzero(buf, sizeof(buf));
    return differs;
}

void sev_cache_flush_evicted(SevCacheBlock *b, size_t page, bool syncing)
{
    if (syncing || sev_cache_is_newer(b, page)) {
        forget_newer(b, page);
        encrypt_to_dram(b, page);
    }
}

void sev_cache_evict_quiet(SevCacheBlock *b, size_t page)
{
    uint8_t state = b->map->state[page];

    sev_cache_set_bits(b->map, page, SEV_PAGE_CACHED | SEV_PAGE_UNSETTLED |
                                     SEV_PAGE_SYNCING | SEV_PAGE_FLUSHED, 0);
    if (sev_cache_is_newer(b, page) || state & SEV_PAGE_SYNCING ||
        (state & SEV_PAGE_UNSETTLED && sev_cache_differs_from_dram(b, page))) {
        forget_newer(b, page);
        encrypt_to_dram(b, page);
    }
}

/*
 * A vCPU writes back one page, to be seen by a device from now on.  A sync at hand
 * has no part in it any more: its end would put the plaintext over what a device
 * wrote meanwhile.
 */
static void flush_page(SevCacheBlock *b, size_t page)
{
    sev_cache_set_bits(b->map, page, SEV_PAGE_SYNCING,
                       other_cpus_run() ? SEV_PAGE_UNSETTLED : 0);
    encrypt_to_dram(b, page);
}

static void writeback_locked(SevCacheBlock *b, size_t page)
{
    bool newer = sev_cache_is_newer(b, page);

    if (newer) {
        take_newer_bit(b, page);
    }
    if (newer || b->map->state[page] & SEV_PAGE_SYNCING) {
        flush_page(b, page);
    }
    sev_cache_set_bits(b->map, page, 0, SEV_PAGE_FLUSHED);
}

void sev_cache_writeback(SevPageMap *map, size_t page)
{
    if (!(sev_page_state(map, page) & SEV_PAGE_CACHED)) {
        return;
    }
    QEMU_LOCK_GUARD(&sev_cache_lock);
    if (map->rb && map->state[page] & SEV_PAGE_CACHED) {
        writeback_locked(map->cache, page);
    }
}

/*
 * Take the pages of a range that are newer than DRAM, and with @settle those
 * that a store under way made so: @fn is called for each, its bit is cleared.
 * One pass over the TLBs; dirty bitmaps are cleared by the word, so the range
 * is made whole words.
 */
static void take_newer(SevCacheBlock *b, ram_addr_t start, ram_addr_t length,
                       bool settle, void (*fn)(SevCacheBlock *b, size_t page))
{
    g_autofree DirtyBitmapSnapshot *snap = NULL;
    const size_t word = BITS_PER_LONG;
    size_t first = QEMU_ALIGN_DOWN(start >> TARGET_PAGE_BITS, word);
    size_t end = MIN(QEMU_ALIGN_UP((start + length) >> TARGET_PAGE_BITS, word),
                     b->map->npages);

    start = sev_cache_offset(first);
    length = sev_cache_offset(end - first);
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
                         snap, b->shadow_addr + sev_cache_offset(page),
                         TARGET_PAGE_SIZE)) ||
            state & SEV_PAGE_SYNCING ||
            (settle && state & SEV_PAGE_UNSETTLED &&
             sev_cache_differs_from_dram(b, page))) {
            fn(b, page);
        }
    }
}

static void wbinvd_page(SevCacheBlock *b, size_t page)
{
    flush_page(b, page);
    n_wbinvd++;
}

static void wbinvd_block(SevPageMap *map)
{
    if (!map->cache) {
        return;
    }
    take_newer(map->cache, 0, sev_cache_offset(map->npages), false, wbinvd_page);
    for (size_t page = 0; page < map->npages; page++) {
        if (map->state[page] & SEV_PAGE_CACHED) {
            sev_cache_set_bits(map, page, 0, SEV_PAGE_FLUSHED);
        }
    }
}

void sev_cache_writeback_all(void)
{
    QEMU_LOCK_GUARD(&sev_cache_lock);
    n_wbinvd = 0;
    sev_page_map_foreach(wbinvd_block);
    trace_sev_cache_wbinvd(n_wbinvd);
}

void sev_cache_flush_stopped(SevCacheBlock *b)
{
    take_newer(b, 0, sev_cache_offset(b->map->npages), true, encrypt_to_dram);
}

/* Migration and dirty-rate look at DRAM and its dirty bits. */
static void sync_page(SevCacheBlock *b, size_t page)
{
    sev_cache_set_bits(b->map, page, SEV_PAGE_UNSETTLED, SEV_PAGE_SYNCING);
    cpu_physical_memory_set_dirty_range(
        b->map->rb->offset + sev_cache_offset(page), TARGET_PAGE_SIZE,
        DIRTY_CLIENTS_NOCODE);
    n_syncing++;
}

static void sev_cache_log_sync(MemoryListener *l, MemoryRegionSection *s)
{
    RAMBlock *rb = s->mr->ram_block;
    SevPageMap *map = rb ? sev_page_map(rb) : NULL;

    if (map && map->cache) {
        QEMU_LOCK_GUARD(&sev_cache_lock);
        sync_in_doubt |= n_syncing && syncing_thread != qemu_get_thread_id();
        syncing_thread = qemu_get_thread_id();
        take_newer(map->cache, s->offset_within_region,
                   int128_get64(s->size), true, sync_page);
    }
}

/*
 * A vCPU that was between setting the bit and lifting its TLB entry's write trap has
 * lifted it by now: set the traps again.
 */
static void trap_block(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;

    for (size_t page = 0; b && page < map->npages; page++) {
        if (map->state[page] & SEV_PAGE_SYNCING) {
            tlb_reset_dirty_range_all(b->shadow_addr,
                                      sev_cache_offset(map->npages));
            return;
        }
    }
}

static void sync_block(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;

    for (size_t page = 0; b && page < map->npages; page++) {
        if (map->state[page] & SEV_PAGE_SYNCING) {
            sev_cache_set_bits(map, page, SEV_PAGE_SYNCING,
                               sync_in_doubt ? SEV_PAGE_UNSETTLED : 0);
            encrypt_page(b, page);
        }
    }
}

static void nothing(CPUState *cpu, run_on_cpu_data unused)
{
}

/*
 * Until each vCPU has ended the translation block that it is in.  The BQL is held, and
 * released while waiting: other syncs, a stop, and an unplug may come in between.
 * False if one was left out, since it is being unplugged and may not answer.
 */
static bool wait_for_stores(void)
{
    g_autoptr(GPtrArray) cpus = g_ptr_array_new_with_free_func(object_unref);
    bool all = true;
    CPUState *cpu;

    if (replay_mode != REPLAY_MODE_NONE) {
        return true;            /* as upstream: the vCPUs' thread waits for us */
    }
    CPU_FOREACH(cpu) {
        g_ptr_array_add(cpus, object_ref(OBJECT(cpu)));
    }
    for (guint i = 0; i < cpus->len; i++) {
        cpu = g_ptr_array_index(cpus, i);
        if (cpu->unplug) {
            all = false;
        } else {
            run_on_cpu(cpu, nothing, RUN_ON_CPU_NULL);
        }
    }
    return all;
}

/*
 * By now no vCPU is in a translation block that began before the sync; unless
 * another thread began one meanwhile, which we end too: the display's, say,
 * that of a migration.  Then the next sync compares the pages once more.
 *
 * Nor may one store past a trap that was lifted too late, while its page is encrypted:
 * so the traps are set, and the vCPUs waited for, once more.
 */
static void sev_cache_log_after_sync(MemoryListener *l)
{
    bool waited;

    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        if (!n_syncing) {
            return;
        }
        sync_in_doubt |= syncing_thread != qemu_get_thread_id();
        sev_page_map_foreach(trap_block);
    }
    waited = wait_for_stores();
    QEMU_LOCK_GUARD(&sev_cache_lock);
    if (!n_syncing) {
        return;                 /* another thread's sync has ended this one */
    }
    sync_in_doubt |= !waited || syncing_thread != qemu_get_thread_id();
    if (sync_in_doubt) {
        sev_page_map_foreach(trap_block);       /* of pages that were marked since */
    }
    sev_page_map_foreach(sync_block);
    trace_sev_cache_log_sync(n_syncing);
    n_syncing = 0;
    sync_in_doubt = false;
}

static MemoryListener sev_cache_listener = {
    .name = "sev-cache",
    .priority = MEMORY_LISTENER_PRIORITY_ACCEL,     /* after TCG's own */
    .log_sync = sev_cache_log_sync,
    .log_global_after_sync = sev_cache_log_after_sync,
};

void sev_cache_listen(void)
{
    memory_listener_register(&sev_cache_listener, &address_space_memory);
}
