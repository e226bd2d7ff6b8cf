/*
 * What the guest declared through KVM_HC_MAP_GPA_RANGE.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "declared-map.h"
#include "declared-pages.h"
#include "migration-control.h"
#include "transfer.h"
#include "exec/address-spaces.h"
#include "exec/ram_addr.h"
#include "qapi/qapi-types-sev-overlay.h"
#include "qemu/rcu.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "standard-headers/linux/kvm_para.h"
#include "system/hostmem.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "trace.h"

/* Pages that changed sides until somebody else is asked: 5 ms at most. */
#define WORK_PAGES 1024

bool sev_declared_rules;

static SevDeclaredMap *declared;
static SevDeclaredPagesFn on_pages;
static bool ran;            /* since the last reset; BQL */

/* --- Queries --------------------------------------------------------------- */

bool sev_declared_is_private(RAMBlock *rb, ram_addr_t offset)
{
    return sev_declared_map_is_private(declared, rb->offset + offset);
}

bool sev_declared_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    uint64_t at = rb->offset, end = rb->offset + rb->used_length;

    while (at < end) {
        uint64_t run, run_end;

        if (!sev_declared_map_next_shared(declared, at, end, &run, &run_end)) {
            run = run_end = end;
        }
        if (run > at && !fn(rb, at - rb->offset, run - at, opaque)) {
            return false;
        }
        at = run_end;
    }
    return true;
}

/* --- Declarations ---------------------------------------------------------- */

static void changed_sides(uint64_t start, uint64_t end, bool is_private)
{
    trace_sev_declared(start, end, is_private);
    if (sev_declared_rules) {
        cpu_physical_memory_set_dirty_range(start, end - start,
                                            1 << DIRTY_MEMORY_MIGRATION);
    }
}

void sev_declared_set(ram_addr_t paddr, ram_addr_t length, bool is_private)
{
    uint64_t start = QEMU_ALIGN_DOWN(paddr, TARGET_PAGE_SIZE);
    uint64_t end = QEMU_ALIGN_UP(paddr + length, TARGET_PAGE_SIZE);

    if (declared) {
        sev_declared_map_set(declared, start, end, is_private, changed_sides);
    }
}

void sev_declared_launch(uint64_t uaddr, uint64_t length)
{
    ram_addr_t offset;
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    rb = qemu_ram_block_from_host((void *)(uintptr_t)uaddr, false, &offset);
    if (rb) {
        sev_declared_set(rb->offset + offset, length, true);
    }
}

/* A range that is being declared, and when to leave it for a while. */
typedef struct Declaring {
    bool is_private;
    size_t changed;             /* since somebody was asked last */
    bool (*enough)(void *opaque);
    void *opaque;
} Declaring;

/* One piece of RAM of a declared range; false: enough. */
static bool declare_section(const MemoryRegionSection *s, Declaring *d)
{
    RAMBlock *rb = s->mr->ram_block;
    uint64_t size = int128_get64(s->size);
    SevPageMap *map = on_pages ? sev_page_map(rb) : NULL;
    size_t page = s->offset_within_region >> TARGET_PAGE_BITS;
    size_t end = page + (size >> TARGET_PAGE_BITS);

    sev_declared_set(rb->offset + s->offset_within_region, size,
                     d->is_private);
    while (map && page < end) {
        size_t n = MIN(end - page, SEV_DECLARED_PAGES_MAX);

        d->changed += on_pages(map, page, n, d->is_private);
        page += n;
        if (d->changed >= WORK_PAGES && d->enough) {
            d->changed = 0;
            if (d->enough(d->opaque)) {
                return false;
            }
        }
    }
    return true;
}

int64_t sev_declare_gpa_range_until(uint64_t gpa, uint64_t npages,
                                    uint64_t attrs,
                                    bool (*enough)(void *opaque), void *opaque)
{
    const uint64_t page_size_mask = KVM_MAP_GPA_RANGE_ENCRYPTED - 1;
    Declaring d = {
        .is_private = attrs & KVM_MAP_GPA_RANGE_ENCRYPTED,
        .enough = enough, .opaque = opaque,
    };
    bool goes_on = true;
    uint64_t end;

    if (!npages || gpa & ~TARGET_PAGE_MASK ||
        attrs & ~(page_size_mask | KVM_MAP_GPA_RANGE_ENCRYPTED) ||
        npages > UINT64_MAX >> TARGET_PAGE_BITS ||
        uadd64_overflow(gpa, npages << TARGET_PAGE_BITS, &end)) {
        return -KVM_EINVAL;
    }
    trace_sev_map_gpa_range(gpa, npages, d.is_private);

    /* From one piece of RAM to the next, however far: holes cost nothing. */
    while (goes_on && gpa < end) {
        MemoryRegionSection s = memory_region_find(get_system_memory(), gpa,
                                                   end - gpa);

        if (!s.mr) {
            break;
        }
        if (memory_region_is_ram(s.mr) && s.mr->ram_block) {
            goes_on = declare_section(&s, &d);
        }
        gpa = s.offset_within_address_space + int128_get64(s.size);
        memory_region_unref(s.mr);
    }
    return !goes_on;
}

