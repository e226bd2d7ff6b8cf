/*
 * The lane's image on /dev/kvm, without QEMU.
 *
 * The program is entered in ring 3, which every KVM can run (some nested ones
 * emulate ring 0, without SSE), or in ring 0.  Nothing is encrypted: what KVM
 * adds to a test is the real program, with its page tables and its registers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_LANE_KVMLANE_H
#define TESTS_LANE_KVMLANE_H

#include <linux/kvm.h>
#include <stddef.h>
#include "lane/abi.h"

#define KVMLANE_RAM     (16 << 20)      /* what is there, in the first window */
#define KVMLANE_NOWHERE (1ULL << 30)    /* from LANE_RAM: the tables lack it */
#define KVMLANE_VERSIONS LANE_VERSIONS_BYTES(2 * KVMLANE_NOWHERE)
#define KVMLANE_SLOTS   2

typedef struct KvmLane {
    int kvm, vm, vcpu, ring;
    struct kvm_run *run;
    size_t run_size;
    uint8_t *private;       /* LANE_IMAGE .. LANE_PRIVATE_END */
    uint8_t *shared;
    uint8_t *versions;
    uint8_t *ram;
    /* After kvmlane_run() */
    unsigned rang;          /* the byte that it rang with */
    double seconds;         /* in the guest, from entry to bell */
    struct kvm_regs regs;
    char why[128];          /* when it did not ring */
    struct kvm_xsave xsave;
} KvmLane;

/* Wider vectors than those of LANE_PATH_* are off in XCR0 from now on. */
void kvmlane_limit(uint32_t path);

/* NULL, and why in @why, when this machine cannot.  @image is the file's path. */
KvmLane *kvmlane_new(const char *image, int ring, const char **why);
void kvmlane_free(KvmLane *lane);

/* Private memory at an offset of abi.h, below LANE_PRIVATE_END */
uint8_t *kvmlane_private(KvmLane *lane, uint64_t offset);
LaneMailbox *kvmlane_box(KvmLane *lane, unsigned slot);

/* One run.  False when it did not ring; @why says what happened. */
int kvmlane_run(KvmLane *lane, unsigned slot);

/* The same in steps: registers as an entry has them; others; on from there. */
int kvmlane_enter(KvmLane *lane, unsigned slot);
int kvmlane_set_regs(KvmLane *lane);
int kvmlane_go_on(KvmLane *lane);

#endif
