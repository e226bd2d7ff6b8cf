/*
 * Builds without KVM: what upstream's sev.c calls of it.
 *
 * None of this is reached: SEV with the kernel's secure processor begins in
 * the KVM accelerator, and the software backend answers every command itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "kvm/kvm_i386.h"
#include "kvm-guest.h"
#include "lane/lent.h"
#include "system/kvm.h"

bool kvm_enable_hypercall(uint64_t enable_mask)
{
    return false;
}

bool kvm_is_vm_type_supported(int type)
{
    return false;
}

bool kvm_kernel_irqchip_allowed(void)
{
    return false;
}

void kvm_mark_guest_state_protected(void)
{
}

int kvm_set_memory_attributes_private(hwaddr start, uint64_t size)
{
    return -ENOSYS;
}

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_vcpu_ioctl(CPUState *cpu, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_vm_check_extension(KVMState *s, unsigned int extension)
{
    return 0;
}

bool sev_kvm_can_follow(Error **errp)
{
    g_assert_not_reached();
}

bool sev_kvm_coherent(void)
{
    return false;
}

const SevLentOps sev_lent_kvm;

void sev_kvm_limits_init(void)
{
}

char *sev_kvm_limits_explain(void)
{
    return NULL;
}
