/*
 * SEV guests under KVM: hypercalls, CPUID and an MSR.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "cpu.h"
#include "declared-pages.h"
#include "kvm/kvm_i386.h"
#include "kvm-guest.h"
#include "migration-control.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "standard-headers/asm-x86/kvm_para.h"

#define CPUID_SEV               0x8000001f
#define CPUID_SEV_EAX_COHERENT  (1u << 10)

/* Set before any vCPU exists. */
static bool msr_filtered;

bool sev_kvm_map_gpa_range(struct kvm_run *run)
{
    if (!sev_declared_rules) {
        return false;
    }
    run->hypercall.ret = sev_declare_gpa_range(run->hypercall.args[0],
                                               run->hypercall.args[1],
                                               run->hypercall.args[2]);
    return true;
}

static bool read_control(X86CPU *cpu, uint32_t msr, uint64_t *val)
{
    *val = sev_migration_control();
    return true;
}

static bool write_control(X86CPU *cpu, uint32_t msr, uint64_t val)
{
    return sev_migration_control_write(val);
}

int sev_kvm_filter_msrs(KVMState *s, SevKvmFilterMsr *filter)
{
    int ret;

    if (!sev_declared_rules) {
        return 0;
    }
    ret = filter(s, MSR_KVM_MIGRATION_CONTROL, read_control, write_control);
    msr_filtered = !ret;
    if (ret) {
        warn_report("SEV: the kernel does not filter "
                    "MSR_KVM_MIGRATION_CONTROL: %s", strerror(-ret));
    }
    return 0;                   /* the guest runs, and cannot be migrated */
}

uint32_t sev_kvm_features(uint32_t eax)
{
    return msr_filtered ? eax | 1u << KVM_FEATURE_HC_MAP_GPA_RANGE |
                          1u << KVM_FEATURE_MIGRATION_CONTROL : eax;
}

bool sev_kvm_can_follow(Error **errp)
{
    if (!sev_declared_rules) {
        error_setg(errp, "SEV: migration is not possible: this kernel does "
                   "not hand over KVM_HC_MAP_GPA_RANGE "
                   "(KVM_CAP_EXIT_HYPERCALL, Linux 5.14 and later), so nobody "
                   "knows which pages the guest shares");
        return false;
    }
    if (!msr_filtered) {
        error_setg(errp, "SEV: migration is not possible: this kernel does "
                   "not hand over MSR_KVM_MIGRATION_CONTROL "
                   "(KVM_CAP_X86_USER_SPACE_MSR and KVM_CAP_X86_MSR_FILTER, "
                   "Linux 5.10 and later), without which the guest does not "
                   "declare which pages it shares");
        return false;
    }
    return true;
}

bool sev_kvm_coherent(void)
{
    static int coherent = -1;

    if (qatomic_read(&coherent) < 0) {
        qatomic_set(&coherent,
                    !!(kvm_arch_get_supported_cpuid(kvm_state, CPUID_SEV, 0,
                                                    R_EAX) &
                       CPUID_SEV_EAX_COHERENT));
    }
    return qatomic_read(&coherent) > 0;
}
