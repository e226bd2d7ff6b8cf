/*
 * TLB fills of an SEV guest: which view of a page an access sees.
 *
 * Data accesses follow the C-bit; instruction fetches, page walks, and
 * everything without paging or in legacy 32-bit paging are private
 * (APM vol. 2, 15.34.4 and .5).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "qemu/error-report.h"
#include "cache.h"
#include "crypt.h"
#include "svm.h"
#include "target/i386/sev/es/es.h"
#include "target/i386/sev/es/launch.h"
#include "lent.h"
#include "target/i386/sev/lane/windows.h"

uint64_t sev_tcg_cbit;

/* What goes into the TLB for one access. */
typedef struct SevFill {
    SevPageMap *map;            /* NULL: MMIO, no encryption */
    size_t page;
    uint8_t want;               /* the state bit the entry relies on */
    hwaddr paddr;
    MemTxAttrs attrs;
    int prot;
    bool mmio;                  /* not memory, for this access */
    bool failed;                /* the VM stops */
} SevFill;

static void fill_private(SevFill *fill, MemoryRegion *mr, hwaddr xlat,
                         MMUAccessType access)
{
    if (memory_region_is_romd(mr)) {
        if (access == MMU_DATA_STORE) {
            fill->prot = PAGE_WRITE;    /* a command to the flash chip */
            fill->map = NULL;
            fill->mmio = true;
            return;
        }
        fill->prot &= ~PAGE_WRITE;
    }
    if (!(sev_page_state(fill->map, fill->page) & SEV_PAGE_CACHED)) {
        fill->failed = !sev_cache_fill(fill->map, fill->page);
    }
    sev_cache_used(fill->map->cache, fill->page);
    fill->want = SEV_PAGE_CACHED;
    fill->paddr = mr->ram_block->offset + xlat;
    fill->attrs.space = X86ASIdx_SEV;
}

static void fill_shared(SevFill *fill)
{
    uint8_t state = sev_page_state(fill->map, fill->page);

    fill->prot &= ~PAGE_EXEC;
    if ((state & (SEV_PAGE_CACHED | SEV_PAGE_MAPPED | SEV_PAGE_PRIVATE))
        != SEV_PAGE_MAPPED) {
        fill->failed = !sev_cache_share(fill->map, fill->page);
    }
    fill->want = SEV_PAGE_MAPPED;
}

/*
 * For a vCPU that is lent to the lane.  Its page tables are measured, so only a
 * host's mistake leads elsewhere than to the lane's places: then there is
 * nothing.  A look at a page that is not private must not make it so, because
 * another vCPU may share it at this moment: the lane sees a page of its own that
 * nobody uses in its place, and what it makes of that is never used either.
 */
static void fill_lent(SevFill *fill, bool is_private)
{
    SevLanePlace place;
    uint8_t state;

    if (!sev_windows_find(fill->paddr, &place) ||
        place.is_shared == is_private) {
        return;
    }
    fill->attrs.space = X86ASIdx_SEV;
    if (place.is_shared) {
        fill->prot &= ~PAGE_EXEC;
        fill->paddr = SEV_LENT_SHARED_AT + place.offset;
        return;
    }
    fill->map = sev_page_map(place.rb);
    fill->page = place.offset >> TARGET_PAGE_BITS;
    state = sev_page_state(fill->map, fill->page);
    if (place.is_window && sev_lent == SEV_LENT_READ) {
        fill->prot &= ~PAGE_WRITE;
        if (!(state & (SEV_PAGE_PRIVATE | SEV_PAGE_CACHED))) {
            sev_windows_find(LANE_GPA + SEV_LANE_NOTHING, &place);
            fill->map = sev_page_map(place.rb);
            fill->page = place.offset >> TARGET_PAGE_BITS;
            state = sev_page_state(fill->map, fill->page);
        }
    }
    /* Mostly the page is there, by lent.c's ready(), and nobody need be waited for. */
    if (place.is_window && sev_lent == SEV_LENT_WRITE &&
        !(state & SEV_PAGE_CACHED)) {
        sev_cache_fill_blank(fill->map, fill->page);
    } else if (!(state & SEV_PAGE_CACHED)) {
        fill->failed = !sev_cache_fill(fill->map, fill->page);
        sev_lent_failed |= fill->failed;
    }
    sev_cache_used(fill->map->cache, fill->page);
    fill->want = SEV_PAGE_CACHED;
    fill->paddr = place.rb->offset + (place.offset & TARGET_PAGE_MASK);
}

