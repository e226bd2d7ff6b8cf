/*
 * What an accelerator does for a vCPU that is lent to the lane.
 *
 * lend.c keeps two sets of registers, the guest's and the program's, and says
 * which of them CPUX86State holds.  All of this runs on the vCPU's own thread,
 * with the BQL, where nothing else is said.
 *
 *   tcg/lent.c        TCG: the lane is seen by the TLB of the lent vCPU alone
 *   lane/kvm-lent.c   KVM: the lane is mapped while a session is open
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_LANE_LENT_H
#define TARGET_I386_SEV_LANE_LENT_H

#include "cpu.h"
#include "lend.h"
#include "exec/ramblock.h"

typedef struct SevLentOps {
    /* Can this accelerator lend a vCPU?  The error says why not.  Any thread. */
    bool (*possible)(Error **errp);

    /* Has every vCPU a thread of its own? */
    bool (*in_parallel)(void);

    /* The lane's own memory exists from now on.  May come twice. */
    void (*room)(void);

    /*
     * The windows of a session are set: @writes, to be written as well, ROMs
     * and flash among them.  Until close(), which may come without this.
     */
    bool (*open)(bool writes, Error **errp);
    void (*close)(void);

    /* CPUX86State becomes the guest's, all of it, as it is put away. */
    void (*take)(CPUState *cs);
    /* It is the program's: nothing interrupts it, it may do @what. */
    void (*enter)(CPUState *cs, SevLentFor what);
    /*
     * Run until the program rings (sev_lend_ring()), somebody wants something
     * of the vCPU (both: NULL), or it cannot go on: the words say why.  The BQL
     * is released meanwhile.
     */
    const char *(*run)(CPUState *cs);
    /* CPUX86State becomes the program's, all of it. */
    void (*leave)(CPUState *cs);
    /* It is the guest's again, as it was put away. */
    void (*give_back)(CPUState *cs);

    /*
     * The program comes to these pages next: a hint, which makes it faster, or
     * NULL.  Does nothing while a vCPU of the guest may run.  Thread that has the
     * session.
     */
    void (*ready)(RAMBlock *rb, ram_addr_t offset, size_t pages,
                  SevLentFor what);
    /*
     * Pages that the lane used: nothing may stay where the program left it, unless
     * a vCPU of the guest may run, to which they belong.  @code: the program's own
     * page, which was executed.  Thread that has the session.
     */
    void (*evict)(RAMBlock *rb, ram_addr_t offset, size_t pages, bool code);
    /* The secure processor looks at this page of the lane's next. */
    void (*write_back)(RAMBlock *rb, ram_addr_t offset);
} SevLentOps;

extern const SevLentOps sev_lent_tcg, sev_lent_kvm;

const SevLentOps *sev_lent_ops(void);

/* registers.c: CPUX86State becomes what the program begins with in @slot. */
void sev_lane_load_registers(CPUX86State *env, unsigned slot);

#endif /* TARGET_I386_SEV_LANE_LENT_H */
