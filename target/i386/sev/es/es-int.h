/*
 * What the files of an emulated SEV-ES guest share.
 *
 * Everything here is called by the thread of the vCPU it is about, or while no
 * vCPU runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_ES_ES_INT_H
#define TARGET_I386_SEV_ES_ES_INT_H

#include <setjmp.h>
#include "cpu.h"
#include "hw/psp/psp-vmsa.h"

#define MSR_AMD64_SEV_ES_GHCB   0xc0010130
/* Requests by the MSR have a code here, where a GHCB's address has zeros. */
#define GHCB_MSR_CODE           0xfff

/* Who holds a vCPU until the next startup IPI (AP reset hold) */
typedef enum SevEsHold {
    SEV_ES_NOT_HELD,
    SEV_ES_HELD_BY_MSR,         /* its answer goes to the GHCB MSR */
    SEV_ES_HELD_BY_PAGE,        /* ... to the GHCB page */
} SevEsHold;

/* One vCPU. */
typedef struct SevEsCpu {
    int index;                  /* CPUState.cpu_index */
    uint64_t ghcb;              /* the GHCB MSR */
    uint8_t hold;               /* SevEsHold */
    bool measured;              /* LAUNCH_UPDATE_VMSA has had it, or a packet */
    bool started;               /* had its first startup IPI; vCPU 0: always */
    bool woken;                 /* had one on its way to the next hold */
    bool in_hypervisor;         /* nothing is intercepted */
    sigjmp_buf fault;           /* in the hypervisor: where exceptions go */
    PspVmsa *vmsa;              /* its registers while the VM is stopped */
} SevEsCpu;

/* The vCPU's state, or NULL when it was plugged after the launch. */
SevEsCpu *sev_es_cpu(CPUState *cs);

/* What the guest and its hypervisor go by (launch.c) */
typedef struct SevEsProtocol {
    uint16_t version_min;
    uint16_t version_max;
    uint8_t cbitpos;
    bool legacy;                /* PspVmsaStart.legacy */
    /* By which APs are started: firmware sets it, the kernel reads it. */
    uint64_t ap_jump_table;
} SevEsProtocol;

extern SevEsProtocol sev_es_protocol;

/* What the GHCB MSR holds after a reset: version and C-bit */
uint64_t sev_es_info(void);

/* What a VMGEXIT leads to */
typedef enum SevEsNext {
    SEV_ES_RESUME,              /* the guest goes on behind it */
    SEV_ES_HALT,                /* ... when something happens */
    SEV_ES_AGAIN,               /* it begins again: the vCPU is wanted */
    SEV_ES_END,                 /* the guest has ended */
} SevEsNext;

/* VMGEXIT with a request in the MSR (ghcb-msr.c), or in a page (ghcb.c) */
SevEsNext sev_es_msr_request(CPUX86State *env, SevEsCpu *es);
SevEsNext sev_es_page_request(CPUX86State *env, SevEsCpu *es);

/*
 * AP reset hold: does the vCPU wait?  Not when the startup IPI came before it
 * got here.
 */
bool sev_es_hold(SevEsCpu *es, SevEsHold hold);

/* The startup IPI that ends a hold: tell the guest that it was one. */
void sev_es_msr_wake(SevEsCpu *es);
void sev_es_page_wake(CPUX86State *env, SevEsCpu *es);

/*
 * Execute @helper for the guest as its hypervisor.  The vector of the exception
 * that it raised, or -1.
 */
typedef void SevEsHelper(CPUX86State *env);
int sev_es_run(CPUX86State *env, SevEsCpu *es, SevEsHelper *helper);

/* CPUID as the guest may know it; @xcr0 is the guest's, for leaf 0xd. */
void sev_es_cpuid(CPUX86State *env, uint32_t leaf, uint32_t index,
                  uint64_t xcr0, uint32_t regs[4]);

/* The guest ends, and says why in these words (end.c). */
void sev_es_end(CPUX86State *env, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void sev_es_end_requested(CPUX86State *env, unsigned set, unsigned code);

/*
 * A vCPU's registers as a VMSA, and back (vmsa.c).  A VMSA has all of them that
 * KVM does not intercept; other state, which a hypervisor knows, stays in
 * CPUX86State.
 */
void sev_es_vmsa_save(X86CPU *cpu, PspVmsa *vmsa);
void sev_es_vmsa_load(X86CPU *cpu, const PspVmsa *vmsa);

/* The same as KVM has it for LAUNCH_UPDATE_VMSA; @legacy: PspVmsaStart.legacy */
void sev_es_vmsa_launch(X86CPU *cpu, bool legacy, PspVmsa *vmsa);

/*
 * From now on these are the registers of the vCPU, for when it runs next.  The
 * VM is stopped; what is at @vmsa is copied.
 */
void sev_es_give_vmsa(CPUState *cs, const PspVmsa *vmsa);
void sev_es_drop_vmsa(SevEsCpu *es);

/* Register what moves in the clear with the guest, or a vCPU (move.c). */
void sev_es_vmstate_guest(void);
void sev_es_vmstate_vcpu(SevEsCpu *es);

/* From now on nobody sees registers (hidden.c). */
void sev_es_hide_registers(void);

#endif /* TARGET_I386_SEV_ES_ES_INT_H */