static void fill_page(CPUState *cs, SevFill *fill, bool is_private,
                      MMUAccessType access)
{
    X86ASIdx as = fill->attrs.secure ? X86ASIdx_SMM : X86ASIdx_MEM;
    hwaddr xlat, len = TARGET_PAGE_SIZE;
    MemoryRegion *mr;

    if (unlikely(sev_lent != SEV_LENT_NOT)) {
        fill_lent(fill, is_private);
        return;
    }
    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(cpu_get_address_space(cs, as), fill->paddr,
                                 &xlat, &len, false, MEMTXATTRS_UNSPECIFIED);
    if (!memory_region_is_ram(mr) && !memory_region_is_romd(mr)) {
        fill->mmio = true;
        return;
    }
    fill->map = sev_page_map(mr->ram_block);
    if (!fill->map || !fill->map->cache) {
        fill->map = NULL;
        return;
    }
    fill->page = xlat >> TARGET_PAGE_BITS;
    if (access == MMU_INST_FETCH && !is_private) {
        /* one entry has one view: fetched private, its data is not here */
        is_private = true;
        fill->prot = PAGE_EXEC;
    }
    if (is_private) {
        fill_private(fill, mr, xlat, access);
    } else {
        fill_shared(fill);
    }
}

/*
 * What an SEV-ES guest does to registers of a device it must ask for: a nested
 * page fault that the hypervisor has set up for MMIO is #VC.  The page walk's
 * own reads are not; there silicon has an automatic exit, and we read on.
 */
static bool is_vc(const SevFill *fill, int mmu_idx)
{
    return fill->mmio && mmu_idx != MMU_PHYS_IDX;
}

bool sev_tcg_set_page(CPUState *cs, vaddr addr, hwaddr paddr, bool is_private,
                      int prot, MMUAccessType access, int mmu_idx,
                      vaddr page_size, bool probe, uintptr_t retaddr)
{
    SevFill fill;

    do {
        fill = (SevFill) {
            .paddr = paddr & TARGET_PAGE_MASK,
            .attrs = cpu_get_mem_attrs(cpu_env(cs)),
            .prot = prot,
        };
        fill_page(cs, &fill, is_private, access);
        if (unlikely(fill.failed)) {
            cpu_loop_exit_restore(cs, retaddr);
        }
        if (sev_es_active() && is_vc(&fill, mmu_idx)) {
            if (probe) {
                return false;
            }
            sev_es_intercept(cpu_env(cs), SVM_EXIT_NPF, retaddr);
        }
        tlb_set_page_with_attrs(cs, addr & TARGET_PAGE_MASK, fill.paddr,
                                fill.attrs, fill.prot, mmu_idx, page_size);
        /* Another vCPU may have moved the page before the entry existed. */
    } while (fill.map &&
             unlikely(!(sev_page_state(fill.map, fill.page) & fill.want)));
    return true;
}

void sev_tcg_cpu_realize(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);

    if (!sev_tcg_active()) {
        return;
    }
    if (!(env->features[FEAT_1_ECX] & CPUID_EXT_RDRAND)) {
        /* Linux' sev_verify_cbit() executes it without a look at CPUID */
        warn_report_once("SEV guests need RDRAND, which this CPU model lacks: "
                         "added (say -cpu MODEL,+rdrand)");
        env->features[FEAT_1_ECX] |= CPUID_EXT_RDRAND;
    }
    sev_es_cpu_realize(cs);
    cs->num_ases = X86ASIdx_SEV + 1;
    cpu_address_space_init(cs, X86ASIdx_SEV, "cpu-sev", sev_cache_root());
}

bool sev_tcg_cpu_host(void)
{
    if (!sev_tcg_active()) {
        return false;
    }
    warn_report_once("CPU model 'host' is 'max' for an SEV guest under TCG: "
                     "all that TCG emulates, nothing of this host's CPU");
    return true;
}
