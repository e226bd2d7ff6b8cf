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

uint64_t sev_tcg_cbit;

/* What goes into the TLB for one access. */
typedef struct SevFill {
    SevPageMap *map;            /* NULL: MMIO, no encryption */
    size_t page;
    uint8_t want;               /* the state bit the entry relies on */
    hwaddr paddr;
    MemTxAttrs attrs;
    int prot;
    bool failed;                /* the VM stops */
} SevFill;

static void fill_private(SevFill *fill, MemoryRegion *mr, hwaddr xlat,
                         MMUAccessType access)
{
    if (memory_region_is_romd(mr)) {
        if (access == MMU_DATA_STORE) {
            fill->prot = PAGE_WRITE;    /* a command to the flash chip */
            fill->map = NULL;
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

static void fill_page(CPUState *cs, SevFill *fill, bool is_private,
                      MMUAccessType access)
{
    X86ASIdx as = fill->attrs.secure ? X86ASIdx_SMM : X86ASIdx_MEM;
    hwaddr xlat, len = TARGET_PAGE_SIZE;
    MemoryRegion *mr;

    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(cpu_get_address_space(cs, as), fill->paddr,
                                 &xlat, &len, false, MEMTXATTRS_UNSPECIFIED);
    if (!memory_region_is_ram(mr) && !memory_region_is_romd(mr)) {
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

void sev_tcg_set_page(CPUState *cs, vaddr addr, hwaddr paddr, bool is_private,
                      int prot, MMUAccessType access, int mmu_idx,
                      vaddr page_size, uintptr_t retaddr)
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
        tlb_set_page_with_attrs(cs, addr & TARGET_PAGE_MASK, fill.paddr,
                                fill.attrs, fill.prot, mmu_idx, page_size);
        /* Another vCPU may have moved the page before the entry existed. */
    } while (fill.map &&
             unlikely(!(sev_page_state(fill.map, fill.page) & fill.want)));
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
