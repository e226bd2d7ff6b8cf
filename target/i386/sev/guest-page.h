/*
 * Addresses of guest memory: RAM block and offset, host pointer,
 * system-physical address.
 *
 * The only file of the overlay that turns an address into a pointer.  A
 * system-physical address (paddr) is a ram_addr_t: DRAM's own number for a
 * byte, whatever the guest maps it to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_GUEST_PAGE_H
#define TARGET_I386_SEV_GUEST_PAGE_H

#include "exec/cpu-common.h"
#include "hw/psp/psp.h"
#include "transfer.h"

/*
 * The host pointer of exactly one page, or NULL when @page does not lie in
 * guest memory: not aligned, beyond used_length.
 */
uint8_t *sev_page_bytes(const SevPage *page);

/*
 * The paddr of [@uaddr, @uaddr + @len) in this process; false when the range
 * is not within one block of guest memory.
 */
bool sev_guest_paddr(uint64_t uaddr, size_t len, uint64_t *paddr);

/* Host pointer of a range of guest memory, or NULL. */
void *sev_guest_page_map(uint64_t paddr, size_t len);

/* The secure processor has changed a range: dirty for migration. */
void sev_guest_page_written(uint64_t paddr, size_t len);

/* What a command wrote under the guest's key is private. */
void sev_guest_page_mark_private(uint64_t paddr, size_t len);

/* The guest's key is that of @asid from now on. */
void sev_guest_page_set_key(PspPlatform *psp, uint32_t asid);

#endif /* TARGET_I386_SEV_GUEST_PAGE_H */
