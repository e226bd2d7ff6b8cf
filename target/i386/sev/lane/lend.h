/*
 * Lending a vCPU to the lane.
 *
 * A vCPU's own thread saves its registers, loads those with which the program
 * begins (lane/abi.h, "ENTRY"), runs until the program rings, and restores.
 * Neither the run state nor timers or devices take part: the VM may run, be
 * paused, or wait for a migration to come in.  A guest that runs sees stolen
 * time.
 *
 * Interrupts, NMI and SMI stay pending until the guest has its registers back.
 * What other threads ask of the vCPU meanwhile is done with the guest's
 * registers in place.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_LANE_LEND_H
#define TARGET_I386_SEV_LANE_LEND_H

#include "hw/core/cpu.h"
#include "qapi/error.h"

/* What may the program do with the guest's pages? */
typedef enum SevLentFor {
    SEV_LENT_NOT,
    SEV_LENT_READ,              /* SEAL: a look that changes no page's state */
    SEV_LENT_WRITE,             /* OPEN: pages are written whole */
} SevLentFor;

/* Can a vCPU of this VM run the program?  The error says what it lacks. */
bool sev_lend_possible(Error **errp);

/*
 * How many vCPUs can run the program at the same time: those of the guest that
 * have a thread of their own, and a core of the host to run on.  1 to
 * SEV_LEND_MAX.
 */
#define SEV_LEND_MAX 8
unsigned sev_lend_vcpus(void);

/*
 * Run the program in @slot on vCPU number @vcpu, until it rings.  It has begun,
 * or will when what was asked of that vCPU before is over; the caller may do
 * something else, and must come back with what this returns.  One run at a time
 * for each slot.  Any thread but a vCPU's, with or without the BQL.
 */
typedef struct SevLend SevLend;
SevLend *sev_lend_start(unsigned slot, unsigned vcpu, SevLentFor what);

/* Wait until the program is not running any more; @lend is still there. */
void sev_lend_wait(SevLend *lend);

/*
 * Wait for its end.  False: it faulted, shut down, did not ring in time, or the
 * guest's debugger was in the way; the guest has its registers all the same.
 * The BQL, if it is held, is released meanwhile.
 */
bool sev_lend_finish(SevLend *lend, Error **errp);

/*
 * Wait until no program is under way on any vCPU; none begins before the caller
 * releases the BQL.  With the BQL, which is released meanwhile.
 */
void sev_lend_quiesce(void);

/* For an accelerator: the program of this thread's vCPU rings, with @said. */
void sev_lend_ring(uint8_t said);

/*
 * For the hook in qemu_system_reset_request(): does the vCPU whose thread this
 * is belong to the lane?  Then a shutdown is the program's, not the guest's.
 */
bool sev_lend_shut_down(void);

#endif /* TARGET_I386_SEV_LANE_LEND_H */
