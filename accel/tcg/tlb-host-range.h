/*
 * Make every softmmu TLB entry that maps a range of host memory miss.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_TLB_HOST_RANGE_H
#define ACCEL_TCG_TLB_HOST_RANGE_H

/*
 * The next access of any vCPU through such an entry takes the slow path and
 * fills the TLB anew.  Synchronous; like tlb_reset_dirty() it may be called
 * from any thread, on behalf of all vCPUs.  @start and @length are in bytes,
 * page-aligned.
 */
void tlb_invalidate_host_range_all(uintptr_t start, uintptr_t length);

/*
 * Call @fn with a host address in each page that a TLB entry of some vCPU
 * maps.  No vCPU runs.
 */
void tlb_foreach_host_page(void (*fn)(uintptr_t host));

#endif /* ACCEL_TCG_TLB_HOST_RANGE_H */
