/*
 * KVM itself and its VMs: an SEV guest is an ordinary VM in front of which
 * some requests are answered here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "standin.h"

#define HC_MAP_GPA_RANGE    12
#define LEAF_SEV            0x8000001f
#define LEAF_SEV_BIT        (1u << 1)
#define LEAF_ES_BIT         (1u << 3)
#define LEAF_COHERENT_BIT   (1u << 10)

/* --- VMs ------------------------------------------------------------------- */

static int create_vm(int fd, unsigned long type)
{
    bool is_sev = (type == KVM_X86_SEV_VM ||
                   (type == KVM_X86_SEV_ES_VM && ks_option("es"))) &&
                  !ks_option("no-sev") && !ks_option("no-vm-types");
    int vm_fd = ks_real_ioctl(fd, KVM_CREATE_VM,
                              (void *)(is_sev ? KVM_X86_DEFAULT_VM : type));
    KsVm *vm;

    ks_log("ioctl KVM_CREATE_VM %d %lu", vm_fd < 0 ? -vm_fd : 0, type);
    if (vm_fd < 0) {
        return vm_fd;
    }
    vm = ks_vm_new();
    vm->fd = vm_fd;
    vm->type = type;
    vm->need_init = is_sev;
    ks_file_add(vm_fd, KS_VM, vm, true);
    return vm_fd;
}

static int create_vcpu(KsVm *vm, uint64_t id)
{
    int fd = ks_real_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
    KsVcpu *vcpu;

    ks_log("ioctl KVM_CREATE_VCPU %d 0", fd < 0 ? -fd : 0);
    if (fd < 0) {
        return fd;
    }
    if (vm->vcpu_count == KS_VCPUS) {
        ks_die("more than %d vCPUs", KS_VCPUS);
    }
    vcpu = g_new0(KsVcpu, 1);
    vcpu->vm = vm;
    vcpu->fd = fd;
    /* The same page that QEMU maps for itself. */
    vcpu->run = mmap(NULL, KS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (vcpu->run == MAP_FAILED) {
        ks_die("cannot map a vCPU: %s", strerror(errno));
    }
    vm->vcpus[vm->vcpu_count++] = vcpu;
    ks_file_add(fd, KS_VCPU, vcpu, true);
    return fd;
}

/* --- What it says it can do ------------------------------------------------ */

static int check_extension(int fd, uint64_t cap)
{
    int ret = ks_real_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap);

    switch (cap) {
    case KVM_CAP_VM_TYPES:
        return ks_option("no-vm-types") ? 0 : (ret > 0 ? ret : 1) |
               (ks_option("no-sev") ? 0 : 1 << KVM_X86_SEV_VM |
                (ks_option("es") ? 1 << KVM_X86_SEV_ES_VM : 0));
    case KVM_CAP_EXIT_HYPERCALL:
        return ks_option("no-exit-hypercall") ? 0 : 1 << HC_MAP_GPA_RANGE;
    case KVM_CAP_X86_MSR_FILTER:
    case KVM_CAP_X86_USER_SPACE_MSR:
        return ks_option("no-msr-filter") ? 0 : ret;
    default:
        return ret;
    }
}

/* Its C-bit is this CPU's own: QEMU asks CPUID, and that cannot be played. */
static int supported_cpuid(int fd, struct kvm_cpuid2 *cpuid)
{
    uint32_t room = cpuid->nent;
    int ret = ks_real_ioctl(fd, KVM_GET_SUPPORTED_CPUID, cpuid);
    struct kvm_cpuid_entry2 *leaf = NULL;

    if (ret || ks_option("no-sev")) {
        return ret;
    }
    for (uint32_t i = 0; i < cpuid->nent && !leaf; i++) {
        leaf = cpuid->entries[i].function == LEAF_SEV ? &cpuid->entries[i]
                                                      : NULL;
    }
    if (!leaf) {
        if (cpuid->nent == room) {
            return -E2BIG;
        }
        leaf = &cpuid->entries[cpuid->nent++];
        memset(leaf, 0, sizeof(*leaf));
        leaf->function = LEAF_SEV;
    }
    leaf->eax |= LEAF_SEV_BIT | (ks_option("es") ? LEAF_ES_BIT : 0);
    leaf->eax &= ~LEAF_COHERENT_BIT;
    leaf->eax |= ks_option("not-coherent") ? 0 : LEAF_COHERENT_BIT;
    return 0;
}

