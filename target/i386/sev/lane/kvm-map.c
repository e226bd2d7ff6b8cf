/*
 * The lane's address space, under KVM: memory slots at LANE_GPA.
 *
 * They are there while a session is open, and no longer.  A batch of pages takes
 * KVM less time than a change of its slots does.  A guest that looks there in
 * that time sees what is its own anyway.
 *
 * A window onto RAM is an alias of it.  Aliases of ROM and flash cannot be
 * written, so where pages arrive those have a region of their own on the same
 * host memory.  To QEMU that is memory of a device: nobody pins it again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "qom/object.h"
#include "windows.h"

#define TYPE_SEV_LANE_MAP "sev-lane-map"
OBJECT_DECLARE_SIMPLE_TYPE(SevLaneMap, SEV_LANE_MAP)

/* Regions outlive a session as long as somebody looks at an old flat view. */
struct SevLaneMap {
    Object parent_obj;
    unsigned n;
    MemoryRegion regions[SEV_LANE_AREAS_MAX];
};

static SevLaneMap *lane_map;    /* BQL */

static void init_region(MemoryRegion *mr, SevLaneMap *map, const SevArea *area,
                        bool writes)
{
    MemoryRegion *of = area->rb->mr;

    if (writes && (of->readonly || of->rom_device)) {
        memory_region_init_ram_device_ptr(mr, OBJECT(map), "sev-lane.rom",
                                          area->size, area->rb->host);
    } else {
        memory_region_init_alias(mr, OBJECT(map), "sev-lane.seen", of, 0,
                                 area->size);
    }
}

static bool add(SevLaneMap *map, const SevArea *area, bool writes, Error **errp)
{
    MemoryRegion *mr = &map->regions[map->n];
    hwaddr at = LANE_GPA + area->base;
    MemoryRegionSection there =
        memory_region_find(get_system_memory(), at, area->size);

    if (there.mr) {
        error_setg(errp, "SEV: the lane needs guest-physical address 0x%"
                   PRIx64 ", where this machine has '%s'",
                   (uint64_t)there.offset_within_address_space,
                   memory_region_name(there.mr));
        memory_region_unref(there.mr);
        return false;
    }
    init_region(mr, map, area, writes);
    memory_region_add_subregion(get_system_memory(), at, mr);
    map->n++;
    return true;
}

bool sev_kvm_map_lane(bool writes, Error **errp)
{
    SevArea areas[SEV_LANE_AREAS_MAX];
    unsigned n = sev_windows_areas(areas);
    bool ok = true;

    sev_kvm_unmap_lane();
    lane_map = SEV_LANE_MAP(object_new(TYPE_SEV_LANE_MAP));
    memory_region_transaction_begin();
    for (unsigned i = 0; ok && i < n; i++) {
        ok = add(lane_map, &areas[i], writes, errp);
    }
    memory_region_transaction_commit();
    if (!ok) {
        sev_kvm_unmap_lane();
    }
    return ok;
}

void sev_kvm_unmap_lane(void)
{
    if (!lane_map) {
        return;
    }
    memory_region_transaction_begin();
    for (unsigned i = 0; i < lane_map->n; i++) {
        memory_region_del_subregion(get_system_memory(), &lane_map->regions[i]);
    }
    memory_region_transaction_commit();
    object_unref(OBJECT(g_steal_pointer(&lane_map)));
}

static const TypeInfo sev_lane_map_info = {
    .name = TYPE_SEV_LANE_MAP,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(SevLaneMap),
};

static void register_types(void)
{
    type_register_static(&sev_lane_map_info);
}

type_init(register_types)
