/*
 * Guest memory: which page has its C-bit set, and what its bytes mean.
 *
 * Before a guest runs here, RAM is what DRAM would be: a command that writes
 * under the guest's key leaves ciphertext, what QEMU writes stays as it is.
 * No memory controller decrypts for this guest, so at its first KVM_RUN all of
 * RAM becomes what the guest would see: what came the wrong way becomes noise
 * all by itself. From then on RAM holds plaintext, and the chip is shown what
 * DRAM would hold.
 *
 * The guest keeps its C-bits where any guest does: in a table in its memory,
 * in the page that CR3 names. It is one bit per page, set when the C-bit is
 * clear; without a table all is private, as in real mode. The table migrates
 * as any other private page, and nobody but the guest writes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "standin.h"

bool ks_memory_slot(KsVm *vm, uint64_t id, uint64_t gpa, uint64_t size,
                    uint64_t hva)
{
    KsSlot *place = NULL;

    pthread_mutex_lock(&vm->memory);
    for (size_t i = 0; i < KS_SLOTS; i++) {
        KsSlot *slot = &vm->slots[i];

        if (slot->size && slot->id == id) {
            place = slot;
            break;
        }
        if (!slot->size && !place) {
            place = slot;
        }
    }
    if (place) {
        *place = (KsSlot) { id, gpa, size, hva };
        ks_lane_seen(vm, place);
    }
    pthread_mutex_unlock(&vm->memory);
    vm->changed++;
    return place;
}

/* --- Under vm->memory ------------------------------------------------------ */

static bool gpa_of(KsVm *vm, uint64_t hva, uint64_t *gpa)
{
    for (size_t i = 0; i < KS_SLOTS; i++) {
        const KsSlot *slot = &vm->slots[i];

        if (hva - slot->hva < slot->size && !(slot->id >> 16) &&
            !ks_lane_slot(slot)) {
            *gpa = slot->gpa + (hva - slot->hva);
            return true;
        }
    }
    return false;
}

static uint8_t *hva_of(KsVm *vm, uint64_t gpa)
{
    for (size_t i = 0; i < KS_SLOTS; i++) {
        const KsSlot *slot = &vm->slots[i];

        if (gpa - slot->gpa < slot->size && !(slot->id >> 16)) {
            return (uint8_t *)(uintptr_t)(slot->hva + (gpa - slot->gpa));
        }
    }
    return NULL;
}

static bool bit(const uint8_t *map, uint64_t page)
{
    return page < KS_TABLE_PAGES && map[page / 8] & (1 << page % 8);
}

static bool is_private(KsVm *vm, uint64_t hva)
{
    uint64_t gpa;

    return !gpa_of(vm, hva, &gpa) || !bit(vm->shared, gpa / KS_PAGE);
}

static bool is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, KS_PAGE - 1);
}

/* --- The first run --------------------------------------------------------- */

static void read_table(KsVm *vm, uint64_t cr3)
{
    uint8_t *table = cr3 ? hva_of(vm, cr3 & ~(uint64_t)(KS_PAGE - 1)) : NULL;

    memset(vm->shared, 0, sizeof(vm->shared));
    if (table) {
        psp_mem_decrypt(vm->key, (uintptr_t)table, table, vm->shared, KS_PAGE);
    }
}

/*
 * A page of zeros was never written, here or where the guest comes from. The
 * guest finds noise in it. At a launch it stays as it is, because QEMU may look
 * whether it is zeros, and it is in DRAM.
 */
static void enter_page(KsVm *vm, uint8_t *page)
{
    if (is_private(vm, (uintptr_t)page) &&
        ((vm->received && !ks_option("keep-zeros")) || !is_zero(page))) {
        psp_mem_decrypt(vm->key, (uintptr_t)page, page, page, KS_PAGE);
    }
}

static int by_hva(const void *a, const void *b)
{
    const KsSlot *x = a, *y = b;

    return (x->hva > y->hva) - (x->hva < y->hva);
}