int ks_kvm_ioctl(int fd, unsigned long request, uint64_t arg)
{
    switch (request) {
    case KVM_CREATE_VM:
        return create_vm(fd, arg);
    case KVM_CHECK_EXTENSION:
        return check_extension(fd, arg);
    case KVM_GET_SUPPORTED_CPUID:
        return supported_cpuid(fd, (void *)(uintptr_t)arg);
    default:
        return ks_real_ioctl(fd, request, (void *)(uintptr_t)arg);
    }
}

static int enable_cap(KsVm *vm, const struct kvm_enable_cap *user)
{
    struct kvm_enable_cap cap = *user;

    switch (cap.cap) {
    case KVM_CAP_EXIT_HYPERCALL:
        if (cap.flags || cap.args[0] & ~(UINT64_C(1) << HC_MAP_GPA_RANGE) ||
            ks_option("no-exit-hypercall")) {
            return -EINVAL;
        }
        vm->hypercalls = cap.args[0];
        return 0;
    case KVM_CAP_X86_USER_SPACE_MSR:
        if (cap.flags || cap.args[0] & ~(uint64_t)KVM_MSR_EXIT_REASON_VALID_MASK) {
            return -EINVAL;
        }
        vm->msr_exits = cap.args[0];
        if (vm->active) {
            cap.args[0] |= KVM_MSR_EXIT_REASON_UNKNOWN;
        }
        return ks_real_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
    default:
        return ks_real_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
    }
}

static int memory_region(KsVm *vm, unsigned long request, uint64_t arg)
{
    /* The longer struct of the second form begins with the first. */
    const struct kvm_userspace_memory_region *user = (void *)(uintptr_t)arg;
    int ret = ks_real_ioctl(vm->fd, request, (void *)(uintptr_t)arg);

    if (!ret && !ks_memory_slot(vm, user->slot, user->guest_phys_addr,
                                user->memory_size, user->userspace_addr)) {
        ks_die("more than %d slots", KS_SLOTS);
    }
    return ret;
}

int ks_vm_ioctl(KsVm *vm, unsigned long request, uint64_t arg)
{
    int ret;

    switch (request) {
    case KVM_CHECK_EXTENSION:
        return check_extension(vm->fd, arg);
    case KVM_CREATE_VCPU:
        return create_vcpu(vm, arg);
    case KVM_ENABLE_CAP:
        ret = enable_cap(vm, (void *)(uintptr_t)arg);
        ks_log("ioctl KVM_ENABLE_CAP %d %u", -ret,
               ((struct kvm_enable_cap *)(uintptr_t)arg)->cap);
        return ret;
    case KVM_X86_SET_MSR_FILTER:
        ret = ks_real_ioctl(vm->fd, request, (void *)(uintptr_t)arg);
        ks_log("ioctl KVM_X86_SET_MSR_FILTER %d 0", -ret);
        return ret;
    case KVM_SET_USER_MEMORY_REGION:
    case KVM_SET_USER_MEMORY_REGION2:
        return memory_region(vm, request, arg);
    case KVM_MEMORY_ENCRYPT_OP:
        return ks_encrypt_op(vm, arg);
    case KVM_MEMORY_ENCRYPT_REG_REGION:
        return ks_region(vm, arg, true);
    case KVM_MEMORY_ENCRYPT_UNREG_REGION:
        return ks_region(vm, arg, false);
    default:
        return ks_real_ioctl(vm->fd, request, (void *)(uintptr_t)arg);
    }
}
