/*
 * The lane's image on /dev/kvm, without QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "kvmlane.h"
#include "lane/tables.h"

#define PRIVATE_SIZE    (LANE_PRIVATE_END - LANE_IMAGE)
#define IDS             200

static uint8_t *map(KvmLane *lane, unsigned slot, uint64_t offset, size_t size)
{
    uint8_t *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = LANE_GPA + offset,
        .memory_size = size,
        .userspace_addr = (uintptr_t)at,
    };

    if (at == MAP_FAILED ||
        ioctl(lane->vm, KVM_SET_USER_MEMORY_REGION, &region)) {
        return NULL;
    }
    return at;
}

static int load(KvmLane *lane, const char *image)
{
    LaneTables how = {
        .user = lane->ring == 3, .small = true, .ram = KVMLANE_RAM,
    };
    int fd = open(image, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, lane->private, LANE_IMAGE_MAX);

    if (fd >= 0) {
        close(fd);
    }
    lane_tables((void *)kvmlane_private(lane, LANE_TABLES), &how);
    return got > 0;
}

static uint32_t widest = LANE_PATH_VAES512;

void kvmlane_limit(uint32_t path)
{
    widest = path;
}

/* The guest's CPU is all that KVM can give. */
static int copy_cpuid(KvmLane *lane)
{
    struct kvm_cpuid2 *ids = calloc(1, sizeof(*ids) + IDS * sizeof(ids->entries[0]));
    int ok;

    ids->nent = IDS;
    ok = !ioctl(lane->kvm, KVM_GET_SUPPORTED_CPUID, ids) &&
         !ioctl(lane->vcpu, KVM_SET_CPUID2, ids);
    free(ids);
    return ok;
}

static int create(KvmLane *lane, const char *image)
{
    lane->vm = ioctl(lane->kvm, KVM_CREATE_VM, 0);
    if (lane->vm < 0) {
        return 0;
    }
    lane->private = map(lane, 0, LANE_IMAGE, PRIVATE_SIZE);
    lane->shared = map(lane, 1, LANE_SHARED, KVMLANE_SLOTS * LANE_SHARED_STRIDE);
    lane->versions = map(lane, 2, LANE_VERSIONS, KVMLANE_VERSIONS);
    lane->ram = map(lane, 3, LANE_RAM, KVMLANE_RAM);
    lane->vcpu = ioctl(lane->vm, KVM_CREATE_VCPU, 0);
    lane->run_size = ioctl(lane->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (!lane->private || !lane->shared || !lane->versions || !lane->ram ||
        lane->vcpu < 0 || !copy_cpuid(lane)) {
        return 0;
    }
    lane->run = mmap(NULL, lane->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                     lane->vcpu, 0);
    return lane->run != MAP_FAILED && load(lane, image);
}

KvmLane *kvmlane_new(const char *image, int ring, const char **why)
{
    KvmLane *lane = calloc(1, sizeof(*lane));

    lane->ring = ring;
    lane->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    lane->vm = lane->vcpu = -1;
    if (lane->kvm < 0) {
        *why = "there is no /dev/kvm that can be opened";
    } else if (!create(lane, image)) {
        *why = "this KVM makes no such guest";
    } else {
        return lane;
    }
    kvmlane_free(lane);
    return NULL;
}

void kvmlane_free(KvmLane *lane)
{
    if (lane->run && lane->run != MAP_FAILED) {
        munmap(lane->run, lane->run_size);
    }
    close(lane->vcpu);
    close(lane->vm);
    close(lane->kvm);
    munmap(lane->private, PRIVATE_SIZE);
    munmap(lane->shared, KVMLANE_SLOTS * LANE_SHARED_STRIDE);
    munmap(lane->versions, KVMLANE_VERSIONS);
    munmap(lane->ram, KVMLANE_RAM);
    free(lane);
}

uint8_t *kvmlane_private(KvmLane *lane, uint64_t offset)
{
    return lane->private + (offset - LANE_IMAGE);
}

LaneMailbox *kvmlane_box(KvmLane *lane, unsigned slot)
{
    return (void *)(lane->shared + slot * LANE_SHARED_STRIDE);
}

static struct kvm_segment segment(uint16_t selector, int code)
{
    return (struct kvm_segment) {
        .limit = UINT32_MAX, .selector = selector, .type = code ? 11 : 3,
        .present = 1, .s = 1, .l = code, .db = !code, .g = 1,
        .dpl = selector & 3,
    };
}

static int set_sregs(KvmLane *lane, unsigned slot)
{
    static const uint64_t widths[] = { 3, 7, LANE_XCR0 };
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = widths[widest] } } };
    uint16_t ds = lane->ring == 3 ? LANE_DS3 : LANE_DS0;
    struct kvm_sregs s;

    if (ioctl(lane->vcpu, KVM_GET_SREGS, &s)) {
        return 0;
    }
    s.cr0 = LANE_CR0;
    s.cr3 = LANE_GPA + LANE_TABLES;
    s.cr4 = LANE_CR4 | LANE_CR4_OSXSAVE;
    s.efer = LANE_EFER;
    s.cs = segment(lane->ring == 3 ? LANE_CS3 : LANE_CS0, 1);
    s.ss = s.ds = s.es = segment(ds, 0);
    s.fs = s.gs = s.ldt = (struct kvm_segment) { .unusable = 1 };
    s.gdt = (struct kvm_dtable) { LANE_GDT, LANE_GDT_SIZE - 1, { 0 } };
    s.idt = (struct kvm_dtable) { LANE_IDT, LANE_IDT_SIZE - 1, { 0 } };
    s.tr = (struct kvm_segment) {
        .base = LANE_TSS + slot * LANE_TSS_STRIDE, .limit = 103,
        .selector = LANE_TR, .type = 11, .present = 1,
    };
    if (ioctl(lane->vcpu, KVM_SET_SREGS, &s)) {
        return 0;
    }
    /* XCR0 is what the CPU has, at most. */
    for (uint32_t path = widest; ioctl(lane->vcpu, KVM_SET_XCRS, &xcrs) && path--;) {
        xcrs.xcrs[0].value = widths[path];
    }
    return 1;
}

