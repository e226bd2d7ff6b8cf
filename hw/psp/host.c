/*
 * The host's memory, as command handlers reach it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"

#include <string.h>

bool psp_map(PspPlatform *psp, PspMap *map, uint64_t paddr, size_t len,
             bool write)
{
    map->ptr = NULL;
    map->paddr = paddr;
    map->len = len;
    map->write = write;
    if (len && len - 1 <= UINT64_MAX - paddr) {
        map->ptr = psp->host->mem_map(psp->opaque, paddr, len, write);
    }
    return map->ptr != NULL;
}

void psp_unmap(PspPlatform *psp, PspMap *map, size_t written)
{
    if (map->ptr) {
        psp->host->mem_unmap(psp->opaque, map->ptr, map->paddr, map->len,
                             written);
        map->ptr = NULL;
    }
}

bool psp_copy_in(PspPlatform *psp, uint64_t paddr, void *dst, size_t len)
{
    PspMap map;

    if (!psp_map(psp, &map, paddr, len, false)) {
        return false;
    }
    memcpy(dst, map.ptr, len);
    psp_unmap(psp, &map, 0);
    return true;
}

bool psp_copy_out(PspPlatform *psp, uint64_t paddr, const void *src,
                  size_t len)
{
    PspMap map;

    if (!psp_map(psp, &map, paddr, len, true)) {
        return false;
    }
    memcpy(map.ptr, src, len);
    psp_unmap(psp, &map, len);
    return true;
}
