/*
 * Memory that is pinned: registered regions, and pages under a command.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "standin.h"

#define PAGE_SHIFT          12

/* The last that was made: QEMU has one. */
static KsVm *_Atomic the_vm;

KsVm *ks_vm_new(void)
{
    KsVm *vm = g_new0(KsVm, 1);

    pthread_mutex_init(&vm->lock, NULL);
    pthread_mutex_init(&vm->memory, NULL);
    the_vm = vm;
    return vm;
}

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

static void set_region(KsVm *vm, KsRegion *region, KsRegion value)
{
    pthread_mutex_lock(&vm->memory);
    *region = value;
    pthread_mutex_unlock(&vm->memory);
    vm->changed++;
}

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
        set_region(vm, place, (KsRegion) { user->addr, user->size, pages });
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
            set_region(vm, region, (KsRegion) { 0 });
            return 0;
        }
    }
    return -EINVAL;
}

int ks_region(KsVm *vm, uint64_t arg, bool is_new)
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

/* --- What Linux does not check --------------------------------------------- */

/*
 * Ciphertext is bound to its physical address. Memory that is not pinned can
 * move at any time, and is noise from then on.
 */

/* Where does the region end that has @addr?  @addr when none has. */
static uint64_t region_end(KsVm *vm, uint64_t addr)
{
    for (size_t i = 0; i < KS_REGIONS; i++) {
        const KsRegion *region = &vm->regions[i];

        if (addr - region->addr < region->size) {
            return region->addr + region->size;
        }
    }
    return addr;
}

/* The first address that is not registered; @end when all are. */
static uint64_t unregistered(KsVm *vm, uint64_t at, uint64_t end)
{
    uint64_t next;

    while (at < end && (next = region_end(vm, at)) > at) {
        at = next;
    }
    return MIN(at, end);
}

void ks_check_slots(KsVm *vm)
{
    unsigned int now = vm->changed;

    if (vm->checked == now) {
        return;
    }
    pthread_mutex_lock(&vm->memory);
    for (size_t i = 0; i < KS_SLOTS; i++) {
        const KsSlot *slot = &vm->slots[i];
        uint64_t end = slot->hva + slot->size;
        uint64_t at = unregistered(vm, slot->hva, end);

        if (at < end) {
            ks_violation("KVM_RUN: memory at guest address 0x%" PRIx64
                         " is not registered", slot->gpa + (at - slot->hva));
        }
    }
    pthread_mutex_unlock(&vm->memory);
    vm->checked = now;
}

void ks_check_range(KsVm *vm, const char *command, uint64_t addr, uint64_t len)
{
    bool is_bad;

    pthread_mutex_lock(&vm->memory);
    is_bad = unregistered(vm, addr, addr + len) < addr + len;
    pthread_mutex_unlock(&vm->memory);
    if (is_bad) {
        ks_violation("%s: memory that is not registered", command);
    }
}

/*
 * Pinned pages stay the guest's when they are unmapped or given back; whoever
 * maps that range again has other pages.
 */
void ks_check_gone(const char *how, uint64_t addr, uint64_t len)
{
    KsVm *vm = the_vm;

    if (!vm || !vm->active) {
        return;
    }
    pthread_mutex_lock(&vm->memory);
    for (size_t i = 0; i < KS_REGIONS; i++) {
        const KsRegion *region = &vm->regions[i];

        if (region->size && addr < region->addr + region->size &&
            region->addr < addr + len) {
            ks_violation("%s: registered memory", how);
        }
    }
    pthread_mutex_unlock(&vm->memory);
}
