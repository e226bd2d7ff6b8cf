/*
 * SEV guests under KVM: hypercalls and CPUID.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "cpu.h"
#include "declared-pages.h"
#include "kvm-guest.h"
#include "standard-headers/asm-x86/kvm_para.h"

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

uint32_t sev_kvm_features(uint32_t eax)
{
    return sev_declared_rules ? eax | 1u << KVM_FEATURE_HC_MAP_GPA_RANGE : eax;
}
