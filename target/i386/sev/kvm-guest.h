/*
 * SEV guests under KVM: what hooks in target/i386/kvm/ and sev-guest.c.inc call.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_KVM_GUEST_H
#define TARGET_I386_SEV_KVM_GUEST_H

#include CONFIG_DEVICES                 /* CONFIG_SEV */
#include "system/kvm.h"

struct kvm_run;

/* The types of kvm.c's own tables. */
typedef bool SevKvmRdmsr(X86CPU *cpu, uint32_t msr, uint64_t *val);
typedef bool SevKvmWrmsr(X86CPU *cpu, uint32_t msr, uint64_t val);
typedef int SevKvmFilterMsr(KVMState *s, uint32_t msr, SevKvmRdmsr *rdmsr,
                            SevKvmWrmsr *wrmsr);

#ifdef CONFIG_SEV

/*
 * KVM_EXIT_HYPERCALL for KVM_HC_MAP_GPA_RANGE.  False: not a guest whose
 * declarations are followed here, nothing was done.  vCPU thread.
 */
bool sev_kvm_map_gpa_range(struct kvm_run *run);

/*
 * User space may filter MSRs, through @filter: take MSR_KVM_MIGRATION_CONTROL
 * of a guest whose declarations are followed.  0, or a negative errno.
 */
int sev_kvm_filter_msrs(KVMState *s, SevKvmFilterMsr *filter);

/*
 * CPUID 0x40000001 EAX of a guest whose declarations are followed: it is told
 * that somebody listens.  KVM leaves both bits to user space.  Linux reports
 * page status when it sees KVM_FEATURE_MIGRATION_CONTROL (bit 17) and then
 * writes the MSR, so that the bit is set only where the MSR is filtered.
 */
uint32_t sev_kvm_features(uint32_t eax);

/*
 * Has this kernel what it takes to follow a guest's declarations?  The error
 * names the capability and the first version of Linux with it.
 */
bool sev_kvm_can_follow(Error **errp);

/*
 * Are host reads of memory coherent with what the guest wrote under its key
 * (CPUID 0x8000001F EAX[10], SME_COHERENT)?  Where they are not, an old line
 * may hide a page that the guest has written.  Any thread.
 */
bool sev_kvm_coherent(void);

/* --- kvm-limits.c: memory that KVM pins ------------------------------------ */

/*
 * KVM pins all memory of an SEV guest and counts it against RLIMIT_MEMLOCK.
 * Warn, with the numbers, when a block of RAM will not fit.  BQL held, once,
 * before any RAM is registered.
 */
void sev_kvm_limits_init(void);

/* Why a command failed with ENOMEM, if it is that; caller frees, or NULL. */
char *sev_kvm_limits_explain(void);

#else

static inline bool sev_kvm_map_gpa_range(struct kvm_run *run)
{
    return false;
}

static inline int sev_kvm_filter_msrs(KVMState *s, SevKvmFilterMsr *filter)
{
    return 0;
}

static inline uint32_t sev_kvm_features(uint32_t eax)
{
    return eax;
}

#endif

#endif /* TARGET_I386_SEV_KVM_GUEST_H */
