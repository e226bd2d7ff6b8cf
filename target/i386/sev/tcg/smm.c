/*
 * The state that a vCPU saves when it enters SMM.
 *
 * The save area is DRAM's: whoever emulates SMM writes and reads it there, past
 * the guest's key.  Firmware keeps private data in the same page.  On silicon
 * they lie in different cache lines; our lines are pages, and one that is
 * written back later must not bring the old content of the area along.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "hw/psp/psp-memory.h"
#include "qemu/lockable.h"
#include "cache-int.h"
#include "host-write.h"
#include "smm.h"
#include "crypt.h"

/* From SMBASE (APM vol. 2, 10.2.1 and .3); whole blocks of the cipher. */
#define SAVE_AREA_START 0xfe00
#define SAVE_AREA_LEN   0x200
#define BLOCK           16

/* Before: nothing of the page is newer than DRAM, and DRAM is no packet. */
static void make_clean(SevPageMap *map, size_t page)
{
    WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
        if (map->rb) {
            sev_sealed_settle(map, page);
        }
    }
    sev_cache_writeback(map, page);
}

/* After: what the cache would write is what DRAM holds. */
static void read_back(SevPageMap *map, ram_addr_t offset, size_t len)
{
    SevCacheBlock *b = map->cache;

    QEMU_LOCK_GUARD(&sev_cache_lock);
    if (map->rb && map->state[offset >> TARGET_PAGE_BITS] & SEV_PAGE_CACHED) {
        psp_mem_decrypt(sev_cache_vek, map->rb->offset + offset,
                        b->dram + offset, b->plain + offset, len);
    }
}

/* What holds [@addr, @addr + @len), of one page, or NULL; *@xlat: where. */
static SevPageMap *map_at(CPUState *cs, hwaddr addr, hwaddr len, hwaddr *xlat)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(cpu_env(cs));
    hwaddr got = len;
    MemoryRegion *mr = address_space_translate(cpu_addressspace(cs, attrs),
                                               addr, xlat, &got, true, attrs);
    SevPageMap *map = memory_region_is_ram(mr) ? sev_page_map(mr->ram_block)
                                               : NULL;

    return map && map->cache && got >= len ? map : NULL;
}

typedef bool PartFn(SevPageMap *map, hwaddr offset, hwaddr len);

static bool part_before(SevPageMap *map, hwaddr offset, hwaddr len)
{
    make_clean(map, offset >> TARGET_PAGE_BITS);
    return true;
}

static bool part_after(SevPageMap *map, hwaddr offset, hwaddr len)
{
    read_back(map, offset, len);
    return true;
}

static bool part_is_shared(SevPageMap *map, hwaddr offset, hwaddr len)
{
    return !(map->state[offset >> TARGET_PAGE_BITS] & SEV_PAGE_PRIVATE);
}

/* For each page that the area is in, until @part says no. */
static bool each_part(CPUState *cs, PartFn *part)
{
    CPUX86State *env = cpu_env(cs);
    hwaddr addr = QEMU_ALIGN_DOWN(env->smbase + (hwaddr)SAVE_AREA_START, BLOCK);
    hwaddr end = QEMU_ALIGN_UP(env->smbase + (hwaddr)SAVE_AREA_START +
                               SAVE_AREA_LEN, BLOCK);
    bool more = true;

    RCU_READ_LOCK_GUARD();
    while (more && addr < end) {
        hwaddr next = MIN(end, (addr | ~TARGET_PAGE_MASK) + 1), xlat;
        SevPageMap *map = map_at(cs, addr, next - addr, &xlat);

        more = !map || part(map, xlat, next - addr);
        addr = next;
    }
    return more;
}

void sev_tcg_smm_save(CPUX86State *env, bool is_saved)
{
    if (sev_tcg_active()) {
        sev_host_write_ignore(!is_saved);
        each_part(env_cpu(env), is_saved ? part_after : part_before);
    }
}

bool sev_smm_may_move(Error **errp)
{
    CPUState *cs;

    if (!sev_tcg_active()) {
        return true;
    }
    CPU_FOREACH(cs) {
        if (cpu_env(cs)->hflags & HF_SMM_MASK &&
            !each_part(cs, part_is_shared)) {
            error_setg(errp, "SEV: vCPU %d is in SMM, and its state lies in an "
                       "encrypted page as it is: let the guest run on, and try "
                       "again", cs->cpu_index);
            return false;
        }
    }
    return true;
}
