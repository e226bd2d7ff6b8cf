/*
 * The lane's address space, under KVM: memory slots at LANE_GPA.
 *
 * They are there while a session is open, and no longer.  A batch of pages takes
 * KVM less time than a change of its slots does.  A guest that looks there in
 * that time sees what is its own anyway.
 *
 * A window onto RAM is an alias of it.  Aliases of ROM cannot be written, and
 * those of flash that is being programmed are no memory at all.  So these have
 * slots of which QEMU's memory API knows nothing: it needs no RAM block for
 * them, and whoever follows RAM blocks sees none come and go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "qom/object.h"
#include "system/kvm.h"
#include "windows.h"

#define TYPE_SEV_LANE_MAP "sev-lane-map"
OBJECT_DECLARE_SIMPLE_TYPE(SevLaneMap, SEV_LANE_MAP)

/* Regions outlive a session as long as somebody looks at an old flat view. */
struct SevLaneMap {
    Object parent_obj;
    unsigned n, n_roms;
    MemoryRegion regions[SEV_LANE_AREAS_MAX];
};

static SevLaneMap *lane_map;    /* BQL */

static bool is_rom(const SevArea *area)
{
    return area->rb->mr->readonly || area->rb->mr->rom_device;
}

/* @area NULL: there is none.  QEMU counts its slots from 0, these from the end. */
static int set_rom_slot(unsigned n, const SevArea *area)
{
    struct kvm_userspace_memory_region slot = {
        .slot = kvm_vm_check_extension(kvm_state, KVM_CAP_NR_MEMSLOTS) - 1 - n,
    };

    if (area) {
        slot.guest_phys_addr = LANE_GPA + area->base;
        slot.memory_size = area->size;
        slot.userspace_addr = (uintptr_t)area->rb->host;
    }
    return kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION, &slot);
}

static bool add_rom(SevLaneMap *map, const SevArea *area, Error **errp)
{
    int r = set_rom_slot(map->n_roms, area);

    if (r) {
        error_setg_errno(errp, -r, "SEV: the lane gets no memory slot for RAM "
                         "block %s", area->rb->idstr);
        return false;
    }
    map->n_roms++;
    return true;
}

static bool is_free(const SevArea *area, Error **errp)
{
    MemoryRegionSection there = memory_region_find(get_system_memory(),
                                                   LANE_GPA + area->base,
                                                   area->size);

    if (there.mr) {
        error_setg(errp, "SEV: the lane needs guest-physical address 0x%"
                   PRIx64 ", where this machine has '%s'",
                   (uint64_t)there.offset_within_address_space,
                   memory_region_name(there.mr));
        memory_region_unref(there.mr);
    }
    return !there.mr;
}

static bool add(SevLaneMap *map, const SevArea *area, Error **errp)
{
    MemoryRegion *mr = &map->regions[map->n];

    if (!is_free(area, errp)) {
        return false;
    }
    if (is_rom(area)) {
        return add_rom(map, area, errp);
    }
    memory_region_init_alias(mr, OBJECT(map), "sev-lane.seen", area->rb->mr, 0,
                             area->size);
    memory_region_add_subregion(get_system_memory(), LANE_GPA + area->base, mr);
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
        ok = add(lane_map, &areas[i], errp);
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
    while (lane_map->n_roms) {
        set_rom_slot(--lane_map->n_roms, NULL);
    }
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
