/*
 * SEV-ES: the launch of vCPUs, and registers that nobody has afterwards.
 *
 * Registers go to the firmware as a save area (VMSA), and belong to the guest from
 * then on.  The guest itself runs without one: what it would do with a GHCB is
 * TCG's to show.  Linux has no SEND_UPDATE_VMSA and no RECEIVE_UPDATE_VMSA.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>

#include "hw/psp/psp-vmsa.h"
#include "standin.h"

#define DR7_FIXED       0x400u

/* What of the state user space has set, as far as the measurement is concerned */
static int vmsa_of(KsVcpu *vcpu, bool legacy, PspVmsa *vmsa)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_debugregs debug;
    PspVmsaStart start = { .legacy = legacy };

    if (ks_real_ioctl(vcpu->fd, KVM_GET_REGS, &regs) ||
        ks_real_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) ||
        ks_real_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug)) {
        ks_die("a vCPU does not say its registers");
    }
    if (debug.dr7 & ~(uint64_t)DR7_FIXED) {
        return -EINVAL;
    }
    start.signature = regs.rdx;
    start.reset_addr = vcpu == vcpu->vm->vcpus[0] ? 0
                                                  : sregs.cs.base + regs.rip;
    psp_vmsa_start(vmsa, &start);
    return 0;
}

int ks_sev_launch_update_vmsa(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    int ret = 0;

    if (!vm->es_active) {
        return -ENOTTY;
    }
    for (unsigned int i = 0; i < vm->vcpu_count && !ret; i++) {
        KsVcpu *vcpu = vm->vcpus[i];
        PspVmsa vmsa __attribute__((aligned(KS_PAGE)));
        PspLaunchUpdate buf = {
            .handle = GUINT32_TO_LE(vm->handle),
            .len = GUINT32_TO_LE(sizeof(vmsa)),
        };

        ret = vmsa_of(vcpu, vm->type == KVM_X86_DEFAULT_VM, &vmsa);
        if (ret) {
            break;
        }
        buf.paddr = ks_paddr(&vmsa);
        ret = ks_firmware(vm, PSP_CMD_LAUNCH_UPDATE_VMSA, &buf, sizeof(buf),
                          &cmd->error);
        vcpu->is_protected = !ret;
    }
    return ret;
}

static bool is_state(unsigned long request, bool *is_set)
{
    switch (request) {
    case KVM_SET_REGS:
    case KVM_SET_SREGS:
    case KVM_SET_SREGS2:
    case KVM_SET_DEBUGREGS:
    case KVM_SET_FPU:
    case KVM_SET_XSAVE:
    case KVM_SET_XCRS:
        *is_set = true;
        return true;
    case KVM_GET_REGS:
    case KVM_GET_SREGS:
    case KVM_GET_SREGS2:
    case KVM_GET_DEBUGREGS:
    case KVM_GET_FPU:
    case KVM_GET_XSAVE:
    case KVM_GET_XSAVE2:
    case KVM_GET_XCRS:
        *is_set = false;
        return true;
    default:
        return false;
    }
}

/*
 * Linux refuses where the VM was made for SEV-ES.  In an older kind of VM it goes on
 * with registers of its own, which have nothing to do with the guest's: what is
 * set is lost, and what is got is written down here and refused, as QEMU must not
 * believe it.
 */
bool ks_protected_ioctl(KsVcpu *vcpu, unsigned long request, int *ret)
{
    bool is_set;

    if (!vcpu->is_protected || !is_state(request, &is_set)) {
        return false;
    }
    *ret = -EINVAL;
    if (vcpu->vm->type == KVM_X86_DEFAULT_VM) {
        *ret = is_set ? 0 : -EINVAL;
        if (!is_set) {
            ks_violation("registers of an SEV-ES guest are asked for");
        }
    }
    return true;
}
