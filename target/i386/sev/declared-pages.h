/*
 * What the guest declared through KVM_HC_MAP_GPA_RANGE, for the pages of this
 * VM: a SevDeclaredMap of system-physical addresses (ram_addr_t).
 *
 * Under KVM nothing else tells which pages are private, and page-state.c
 * answers from here.  Under TCG the map is kept too, and the exact state can
 * be compared with it (x-query-sev-page-map).
 *
 * The guest's main memory is private until declared shared.  Whatever else
 * lies in RAM blocks (video memory, ROMs, variable stores) is shared, except
 * what the launch encrypted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_DECLARED_PAGES_H
#define TARGET_I386_SEV_DECLARED_PAGES_H

#include "page-state.h"
#include "transfer.h"

/* Does the map answer sev_page_is_private()?  Constant once vCPUs exist. */
extern bool sev_declared_rules;

/* @n pages of @map from @page on were declared; returns how many changed. */
typedef size_t (*SevDeclaredPagesFn)(SevPageMap *map, size_t page, size_t n,
                                     bool is_private);
#define SEV_DECLARED_PAGES_MAX 256      /* in one call */

/*
 * Keep the map, for RAM blocks present and future.  @rules: as above, and
 * pages that change sides are marked dirty for migration.  @declared (may be
 * NULL) is called for all pages of every declaration.  BQL held, once.
 */
void sev_declared_init(bool rules, SevDeclaredPagesFn declared);

/*
 * The hypercall, with KVM's arguments and answer (0 or -KVM_EINVAL): see
 * Linux' Documentation/virt/kvm/x86/hypercalls.rst.  Any vCPU thread.
 */
int64_t sev_declare_gpa_range(uint64_t gpa, uint64_t npages, uint64_t attrs);

/*
 * The same for who cannot wait until the end of a long range: 1 when @enough
 * said that it was.  Call it again with the same arguments then; each call gets
 * some pages further, because those that are done cost next to nothing.
 */
int64_t sev_declare_gpa_range_until(uint64_t gpa, uint64_t npages,
                                    uint64_t attrs,
                                    bool (*enough)(void *opaque), void *opaque);

/* Without the guest's word: a launch command, a received page state. */
void sev_declared_set(ram_addr_t paddr, ram_addr_t length, bool is_private);
void sev_declared_launch(uint64_t uaddr, uint64_t length);

/* sev_page_is_private() and sev_page_foreach_private(), by this map. */
bool sev_declared_is_private(RAMBlock *rb, ram_addr_t offset);
bool sev_declared_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque);

/*
 * Where declarations rule: is there a device whose memory the guest shares
 * without saying so?  BQL held.
 */
bool sev_declared_possible(Error **errp);

/*
 * Where declarations rule: does what the guest declared tell its pages apart?
 * Not when it ran since its last reset and shares nothing of its main memory:
 * then it does not report page status, and pages that it does share would be
 * sent as private ones.  BQL held, or the migration thread with the guest
 * stopped.
 */
bool sev_declared_by_guest(Error **errp);

#endif /* TARGET_I386_SEV_DECLARED_PAGES_H */
