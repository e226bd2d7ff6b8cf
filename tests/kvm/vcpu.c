/*
 * A vCPU runs: what must hold then, and the exits that real KVM does not make.
 *
 * Guests cannot use VMMCALL where KVM emulates real mode, nor change a C-bit.
 * They write to ports instead (../guest/tiny-sev.S), with the registers of the
 * real thing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>

#include "standin.h"

#define PORT_HYPERCALL      0x9e
#define PORT_FLIP           0x9c        /* EBX: a page whose C-bit changed */

#define HC_MAP_GPA_RANGE    12
#define LEAF_FEATURES       0x40000001
#define FEATURE_MIGRATION_CONTROL 17
#define KVM_ERR_NOSYS       1000
#define KVM_ERR_INVAL       EINVAL

static uint64_t cr3_of(KsVcpu *vcpu)
{
    struct kvm_sregs sregs;

    if (ks_real_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs)) {
        ks_die("KVM_GET_SREGS fails");
    }
    return sregs.cr3;
}

/* --- Before it runs -------------------------------------------------------- */

static void first_run(KsVm *vm)
{
    uint64_t cr3 = 0;
    bool lent = false;

    pthread_mutex_lock(&vm->lock);
    if (!vm->runs) {
        for (unsigned int i = 0; i < vm->vcpu_count && !cr3; i++) {
            cr3 = cr3_of(vm->vcpus[i]);
            /* Of one that was lent QEMU still owes the guest's registers. */
            if (ks_lane_lent(vm, cr3)) {
                lent = true;
                cr3 = 0;
            }
        }
        /* Until it has them, who waits for a startup IPI touches nothing. */
        if (cr3 || !lent) {
            ks_log("ioctl KVM_RUN 0 0");
            ks_memory_first_run(vm, cr3);
        }
    }
    pthread_mutex_unlock(&vm->lock);
}

static void check_state(KsVm *vm)
{
    PspGuestState state = vm->state;
    static _Atomic int said = -1;

    if (state != PSP_GUEST_RUNNING && state != PSP_GUEST_SUPDATE &&
        atomic_exchange(&said, state) != (int)state) {
        ks_violation("KVM_RUN: the guest is in state %d", state);
    }
}

/* --- Exits ----------------------------------------------------------------- */

static void set_rax(KsVcpu *vcpu, uint64_t rax)
{
    struct kvm_regs regs;

    if (ks_real_ioctl(vcpu->fd, KVM_GET_REGS, &regs)) {
        ks_die("KVM_GET_REGS fails");
    }
    regs.rax = (uint32_t)rax;   /* it is not in long mode */
    ks_real_ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

/* Returns whether user space has to answer. */
static bool hypercall(KsVcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    struct kvm_regs regs;
    uint64_t gpa, pages;

    ks_real_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
    gpa = (uint32_t)regs.rbx;
    pages = (uint32_t)regs.rcx;
    if ((uint32_t)regs.rax != HC_MAP_GPA_RANGE ||
        !(vcpu->vm->hypercalls & 1u << HC_MAP_GPA_RANGE)) {
        set_rax(vcpu, -KVM_ERR_NOSYS);
        return false;
    }
    if (gpa % KS_PAGE || !pages || gpa / KS_PAGE + pages <= gpa / KS_PAGE) {
        set_rax(vcpu, -KVM_ERR_INVAL);
        return false;
    }
    run->exit_reason = KVM_EXIT_HYPERCALL;
    run->hypercall.nr = HC_MAP_GPA_RANGE;
    run->hypercall.args[0] = gpa;
    run->hypercall.args[1] = pages;
    run->hypercall.args[2] = (uint32_t)regs.rdx;
    run->hypercall.flags = 0;
    vcpu->hypercall = true;
    return true;
}

static void flip(KsVcpu *vcpu)
{
    struct kvm_regs regs;

    ks_real_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
    ks_memory_flip(vcpu->vm, (uint32_t)regs.rbx, cr3_of(vcpu));
}

/*
 * An MSR that nobody has: #GP, but user space may have asked to hear of it.
 * SEV_STATUS is the processor's, and no hypervisor can intercept it.
 */
static bool unknown_msr(KsVcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    if (run->msr.index == KS_MSR_SEV_STATUS &&
        run->exit_reason == KVM_EXIT_X86_RDMSR) {
        run->msr.data = KS_SEV_STATUS_ENABLED |
                        (vcpu->vm->es_active ? KS_SEV_STATUS_ES : 0);
        run->msr.error = 0;
        return false;
    }
    if (run->msr.reason & vcpu->vm->msr_exits) {
        return true;
    }
    if (run->msr.index == KS_MSR_MIGRATION) {
        ks_violation("MSR 0x%x is not filtered: #GP", run->msr.index);
    }
    run->msr.error = 1;
    return false;
}

/* Is this exit one for user space? */
static bool for_user(KsVcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        if (run->io.direction != KVM_EXIT_IO_OUT) {
            return true;
        }
        if (run->io.port == PORT_HYPERCALL) {
            return hypercall(vcpu);
        }
        if (run->io.port == PORT_FLIP) {
            flip(vcpu);
            return false;
        }
        return true;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return unknown_msr(vcpu);
    default:
        return true;
    }
}

