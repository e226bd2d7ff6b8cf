/*
 * Memory that RAM blocks have behind their used part goes back to the host.
 *
 * A block that may grow, as that of the ACPI tables, has room for more than it
 * uses.  Where its first page is a huge one, all of that room has memory: 1.9 MiB
 * in each clone.  No guest sees it; a block that grows is written anew.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/madvise.h"
#include "qemu/rcu.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "migration/ram.h"
#include "system/kvm.h"
#include "ram-spare.h"

void sev_ram_spare_release(void)
{
    RAMBlock *rb;

    if (kvm_enabled()) {
        return;                 /* Linux has pinned all of an SEV guest's blocks */
    }
    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        size_t page = qemu_ram_pagesize(rb);
        ram_addr_t used = ROUND_UP(rb->used_length, page);
        ram_addr_t most = ROUND_DOWN(rb->max_length, page);

        if (used < most && rb->fd < 0 && !(rb->flags & RAM_PREALLOC) &&
            page == qemu_real_host_page_size()) {
            /* What cannot go, because it is locked, stays. */
            qemu_madvise(rb->host + used, most - used, QEMU_MADV_DONTNEED);
        }
    }
}
