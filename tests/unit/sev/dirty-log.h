/*
 * QEMU's dirty log over the pages of a unit test, and RAM blocks in it.
 *
 * The log is QEMU's own code, inline functions on ram_list; here are the
 * bitmaps under it.  For programs that are compiled for a target; each may
 * include it once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_SEV_DIRTY_LOG_H
#define TESTS_UNIT_SEV_DIRTY_LOG_H

#include "exec/ram_addr.h"
#include "exec/ramlist.h"
#include "system/xen.h"

RAMList ram_list;

#ifdef CONFIG_XEN_IS_POSSIBLE
bool xen_allowed;

void xen_hvm_modified_memory(ram_addr_t start, ram_addr_t length)
{
}
#endif

static inline void dirty_log_init(void)
{
    for (int i = 0; i < DIRTY_MEMORY_NUM; i++) {
        ram_list.dirty_memory[i] = g_malloc0(sizeof(DirtyMemoryBlocks) +
                                             sizeof(unsigned long *));
        ram_list.dirty_memory[i]->blocks[0] =
            bitmap_new(DIRTY_MEMORY_BLOCK_SIZE);
    }
}

static inline void dirty_log_clear(void)
{
    for (int i = 0; i < DIRTY_MEMORY_NUM; i++) {
        bitmap_zero(ram_list.dirty_memory[i]->blocks[0],
                    DIRTY_MEMORY_BLOCK_SIZE);
    }
}

static inline bool is_dirty(int client, ram_addr_t paddr)
{
    return test_bit(paddr >> TARGET_PAGE_BITS,
                    ram_list.dirty_memory[client]->blocks[0]);
}

static inline size_t count_dirty(int client)
{
    return bitmap_count_one(ram_list.dirty_memory[client]->blocks[0],
                            DIRTY_MEMORY_BLOCK_SIZE);
}

#endif /* TESTS_UNIT_SEV_DIRTY_LOG_H */
