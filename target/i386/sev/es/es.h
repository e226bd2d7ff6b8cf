/*
 * SEV-ES guests under TCG: the calls that hooks in target/i386/ make.
 *
 * The processor does not exit to the hypervisor where an SEV-ES guest does what
 * is intercepted: it raises #VC, and the guest's handler asks for what it wants
 * to with VMGEXIT (APM vol. 2, 15.35).  What is intercepted is what Linux' KVM
 * intercepts (vc.c).
 *
 * When no SEV-ES guest is emulated each of these is one branch, taken when code
 * is translated wherever it can be.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_ES_ES_H
#define TARGET_I386_SEV_ES_ES_H

#ifndef CONFIG_USER_ONLY
#include CONFIG_DEVICES                 /* CONFIG_SEV */
#endif

/* VMM communication exception; its error code is the exit code. */
#define EXCP1D_VC 29

#if defined(CONFIG_SEV) && defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)

/* Set once, before the first vCPU exists. */
extern bool sev_es_enabled_tcg;

static inline bool sev_es_active(void)
{
    return unlikely(sev_es_enabled_tcg);
}

/*
 * The TLBs that a new CR3 empties: all; in an SEV-ES guest only those that CR3
 * has filled.  OVMF's #VC handler ends by loading CR3 with what it was, so its
 * page tables themselves would be looked up anew for every #VC.
 */
static inline uint16_t sev_es_cr3_tlbs(void)
{
    return MAKE_64BIT_MASK(0, sev_es_active() ? MMU_PHYS_IDX : NB_MMU_MODES);
}

/* The same in an SEV-ES guest. */
void sev_es_raise_vc(CPUX86State *env, uint32_t type, uintptr_t retaddr);

/*
 * An event with SVM exit code @type is about to happen, in any guest.  Raises
 * #VC, and does not return, if this is an SEV-ES guest and the event is one that
 * is intercepted; @retaddr as for helpers.  A nested guest without SEV comes
 * here as well.
 */
static inline void sev_es_intercept(CPUX86State *env, uint32_t type,
                                    uintptr_t retaddr)
{
    if (sev_es_active()) {
        sev_es_raise_vc(env, type, retaddr);
    }
}

/* INIT and SIPI of a vCPU.  False: as always, this is no SEV-ES guest. */
bool sev_es_cpu_init(X86CPU *cpu);
bool sev_es_cpu_sipi(X86CPU *cpu);

/* Registers of this guest are for nobody to see, or set. */
bool sev_es_registers_hidden(void);

#else

static inline bool sev_es_active(void)
{
    return false;
}

static inline uint16_t sev_es_cr3_tlbs(void)
{
    return MAKE_64BIT_MASK(0, NB_MMU_MODES);
}

static inline void sev_es_intercept(CPUX86State *env, uint32_t type,
                                    uintptr_t retaddr)
{
}

static inline bool sev_es_cpu_init(X86CPU *cpu)
{
    return false;
}

static inline bool sev_es_cpu_sipi(X86CPU *cpu)
{
    return false;
}

static inline bool sev_es_registers_hidden(void)
{
    return false;
}

#endif

#endif /* TARGET_I386_SEV_ES_ES_H */
