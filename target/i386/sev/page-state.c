/*
 * What is known about each page of guest RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "page-state.h"
#include "declared-pages.h"
#include "kvm-guest.h"
#include "transfer.h"
#include "exec/ram_addr.h"
#include "qemu/cutils.h"
#include "trace.h"

/*
 * Written with the BQL held.  The map of a removed block has no rb; it is never
 * freed, because others may still look at it, but its place is taken again.
 * Nor is a table that became too short.
 */
static SevPageMap **maps;
static unsigned int n_maps, room;
#define ROOM_MIN 32
static SevPageMapFn map_added, map_removed;

/* @i is less than an n_maps that was loaded before. */
static SevPageMap *map_number(unsigned int i)
{
    return qatomic_read(&qatomic_read(&maps)[i]);
}

SevPageMap *sev_page_map(const RAMBlock *rb)
{
    static __thread SevPageMap *last;
    unsigned int n = qatomic_load_acquire(&n_maps);

    if (last && last->rb == rb) {
        return last;
    }
    for (unsigned int i = 0; i < n; i++) {
        SevPageMap *map = map_number(i);

        if (map->rb == rb) {
            last = map;
            return map;
        }
    }
    return NULL;
}

SevPageMap *sev_page_map_at(ram_addr_t paddr)
{
    unsigned int n = qatomic_load_acquire(&n_maps);

    for (unsigned int i = 0; i < n; i++) {
        SevPageMap *map = map_number(i);
        RAMBlock *rb = qatomic_read(&map->rb);

        if (rb && paddr - rb->offset < rb->used_length) {
            return map;
        }
    }
    return NULL;
}

void sev_page_map_foreach(SevPageMapFn fn)
{
    unsigned int n = qatomic_load_acquire(&n_maps);

    for (unsigned int i = 0; i < n; i++) {
        SevPageMap *map = map_number(i);

        if (map->rb) {
            fn(map);
        }
    }
}

void sev_page_state_set(SevPageMap *map, size_t page, uint8_t state)
{
    uint8_t old = map->state[page];

    qatomic_store_release(&map->state[page], state);
    if ((old ^ state) & SEV_PAGE_PRIVATE) {
        trace_sev_page_side(map->rb->idstr, (uint64_t)page << TARGET_PAGE_BITS,
                            state & SEV_PAGE_PRIVATE);
        cpu_physical_memory_set_dirty_range(
            map->rb->offset + ((ram_addr_t)page << TARGET_PAGE_BITS),
            TARGET_PAGE_SIZE, 1 << DIRTY_MEMORY_MIGRATION);
    }
}

/*
 * What a guest reads as private is not for that: firmware looks at its
 * variables in flash with a C-bit before it knows better, and must find them
 * as they were when it looks without.  Where it cannot write only a launch
 * encrypts.
 */
static bool page_is_private(const SevPageMap *map, const RAMBlock *rb, size_t page)
{
    if (rb->mr->readonly || rb->mr->rom_device) {
        return test_bit(page, map->encrypted);
    }
    return sev_page_state(map, page) & SEV_PAGE_PRIVATE;
}

bool sev_page_is_private(RAMBlock *rb, ram_addr_t offset)
{
    SevPageMap *map;

    if (sev_declared_rules) {
        return sev_declared_is_private(rb, offset);
    }
    map = sev_page_map(rb);
    return map && page_is_private(map, rb, offset >> TARGET_PAGE_BITS);
}

bool sev_page_never_written(RAMBlock *rb, ram_addr_t offset)
{
    return sev_declared_rules && sev_kvm_coherent() &&
           buffer_is_zero(rb->host + offset, TARGET_PAGE_SIZE);
}

bool sev_page_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    SevPageMap *map = sev_page_map(rb);
    size_t n = rb->used_length >> TARGET_PAGE_BITS, first = 0;
    bool in_run = false;

    if (sev_declared_rules) {
        return sev_declared_foreach_private(rb, fn, opaque);
    }
    if (!map) {
        return true;
    }
    for (size_t page = 0; page <= n; page++) {
        bool priv = page < n && page_is_private(map, rb, page);

        if (priv && !in_run) {
            first = page;
        } else if (!priv && in_run &&
                   !fn(rb, (ram_addr_t)first << TARGET_PAGE_BITS,
                       (ram_addr_t)(page - first) << TARGET_PAGE_BITS,
                       opaque)) {
            return false;
        }
        in_run = priv;
    }
    return true;
}

void sev_page_set_private(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                          bool is_private)
{
    SevPageMap *map = sev_page_map(rb);
    size_t page = offset >> TARGET_PAGE_BITS;
    size_t end = (offset + length + TARGET_PAGE_SIZE - 1) >> TARGET_PAGE_BITS;

    if (sev_declared_rules) {
        sev_declared_set(rb->offset + offset, length, is_private);
    }
    for (; map && page < MIN(end, map->npages); page++) {
        uint8_t rest = map->state[page] & ~SEV_PAGE_PRIVATE;

        sev_page_state_set(map, page,
                           rest | (is_private ? SEV_PAGE_PRIVATE : 0));
        if (is_private) {
            set_bit(page, map->encrypted);
        } else {
            clear_bit(page, map->encrypted);
        }
    }
}

/* A place for another map. */
static unsigned int free_place(void)
{
    for (unsigned int i = 0; i < n_maps; i++) {
        if (!maps[i]->rb) {
            return i;
        }
    }
    if (n_maps == room) {
        SevPageMap **longer = g_new0(SevPageMap *, MAX(2 * room, ROOM_MIN));

        for (unsigned int i = 0; i < n_maps; i++) {
            longer[i] = maps[i];
        }
        room = MAX(2 * room, ROOM_MIN);
        qatomic_store_release(&maps, longer);
    }
    return n_maps;
}

static void sev_ram_added(RAMBlockNotifier *n, void *host, size_t size,
                          size_t max_size)
{
    ram_addr_t offset;
    RAMBlock *rb = qemu_ram_block_from_host(host, false, &offset);
    SevPageMap *map;
    unsigned int place;

    if (!rb || rb->max_length < TARGET_PAGE_SIZE || sev_page_map(rb)) {
        return;
    }
    if (g_str_has_prefix(memory_region_name(rb->mr), SEV_SHADOW_PREFIX)) {
        return;                 /* our own cache is no memory of the guest */
    }
    place = free_place();
    map = g_new0(SevPageMap, 1);
    map->rb = rb;
    map->npages = DIV_ROUND_UP(rb->max_length, TARGET_PAGE_SIZE);
    map->state = g_malloc0(map->npages);
    map->encrypted = bitmap_new(map->npages);
    qatomic_store_release(&maps[place], map);
    qatomic_store_release(&n_maps, MAX(n_maps, place + 1));
    if (map_added) {
        map_added(map);
    }
}

static void sev_ram_removed(RAMBlockNotifier *n, void *host, size_t size,
                            size_t max_size)
{
    ram_addr_t offset;
    RAMBlock *rb = qemu_ram_block_from_host(host, false, &offset);
    SevPageMap *map = rb ? sev_page_map(rb) : NULL;

    if (map && map_removed) {
        map_removed(map);
    } else if (map) {
        qatomic_set(&map->rb, NULL);
    }
}

static RAMBlockNotifier sev_page_notifier = {
    .ram_block_added = sev_ram_added,
    .ram_block_removed = sev_ram_removed,
};

void sev_page_state_init(SevPageMapFn added, SevPageMapFn removed)
{
    map_added = added;
    map_removed = removed;
    ram_block_notifier_add(&sev_page_notifier);
}
