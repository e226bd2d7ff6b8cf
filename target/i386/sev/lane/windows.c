/*
 * The memory that the lane sees: its own, and windows onto the guest's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "hw/boards.h"
#include "windows.h"

#define WINDOW_ALIGN (2 * MiB)

QEMU_BUILD_BUG_ON(SEV_LANE_NOTHING >= LANE_SLOTS);

/* One stretch of the lane's address space; @base counts from LANE_GPA. */
typedef struct Area {
    uint64_t base, size;
    MemoryRegion mr;            /* of the lane's own */
} Area;

/* The lane's own, in the order of their addresses. */
enum { PRIVATE, SHARED, VERSIONS, N_AREAS };
static Area areas[N_AREAS];
static bool exist;

/* A window onto a block of the guest; @base counts from LANE_RAM. */
typedef struct Window {
    uint64_t base, size;
    RAMBlock *rb;
} Window;

static Window windows[LANE_MAX_WINDOWS];
static unsigned n_windows;

bool sev_windows_exist(void)
{
    return exist;
}

static void create(Area *area, const char *name, uint64_t base, uint64_t size)
{
    area->base = base;
    area->size = size;
    memory_region_init_ram_nomigrate(&area->mr, NULL, name, size, &error_fatal);
}

/* As far as the last window may reach once all memory is plugged. */
static uint64_t ram_most(void)
{
    uint64_t bytes = current_machine->maxram_size - current_machine->ram_size;
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(rb) {
        bytes += ROUND_UP(rb->max_length, WINDOW_ALIGN);
    }
    return MIN(bytes, LANE_RAM_MAX);
}

void sev_windows_create(void)
{
    uint64_t versions;

    if (exist) {
        return;
    }
    versions = LANE_VERSIONS_BYTES(ram_most());
    create(&areas[PRIVATE], "sev-lane.private", LANE_IMAGE,
           LANE_PRIVATE_END - LANE_IMAGE);
    create(&areas[SHARED], "sev-lane.mailboxes", LANE_SHARED,
           LANE_MAX_SLOTS * LANE_SHARED_STRIDE);
    create(&areas[VERSIONS], "sev-lane.versions", LANE_VERSIONS,
           ROUND_UP(versions, LANE_PAGE));
    exist = true;
}

/* Files that firmware fetches over fw_cfg are mapped nowhere. */
static bool is_guest_memory(const RAMBlock *rb)
{
    return !g_str_has_prefix(rb->idstr, "/rom@");
}

static bool add_window(RAMBlock *rb, uint64_t *base, Error **errp)
{
    if (n_windows == LANE_MAX_WINDOWS) {
        error_setg(errp, "SEV: the guest has more than the %d blocks of RAM "
                   "that the lane can have windows onto", LANE_MAX_WINDOWS);
        return false;
    }
    if (LANE_VERSIONS_BYTES(*base + rb->used_length) > areas[VERSIONS].size) {
        error_setg(errp, "SEV: the lane has no room for RAM block %s: its "
                   "table of page versions is for 0x%" PRIx64 " bytes of "
                   "memory",
                   rb->idstr, areas[VERSIONS].size / 4 * LANE_PAGE);
        return false;
    }
    windows[n_windows++] = (Window) { *base, rb->used_length, rb };
    *base += ROUND_UP(rb->used_length, WINDOW_ALIGN);
    return true;
}

bool sev_windows_set(RAMBlock *const *blocks, size_t n, Error **errp)
{
    uint64_t base = 0;

    n_windows = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_guest_memory(blocks[i]) && blocks[i]->used_length &&
            !add_window(blocks[i], &base, errp)) {
            n_windows = 0;
            return false;
        }
    }
    return true;
}

unsigned sev_windows_list(LaneWindow list[LANE_MAX_WINDOWS])
{
    for (unsigned i = 0; i < n_windows; i++) {
        list[i] = (LaneWindow) { windows[i].base, windows[i].size };
    }
    return n_windows;
}

int sev_windows_number(const RAMBlock *rb)
{
    for (unsigned i = 0; i < n_windows; i++) {
        if (windows[i].rb == rb) {
            return i;
        }
    }
    return -1;
}

bool sev_windows_page(uint64_t where, RAMBlock **rb, ram_addr_t *offset)
{
    for (unsigned i = 0; i < n_windows; i++) {
        if (where - windows[i].base < windows[i].size) {
            *rb = windows[i].rb;
            *offset = where - windows[i].base;
            return true;
        }
    }
    return false;
}

bool sev_windows_find(hwaddr paddr, SevLanePlace *place)
{
    uint64_t at = paddr - LANE_GPA;

    for (int i = 0; exist && i < N_AREAS; i++) {
        if (at - areas[i].base < areas[i].size) {
            *place = (SevLanePlace) {
                .rb = areas[i].mr.ram_block,
                .offset = at - areas[i].base,
                .is_shared = i == SHARED,
            };
            return true;
        }
    }
    *place = (SevLanePlace) { .is_window = true };
    return at >= LANE_RAM && sev_windows_page(at - LANE_RAM, &place->rb,
                                              &place->offset);
}

QEMU_BUILD_BUG_ON(SEV_LANE_AREAS_MAX != LANE_MAX_WINDOWS + N_AREAS);

unsigned sev_windows_areas(SevArea list[SEV_LANE_AREAS_MAX])
{
    unsigned n = 0;

    for (int i = 0; i < N_AREAS; i++) {
        list[n++] = (SevArea) { areas[i].base, areas[i].size,
                                areas[i].mr.ram_block };
    }
    for (unsigned i = 0; i < n_windows; i++) {
        list[n++] = (SevArea) { LANE_RAM + windows[i].base, windows[i].size,
                                windows[i].rb };
    }
    return n;
}

uint8_t *sev_windows_host(uint64_t at)
{
    for (int i = 0; i < N_AREAS; i++) {
        if (at - areas[i].base < areas[i].size) {
            return memory_region_get_ram_ptr(&areas[i].mr) +
                   (at - areas[i].base);
        }
    }
    g_assert_not_reached();
}

RAMBlock *sev_windows_private(void)
{
    return areas[PRIVATE].mr.ram_block;
}

RAMBlock *sev_windows_shared(void)
{
    return areas[SHARED].mr.ram_block;
}
