/*
 * SEV guests under KVM: the calls that hooks in target/i386/kvm/ make.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_KVM_GUEST_H
#define TARGET_I386_SEV_KVM_GUEST_H

#include CONFIG_DEVICES                 /* CONFIG_SEV */

struct kvm_run;

#ifdef CONFIG_SEV

/*
 * KVM_EXIT_HYPERCALL for KVM_HC_MAP_GPA_RANGE.  False: not a guest whose
 * declarations are followed here, nothing was done.  vCPU thread.
 */
bool sev_kvm_map_gpa_range(struct kvm_run *run);

/*
 * CPUID 0x40000001 EAX of a guest whose declarations are followed: it is told
 * that somebody listens.  KVM leaves that bit to user space.
 */
uint32_t sev_kvm_features(uint32_t eax);

#else

static inline bool sev_kvm_map_gpa_range(struct kvm_run *run)
{
    return false;
}

static inline uint32_t sev_kvm_features(uint32_t eax)
{
    return eax;
}

#endif

#endif /* TARGET_I386_SEV_KVM_GUEST_H */
