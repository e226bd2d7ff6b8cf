/*
 * The lane (lane/abi.h): a vCPU that QEMU has lent to the program in the guest.
 *
 * The program sees all memory but its mailboxes through the C-bit. Its page
 * tables say so on silicon. No memory controller looks at them here, so all of
 * that memory is decrypted before it runs and encrypted again afterwards. Who
 * looks at it in between sees DRAM.
 *
 * Once the guest itself has run, RAM is what the guest sees (memory.c), and the
 * program sees the same. Its own memory stays DRAM for ever.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>

#include "lane/abi.h"
#include "standin.h"

static bool among(const KsSlot *slot, uint64_t from, uint64_t end)
{
    return slot->size && !(slot->id >> 16) && slot->gpa >= LANE_GPA + from &&
           slot->gpa < LANE_GPA + end;
}

bool ks_lane_slot(const KsSlot *slot)
{
    return among(slot, 0, LANE_RAM + LANE_RAM_MAX);
}

static bool is_own(const KsSlot *slot)
{
    return among(slot, 0, LANE_RAM) &&
           !among(slot, LANE_SHARED,
                  LANE_SHARED + LANE_MAX_SLOTS * LANE_SHARED_STRIDE);
}

void ks_lane_seen(KsVm *vm, const KsSlot *slot)
{
    for (size_t i = 0; is_own(slot) && i < KS_LANE_RANGES; i++) {
        if (!vm->lane[i].size || vm->lane[i].hva == slot->hva) {
            vm->lane[i] = *slot;
            return;
        }
    }
}

bool ks_lane_owns(KsVm *vm, uint64_t hva)
{
    for (size_t i = 0; i < KS_LANE_RANGES; i++) {
        if (hva - vm->lane[i].hva < vm->lane[i].size) {
            return true;
        }
    }
    return false;
}

/* --- A run ----------------------------------------------------------------- */

static void transform(KsVm *vm, const KsSlot *slot, bool decrypt)
{
    for (uint64_t at = slot->hva; at < slot->hva + slot->size; at += KS_PAGE) {
        uint8_t *page = (uint8_t *)(uintptr_t)at;

        if (decrypt) {
            psp_mem_decrypt(vm->key, at, page, page, KS_PAGE);
        } else {
            psp_mem_encrypt(vm->key, at, page, page, KS_PAGE);
        }
    }
}

/* Each memory of the guest once, however often it is mapped. */
static void transform_all(KsVm *vm, bool decrypt)
{
    for (size_t i = 0; i < KS_LANE_RANGES; i++) {
        transform(vm, &vm->lane[i], decrypt);
    }
    for (size_t i = 0; !vm->runs && i < KS_SLOTS; i++) {
        if (among(&vm->slots[i], LANE_RAM, LANE_RAM + LANE_RAM_MAX)) {
            transform(vm, &vm->slots[i], decrypt);
        }
    }
}

bool ks_lane_lent(KsVm *vm, uint64_t cr3)
{
    return vm->lane[0].size && cr3 >= LANE_GPA &&
           cr3 < LANE_GPA + LANE_RAM;
}

int ks_lane_run(KsVcpu *vcpu)
{
    KsVm *vm = vcpu->vm;
    int ret;

    pthread_mutex_lock(&vm->memory);
    transform_all(vm, true);
    ret = ks_real_ioctl(vcpu->fd, KVM_RUN, NULL);
    transform_all(vm, false);
    pthread_mutex_unlock(&vm->memory);
    return ret;
}
