/*
 * A shadow block for each block of RAM, where the cache keeps plaintext: when it
 * comes, and when it goes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cache-int.h"
#include "exec/exec-all.h"
#include "exec/ram_addr.h"
#include "qemu/lockable.h"
#include "qemu/madvise.h"
#include "system/runstate.h"
#include "system/system.h"
#include "target/i386/sev/trace.h"

static MemoryRegion shadow_root;
static Notifier machine_done;
static bool machine_is_done;

MemoryRegion *sev_cache_root(void)
{
    return &shadow_root;
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
    name = g_strdup_printf(SEV_SHADOW_PREFIX ".%s", memory_region_name(rb->mr));
    b->map = map;
    memory_region_init_ram_flags_nomigrate(&b->shadow, NULL, name,
                                           sev_cache_offset(map->npages),
                                           RAM_NORESERVE, &error_fatal);
    b->dram = rb->host;
    b->plain = memory_region_get_ram_ptr(&b->shadow);
    b->shadow_addr = memory_region_get_ram_addr(&b->shadow);
    /* plaintext never gets into a core file of QEMU */
    qemu_madvise(b->plain, sev_cache_offset(map->npages), QEMU_MADV_DONTDUMP);
    /* nor do other processes learn by KSM that they hold the same */
    qemu_madvise(b->plain, sev_cache_offset(map->npages), QEMU_MADV_UNMERGEABLE);
    /* it comes and goes by the page */
    qemu_madvise(b->plain, sev_cache_offset(map->npages), QEMU_MADV_NOHUGEPAGE);
    b->age = g_malloc0(ROUND_UP(map->npages, 8));
    if (rb->mr->rom_device || rb->mr->readonly) {
        memory_region_set_readonly(&b->shadow, true);
    }
    memory_region_add_subregion(&shadow_root, rb->offset, &b->shadow);
    cpu_physical_memory_test_and_clear_dirty(b->shadow_addr,
                                             sev_cache_offset(map->npages),
                                             DIRTY_MEMORY_VGA);
    trace_sev_cache_shadow(name, sev_cache_offset(map->npages));
    qatomic_store_release(&map->cache, b);
}

/* The memory was unplugged: its plaintext goes with it. */
static void destroy_shadow(SevPageMap *map)
{
    SevCacheBlock *b = map->cache;

    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        for (size_t page = 0; page < map->npages; page++) {
            sev_sealed_replaced(map, page);     /* nobody will open it */
        }
        qatomic_set(&map->rb, NULL);
    }
    if (b) {
        tb_invalidate_phys_range(b->shadow_addr, b->shadow_addr +
                                 sev_cache_offset(map->npages) - 1);
        memory_region_del_subregion(&shadow_root, &b->shadow);
        object_unparent(OBJECT(&b->shadow));
    }
}

static void sev_cache_machine_done(Notifier *n, void *unused)
{
    machine_is_done = true;
    sev_page_map_foreach(create_shadow);
    sev_cache_listen();
    sev_cache_watch_idle();
    qemu_add_vm_change_state_handler(sev_cache_vm_state, NULL);
}

void sev_cache_init(void)
{
    qemu_mutex_init(&sev_cache_lock);
    memory_region_init(&shadow_root, NULL, "sev-shadow", UINT64_MAX);
    sev_page_state_init(create_shadow, destroy_shadow);
    machine_done.notify = sev_cache_machine_done;
    qemu_add_machine_init_done_notifier(&machine_done);
}
