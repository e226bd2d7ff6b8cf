/*
 * KVM itself and its VMs: an SEV guest is an ordinary VM in front of which
 * some requests are answered here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include "standin.h"

#define PAGE_SHIFT          12
#define HC_MAP_GPA_RANGE    12
#define LEAF_SEV            0x8000001f
#define LEAF_SEV_BIT        (1u << 1)
#define LEAF_COHERENT_BIT   (1u << 10)

/* --- Pinned memory --------------------------------------------------------- */

static bool may_lock_all(void)
{
    struct __user_cap_header_struct hdr = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { 0 };

    return !ks_option("no-ipc-lock") && !syscall(SYS_capget, &hdr, data) &&
           data[CAP_IPC_LOCK / 32].effective & 1u << CAP_IPC_LOCK % 32;
}

int ks_pin(KsVm *vm, uint64_t uaddr, uint64_t len, uint64_t *pages)
{
    struct rlimit limit;
    uint64_t count;

    if (!len || uaddr + len < uaddr) {
        return -EINVAL;
    }
    count = ((uaddr + len - 1) >> PAGE_SHIFT) - (uaddr >> PAGE_SHIFT) + 1;
    if (count > INT32_MAX) {
        return -EINVAL;
    }
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (vm->pages_locked + count > limit.rlim_cur >> PAGE_SHIFT &&
        !may_lock_all()) {
        return -ENOMEM;
    }
    if (!ks_user_mapped(uaddr, len)) {
        return -ENOMEM;
    }
    vm->pages_locked += count;
    *pages = count;
    return 0;
}

void ks_unpin(KsVm *vm, uint64_t pages)
{
    vm->pages_locked -= pages;
}

/* --- Regions --------------------------------------------------------------- */

static int register_region(KsVm *vm, const struct kvm_enc_region *user)
{
    KsRegion *place = NULL;
    uint64_t pages;
    int ret;

    if (!vm->active) {
        return -ENOTTY;
    }
    for (size_t i = 0; i < KS_REGIONS && !place; i++) {
        place = vm->regions[i].size ? NULL : &vm->regions[i];
    }
    if (!place) {
        ks_die("more than %d regions", KS_REGIONS);
    }
    ret = ks_pin(vm, user->addr, user->size, &pages);
    if (!ret) {
        *place = (KsRegion) { user->addr, user->size, pages };
        vm->changed++;
    }
    return ret;
}

static int unregister_region(KsVm *vm, const struct kvm_enc_region *user)
{
    if (!vm->active) {
        return -ENOTTY;
    }
    for (size_t i = 0; i < KS_REGIONS; i++) {
        KsRegion *region = &vm->regions[i];

        if (user->size && region->addr == user->addr &&
            region->size == user->size) {
            ks_unpin(vm, region->pages);
            *region = (KsRegion) { 0 };
            vm->changed++;
            return 0;
        }
    }
    return -EINVAL;
}

static int region(KsVm *vm, uint64_t arg, bool is_new)
{
    const char *name = is_new ? "REG_REGION" : "UNREG_REGION";
    struct kvm_enc_region user;
    KsFault fault;
    int ret;

    if (ks_from_user(&user, arg, sizeof(user))) {
        return -EFAULT;
    }
    pthread_mutex_lock(&vm->lock);
    if (ks_fault(name, &fault)) {
        ret = -fault.error;
    } else {
        ret = is_new ? register_region(vm, &user)
                     : unregister_region(vm, &user);
    }
    pthread_mutex_unlock(&vm->lock);
    ks_log("ioctl %s %d 0", name, -ret);
    return ret;
}

/* How far from @addr on is memory registered? */
static uint64_t registered_to(KsVm *vm, uint64_t addr)
{
    for (size_t i = 0; i < KS_REGIONS; i++) {
        const KsRegion *region = &vm->regions[i];

        if (addr - region->addr < region->size) {
            return region->addr + region->size;
        }
    }
    return addr;
}

/* Linux does not look; a page that is not pinned can move, and be noise. */
void ks_check_registered(KsVm *vm)
{
    unsigned int now = vm->changed;

    if (vm->checked == now) {
        return;
    }
    pthread_mutex_lock(&vm->lock);
    pthread_mutex_lock(&vm->memory);
    for (size_t i = 0; i < KS_SLOTS; i++) {
        const KsSlot *slot = &vm->slots[i];
        uint64_t at = slot->hva, end = at + slot->size, next;

        while (at < end && (next = registered_to(vm, at)) > at) {
            at = next;
        }
        if (at < end) {
            ks_violation("KVM_RUN: memory at guest address 0x%" PRIx64
                         " is not registered", slot->gpa + (at - slot->hva));
        }
    }
    pthread_mutex_unlock(&vm->memory);
    pthread_mutex_unlock(&vm->lock);
    vm->checked = now;
}

/* --- VMs ------------------------------------------------------------------- */

static int create_vm(int fd, unsigned long type)
{
    bool is_sev = type == KVM_X86_SEV_VM && !ks_option("no-sev") &&
                  !ks_option("no-vm-types");
    int vm_fd = ks_real_ioctl(fd, KVM_CREATE_VM,
                              (void *)(is_sev ? KVM_X86_DEFAULT_VM : type));
    KsVm *vm;

    ks_log("ioctl KVM_CREATE_VM %d %lu", vm_fd < 0 ? -vm_fd : 0, type);
    if (vm_fd < 0) {
        return vm_fd;
    }
    vm = g_new0(KsVm, 1);
    vm->fd = vm_fd;
    vm->type = type;
    vm->need_init = is_sev;
    pthread_mutex_init(&vm->lock, NULL);
    pthread_mutex_init(&vm->memory, NULL);
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
               (ks_option("no-sev") ? 0 : 1 << KVM_X86_SEV_VM);
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
    leaf->eax |= LEAF_SEV_BIT;
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
        return region(vm, arg, true);
    case KVM_MEMORY_ENCRYPT_UNREG_REGION:
        return region(vm, arg, false);
    default:
        return ks_real_ioctl(vm->fd, request, (void *)(uintptr_t)arg);
    }
}
