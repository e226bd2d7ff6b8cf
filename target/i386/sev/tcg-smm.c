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
#include "tcg-cache-int.h"
#include "tcg-crypt.h"

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

/* The part of the area that lies in one page. */
static void save_part(CPUState *cs, hwaddr addr, hwaddr len, bool is_saved)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(cpu_env(cs));
    hwaddr xlat, got = len;
    MemoryRegion *mr;
    SevPageMap *map;

    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(cpu_addressspace(cs, attrs), addr, &xlat,
                                 &got, true, attrs);
    map = memory_region_is_ram(mr) ? sev_page_map(mr->ram_block) : NULL;
    if (!map || !map->cache || got < len) {
        return;
    }
    if (is_saved) {
        read_back(map, xlat, len);
    } else {
        make_clean(map, xlat >> TARGET_PAGE_BITS);
    }
}

void sev_tcg_smm_save(CPUX86State *env, bool is_saved)
{
    hwaddr addr = QEMU_ALIGN_DOWN(env->smbase + (hwaddr)SAVE_AREA_START, BLOCK);
    hwaddr end = QEMU_ALIGN_UP(env->smbase + (hwaddr)SAVE_AREA_START +
                               SAVE_AREA_LEN, BLOCK);

    while (sev_tcg_active() && addr < end) {
        hwaddr next = MIN(end, (addr | ~TARGET_PAGE_MASK) + 1);

        save_part(env_cpu(env), addr, next - addr, is_saved);
        addr = next;
    }
}