void ks_memory_first_run(KsVm *vm, uint64_t cr3)
{
    KsSlot sorted[KS_SLOTS];
    uint64_t past = 0;

    if (!vm->key) {
        return;
    }
    pthread_mutex_lock(&vm->memory);
    read_table(vm, cr3);
    memcpy(sorted, vm->slots, sizeof(sorted));
    qsort(sorted, KS_SLOTS, sizeof(sorted[0]), by_hva);
    for (size_t i = 0; i < KS_SLOTS; i++) {
        uint64_t end = sorted[i].hva + sorted[i].size;

        if (ks_lane_slot(&sorted[i])) {
            continue;
        }
        /* Memory that is seen at two places is one memory. */
        for (uint64_t hva = MAX(sorted[i].hva, past); hva < end;
             hva += KS_PAGE) {
            enter_page(vm, (uint8_t *)(uintptr_t)hva);
        }
        past = MAX(past, end);
    }
    vm->runs = true;
    pthread_mutex_unlock(&vm->memory);
    ks_log("first-run cr3 0x%" PRIx64, cr3);
}

/* --- While it runs --------------------------------------------------------- */

/* What the guest sees in a page whose C-bit changes; no dirty log notices. */
static void flip_page(KsVm *vm, uint64_t page, bool shared)
{
    uint8_t *bytes = hva_of(vm, page * KS_PAGE);

    if (bytes && shared) {
        psp_mem_encrypt(vm->key, (uintptr_t)bytes, bytes, bytes, KS_PAGE);
    } else if (bytes) {
        psp_mem_decrypt(vm->key, (uintptr_t)bytes, bytes, bytes, KS_PAGE);
    }
    vm->shared[page / 8] ^= 1 << page % 8;
}

void ks_memory_flip(KsVm *vm, uint64_t gpa, uint64_t cr3)
{
    uint64_t page = gpa / KS_PAGE;
    const uint8_t *table;

    pthread_mutex_lock(&vm->memory);
    table = cr3 ? hva_of(vm, cr3 & ~(uint64_t)(KS_PAGE - 1)) : NULL;
    if (vm->key && table && page < KS_TABLE_PAGES &&
        bit(table, page) != bit(vm->shared, page)) {
        flip_page(vm, page, bit(table, page));
    }
    pthread_mutex_unlock(&vm->memory);
}

/* Without a table all is private again, whatever was in it. */
void ks_memory_reset(KsVm *vm)
{

    pthread_mutex_lock(&vm->memory);
    for (uint64_t page = 0; vm->key && page < KS_TABLE_PAGES; page++) {
        if (bit(vm->shared, page)) {
            flip_page(vm, page, false);
        }
    }
    pthread_mutex_unlock(&vm->memory);
}

/* --- For the chip: DRAM ---------------------------------------------------- */

/* Parts of a range that lie in one page each: [@hva, @end) */
static size_t part_of(uint64_t hva, uint64_t end)
{
    return MIN(end, (hva | (KS_PAGE - 1)) + 1) - hva;
}

void *ks_memory_map(KsVm *vm, uint64_t hva, size_t len)
{
    uint8_t *copy;

    if (!ks_user_mapped(hva, len)) {
        return NULL;
    }
    if (!vm->runs || ks_lane_owns(vm, hva)) {
        return (void *)(uintptr_t)hva;
    }
    copy = g_memdup2((void *)(uintptr_t)hva, len);
    pthread_mutex_lock(&vm->memory);
    for (uint64_t at = hva, n; vm->key && at < hva + len; at += n) {
        n = part_of(at, hva + len);
        if (is_private(vm, at)) {
            psp_mem_encrypt(vm->key, at, copy + (at - hva), copy + (at - hva), n);
        }
    }
    pthread_mutex_unlock(&vm->memory);
    return copy;
}

void ks_memory_unmap(KsVm *vm, void *ptr, uint64_t hva, size_t len,
                     size_t written)
{
    uint8_t *copy = ptr;

    if (ptr == (void *)(uintptr_t)hva) {
        return;
    }
    pthread_mutex_lock(&vm->memory);
    for (uint64_t at = hva, n; vm->key && at < hva + written; at += n) {
        n = part_of(at, hva + written);
        if (is_private(vm, at)) {
            psp_mem_decrypt(vm->key, at, copy + (at - hva),
                            (void *)(uintptr_t)at, n);
        } else {
            memcpy((void *)(uintptr_t)at, copy + (at - hva), n);
        }
    }
    pthread_mutex_unlock(&vm->memory);
    g_free(copy);
}
