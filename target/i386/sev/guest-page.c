/*
 * Addresses of guest memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "declared-pages.h"
#include "guest-page.h"
#include "page-state.h"
#include "target/i386/sev/tcg/cache.h"
#include "target/i386/sev/tcg/sealed.h"
#include "exec/ram_addr.h"
#include "hw/psp/psp-memory.h"

uint8_t *sev_page_bytes(const SevPage *page)
{
    RAMBlock *rb = page->rb;

    if (!rb->host || page->offset & ~TARGET_PAGE_MASK ||
        page->offset >= rb->used_length ||
        rb->used_length - page->offset < TARGET_PAGE_SIZE) {
        return NULL;
    }
    return rb->host + page->offset;
}

bool sev_guest_paddr(uint64_t uaddr, size_t len, uint64_t *paddr)
{
    void *ptr = (void *)(uintptr_t)uaddr;
    ram_addr_t offset;
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    rb = qemu_ram_block_from_host(ptr, false, &offset);
    if (!rb || !sev_page_map(rb) || offset > rb->used_length ||
        len > rb->used_length - offset) {
        return false;
    }
    *paddr = rb->offset + offset;
    return true;
}

void *sev_guest_page_map(uint64_t paddr, size_t len)
{
    SevPageMap *map = sev_page_map_at(paddr);
    ram_addr_t offset;

    if (!map) {
        return NULL;
    }
    offset = paddr - map->rb->offset;
    if (len > map->rb->used_length - offset ||
        !sev_sealed_settle_range(map, offset, len)) {
        return NULL;
    }
    return map->rb->host + offset;
}

void sev_guest_page_written(uint64_t paddr, size_t len)
{
    cpu_physical_memory_set_dirty_range(paddr, len, DIRTY_CLIENTS_NOCODE);
}

void sev_guest_page_mark_private(uint64_t paddr, size_t len)
{
    SevPageMap *map = sev_page_map_at(paddr);

    if (map && len) {
        sev_page_set_private(map->rb, paddr - map->rb->offset, len, true);
        sev_declared_set(paddr, len, true);
    }
}

void sev_guest_page_set_key(PspPlatform *psp, uint32_t asid)
{
    g_autoptr(PspMemKey) key = psp_mem_key_get(psp, asid);

    sev_cache_set_key(key);
}