int kvmlane_set_regs(KvmLane *lane)
{
    return !ioctl(lane->vcpu, KVM_SET_REGS, &lane->regs);
}

int kvmlane_enter(KvmLane *lane, unsigned slot)
{
    lane->regs = (struct kvm_regs) {
        .rip = LANE_IMAGE, .rdi = slot, .rflags = 2,
    };
    snprintf(lane->why, sizeof(lane->why), "registers cannot be set");
    return set_sregs(lane, slot) && kvmlane_set_regs(lane);
}

static int rang(KvmLane *lane)
{
    const struct kvm_run *run = lane->run;

    if (lane->ring == 3 && run->exit_reason == KVM_EXIT_MMIO &&
        run->mmio.is_write && run->mmio.phys_addr == LANE_GPA + LANE_DOORBELL) {
        lane->rang = run->mmio.data[0];
        return 1;
    }
    if (lane->ring == 0 && run->exit_reason == KVM_EXIT_IO &&
        run->io.direction == KVM_EXIT_IO_OUT && run->io.port == LANE_PORT) {
        lane->rang = *((const uint8_t *)run + run->io.data_offset);
        return 1;
    }
    return 0;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int kvmlane_go_on(KvmLane *lane)
{
    double began = now();
    int failed;

    do {
        failed = ioctl(lane->vcpu, KVM_RUN, 0);
    } while (failed && errno == EINTR);
    lane->seconds = now() - began;
    (void)!ioctl(lane->vcpu, KVM_GET_REGS, &lane->regs);
    (void)!ioctl(lane->vcpu, KVM_GET_XSAVE, &lane->xsave);
    if (!failed && rang(lane)) {
        return 1;
    }
    snprintf(lane->why, sizeof(lane->why), "%s, exit %u, RIP 0x%llx",
             failed ? strerror(errno) : "no error", lane->run->exit_reason,
             (unsigned long long)lane->regs.rip);
    return 0;
}

int kvmlane_run(KvmLane *lane, unsigned slot)
{
    return kvmlane_enter(lane, slot) && kvmlane_go_on(lane);
}
