/*
 * A vCPU that is lent to the lane, under TCG.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_LENT_H
#define TARGET_I386_SEV_TCG_LENT_H

#include "target/i386/sev/lane/lend.h"

/* Is the vCPU of this thread lent, and what for? */
extern __thread SevLentFor sev_lent;
/* A page could not be had: the program cannot go on. */
extern __thread bool sev_lent_failed;

/* Where the lane's mailboxes lie in the address space of private pages. */
#define SEV_LENT_SHARED_AT (UINT64_C(1) << 62)

/* Give that address space the mailboxes.  Once; BQL held. */
void sev_lent_init(void);

/* Can TCG lend a vCPU?  Not with icount: its budget is the loop's. */
bool sev_lent_possible(Error **errp);

/*
 * The vCPU changes hands: @what for the lane, SEV_LENT_NOT for the guest.  What
 * its TLB holds is another one's then.  On its own thread, outside cpu_exec().
 */
void sev_lent_change(CPUState *cs, SevLentFor what);

/* As the accelerator's loop does, once; EXCP_*.  BQL held, released within. */
int sev_lent_exec(CPUState *cs);

/*
 * Registers that TCG keeps twice: hardware breakpoints are off until the guest
 * is back; returns its DR7.
 */
uint64_t sev_lent_no_breakpoints(CPUState *cs);
void sev_lent_breakpoints(CPUState *cs, uint64_t dr7);

/* No interrupt, NMI or SMI is taken. */
void sev_lent_hold_interrupts(CPUState *cs);

/*
 * Pages that the lane used while no vCPU of the guest runs leave the cache:
 * nothing is cached while a VM is stopped.  The lent vCPU's TLB was flushed.
 */
void sev_lent_evict(RAMBlock *rb, ram_addr_t offset, size_t pages);

/* The same for the program's own page, which has translated code. */
void sev_lent_evict_code(RAMBlock *rb, ram_addr_t offset);

/*
 * The lane writes pages of ROMs and flash; nothing else can while no vCPU of
 * the guest runs.  BQL held.
 */
void sev_lent_rom_writable(bool writable);

#endif /* TARGET_I386_SEV_TCG_LENT_H */