int ks_vcpu_run(KsVcpu *vcpu)
{
    KsVm *vm = vcpu->vm;
    int ret;

    if (vm->need_init) {
        return -EINVAL;
    }
    if (!vm->active) {
        return ks_real_ioctl(vcpu->fd, KVM_RUN, NULL);
    }
    if (!vm->key) {
        ks_violation("KVM_RUN: the guest has no key");
        vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
        return 0;
    }
    if (vcpu->hypercall) {
        vcpu->hypercall = false;
        set_rax(vcpu, vcpu->run->hypercall.ret);
    }
    check_state(vm);
    ks_check_slots(vm);
    if (ks_lane_lent(vm, vm->lane[0].size ? cr3_of(vcpu) : 0)) {
        return ks_lane_run(vcpu);
    }
    if (!vm->runs) {
        first_run(vm);
    }
    do {
        ret = ks_real_ioctl(vcpu->fd, KVM_RUN, NULL);
    } while (!ret && !for_user(vcpu));
    return ret;
}

/* For tests of the stand-in itself: a guest that is told to declare pages. */
static int set_cpuid(KsVcpu *vcpu, const struct kvm_cpuid2 *user)
{
    size_t len = sizeof(*user) + user->nent * sizeof(user->entries[0]);
    g_autofree struct kvm_cpuid2 *cpuid = g_memdup2(user, len);

    for (uint32_t i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function == LEAF_FEATURES &&
            ks_option("force-migration-control")) {
            cpuid->entries[i].eax |= 1u << FEATURE_MIGRATION_CONTROL;
        }
    }
    return ks_real_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
}

int ks_vcpu_ioctl(KsVcpu *vcpu, unsigned long request, uint64_t arg)
{
    KsVm *vm = vcpu->vm;
    int ret;

    if (request == KVM_RUN) {
        return ks_vcpu_run(vcpu);
    }
    if (request == KVM_SET_CPUID2) {
        return set_cpuid(vcpu, (void *)(uintptr_t)arg);
    }
    if (ks_protected_ioctl(vcpu, request, &ret)) {
        return ret;
    }
    ret = ks_real_ioctl(vcpu->fd, request, (void *)(uintptr_t)arg);
    /* A reset takes the table away from the first vCPU. */
    if (!ret && vm->runs && vcpu == vm->vcpus[0] &&
        ((request == KVM_SET_SREGS &&
          !((struct kvm_sregs *)(uintptr_t)arg)->cr3) ||
         (request == KVM_SET_SREGS2 &&
          !((struct kvm_sregs2 *)(uintptr_t)arg)->cr3))) {
        ks_memory_reset(vm);
    }
    return ret;
}