int64_t sev_declare_gpa_range(uint64_t gpa, uint64_t npages, uint64_t attrs)
{
    return sev_declare_gpa_range_until(gpa, npages, attrs, NULL, NULL);
}

/* --- RAM blocks, reboot ---------------------------------------------------- */

static bool is_main_memory(const RAMBlock *rb)
{
    return object_dynamic_cast(memory_region_owner(rb->mr),
                               TYPE_MEMORY_BACKEND);
}

static void declared_ram_added(RAMBlockNotifier *n, void *host, size_t size,
                               size_t max_size)
{
    ram_addr_t offset;
    RAMBlock *rb = qemu_ram_block_from_host(host, false, &offset);

    if (rb) {
        sev_declared_set(rb->offset, rb->max_length, is_main_memory(rb));
    }
}

static RAMBlockNotifier declared_notifier = {
    .ram_block_added = declared_ram_added,
};

static int reset_block(RAMBlock *rb, void *opaque)
{
    if (is_main_memory(rb)) {
        sev_declared_set(rb->offset, rb->max_length, true);
    }
    return 0;
}

/* A guest that starts again shares nothing yet. */
static void declared_reset(void *opaque)
{
    ran = runstate_is_running();
    qemu_ram_foreach_block(reset_block, NULL);
}

static void declared_vm_state(void *opaque, bool running, RunState state)
{
    ran |= running;
}

void sev_declared_init(bool rules, SevDeclaredPagesFn fn)
{
    declared = sev_declared_map_new();
    sev_declared_rules = rules;
    on_pages = fn;
    ram_block_notifier_add(&declared_notifier);
    qemu_register_reset(declared_reset, NULL);
    qemu_add_vm_change_state_handler(declared_vm_state, NULL);
    sev_migration_control_init();
}

/* --- May it be migrated? --------------------------------------------------- */

/* Nonzero ends qemu_ram_foreach_block(). */
static int shares_some(RAMBlock *rb, void *opaque)
{
    uint64_t run, run_end;

    return is_main_memory(rb) &&
           sev_declared_map_next_shared(declared, rb->offset,
                                        rb->offset + rb->used_length,
                                        &run, &run_end);
}

/*
 * Their memory is a memory backend as a DIMM's is, and the guest maps it shared
 * without a word because it lies in a PCI BAR.
 */
static const char *const undeclared_devices[] = {
    "ivshmem-plain", "ivshmem-doorbell",
};

bool sev_declared_possible(Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(undeclared_devices); i++) {
        bool ambiguous = false;

        if (sev_declared_rules &&
            (object_resolve_path_type("", undeclared_devices[i], &ambiguous) ||
             ambiguous)) {
            error_setg(errp, "SEV: migration is not possible with a device "
                       "'%s': nobody declares that its memory is shared",
                       undeclared_devices[i]);
            return false;
        }
    }
    return true;
}

bool sev_declared_by_guest(Error **errp)
{
    if (!sev_declared_rules || !ran ||
        qemu_ram_foreach_block(shares_some, NULL)) {
        return true;
    }
    error_setg(errp, "SEV: the guest has declared no page of its memory shared "
               "since it was reset, so what it shares would arrive as noise: "
               "its kernel must report page status (KVM_HC_MAP_GPA_RANGE), as "
               "Linux does with CONFIG_KVM_GUEST, without 'nopv', where CPUID "
               "0x40000001 EAX bit 17 is set, while firmware and boot loaders "
               "need not have got that far");
    return false;
}

/* --- The two sources compared ---------------------------------------------- */

static int compare_block(RAMBlock *rb, void *opaque)
{
    SevPageMapInfo *info = opaque;
    SevPageMap *map = sev_page_map(rb);

    if (!is_main_memory(rb)) {
        return 0;
    }
    for (size_t page = 0; page < rb->used_length >> TARGET_PAGE_BITS; page++) {
        ram_addr_t offset = (ram_addr_t)page << TARGET_PAGE_BITS;
        bool shared = !sev_declared_is_private(rb, offset);
        uint8_t state = map ? sev_page_state(map, page) : 0;
        bool seen_private = state & SEV_PAGE_PRIVATE;
        bool seen_shared = !seen_private && state & SEV_PAGE_MAPPED;

        info->pages++;
        info->declared_shared += shared;
        info->seen_private += seen_private;
        info->seen_shared += seen_shared;
        info->shared_undeclared += seen_shared && !shared;
        info->private_undeclared += seen_private && shared;
    }
    return 0;
}

SevPageMapInfo *sev_page_map_compare(Error **errp)
{
    SevPageMapInfo *info;

    if (!declared) {
        error_setg(errp, "SEV: this guest has no page map: it is no SEV guest, "
                   "or the kernel does not hand over KVM_HC_MAP_GPA_RANGE");
        return NULL;
    }
    info = g_new0(SevPageMapInfo, 1);
    qemu_ram_foreach_block(compare_block, info);
    info->ranges = sev_declared_map_ranges(declared);
    info->exact = !sev_declared_rules;
    info->migration_control = sev_migration_control();
    return info;
}
