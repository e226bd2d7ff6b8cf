/*
 * The memory controller's encryption engine.
 *
 * XTS over a 4 KiB data unit: the n-th 16-byte block of a page depends on key,
 * page number and n, never on its neighbours.  A range inside a page is
 * therefore worked on at its place in a scratch page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "memory.h"

#include <string.h>

#include "crypto.h"
#include "platform.h"

#define PSP_MEM_SLOTS 16

/* A cipher handle has one user at a time; each thread prefers its own. */
typedef struct PspMemSlot {
    GMutex lock;
    PspXts *xts;
} __attribute__((aligned(64))) PspMemSlot;

struct PspMemKey {
    PspMemSlot slots[PSP_MEM_SLOTS];
    gatomicrefcount ref;
};

PspMemKey *psp_mem_key_new(const PspRng *rng)
{
    PspMemKey *mem = g_aligned_alloc0(1, sizeof(PspMemKey), 64);
    uint8_t key[PSP_XTS_KEY_LEN];
    bool ok;

    psp_random(rng, key, sizeof(key));
    /* XTS wants two different halves; a broken source must not hang us. */
    ok = !psp_equal(key, key + PSP_AES_LEN, PSP_AES_LEN);
    for (int i = 0; i < PSP_MEM_SLOTS; i++) {
        g_mutex_init(&mem->slots[i].lock);
        mem->slots[i].xts = ok ? psp_xts_new(key) : NULL;
        ok = mem->slots[i].xts != NULL;
    }
    psp_wipe(key, sizeof(key));
    g_atomic_ref_count_init(&mem->ref);
    if (!ok) {
        psp_mem_key_unref(mem);
        return NULL;
    }
    return mem;
}

PspMemKey *psp_mem_key_ref(PspMemKey *key)
{
    g_atomic_ref_count_inc(&key->ref);
    return key;
}

void psp_mem_key_unref(PspMemKey *key)
{
    if (!key || !g_atomic_ref_count_dec(&key->ref)) {
        return;
    }
    for (int i = 0; i < PSP_MEM_SLOTS; i++) {
        psp_xts_free(key->slots[i].xts);
        g_mutex_clear(&key->slots[i].lock);
    }
    g_aligned_free(key);
}

PspMemKey *psp_mem_key_get(PspPlatform *psp, uint32_t asid)
{
    PspMemKey *key = NULL;

    psp_rw_read_lock(&psp->lock);
    if (asid <= PSP_ASID_MAX && psp->asids[asid].key) {
        key = psp_mem_key_ref(psp->asids[asid].key);
    }
    psp_rw_read_unlock(&psp->lock);
    return key;
}

/* Which slot this thread tries first. */
static unsigned psp_mem_my_slot(void)
{
    static int next;
    static __thread unsigned mine;

    if (!mine) {
        mine = 1 + (unsigned)g_atomic_int_add(&next, 1) % PSP_MEM_SLOTS;
    }
    return mine - 1;
}

/* Returns a slot locked. */
static PspMemSlot *psp_mem_slot_take(PspMemKey *key)
{
    unsigned mine = psp_mem_my_slot();

    for (unsigned i = 0; i < PSP_MEM_SLOTS; i++) {
        PspMemSlot *slot = &key->slots[(mine + i) % PSP_MEM_SLOTS];

        if (g_mutex_trylock(&slot->lock)) {
            return slot;
        }
    }
    g_mutex_lock(&key->slots[mine].lock);
    return &key->slots[mine];
}

typedef void PspXtsFn(PspXts *xts, const uint8_t tweak[PSP_AES_LEN],
                      const void *src, void *dst, size_t len);

/* [@offset, @offset + @len) of one page, @offset not zero */
static void psp_mem_part(PspXtsFn *crypt, PspXts *xts, const uint8_t *tweak,
                         size_t offset, const uint8_t *src, uint8_t *dst,
                         size_t len)
{
    uint8_t scratch[PSP_PAGE_SIZE] __attribute__((aligned(16)));

    memset(scratch, 0, offset);
    memcpy(scratch + offset, src, len);
    crypt(xts, tweak, scratch, scratch, offset + len);
    memcpy(dst, scratch + offset, len);
    psp_wipe(scratch + offset, len);
}

static void psp_mem_crypt(PspXtsFn *crypt, PspMemKey *key, uint64_t paddr,
                          const uint8_t *src, uint8_t *dst, size_t len)
{
    PspMemSlot *slot = psp_mem_slot_take(key);

    while (len) {
        size_t offset = paddr % PSP_PAGE_SIZE;
        size_t n = MIN(len, PSP_PAGE_SIZE - offset);
        uint64_t tweak[2] = { GUINT64_TO_LE(paddr / PSP_PAGE_SIZE), 0 };

        if (offset) {
            psp_mem_part(crypt, slot->xts, (uint8_t *)tweak, offset, src, dst,
                         n);
        } else {
            crypt(slot->xts, (uint8_t *)tweak, src, dst, n);
        }
        paddr += n;
        src += n;
        dst += n;
        len -= n;
    }
    g_mutex_unlock(&slot->lock);
}

void psp_mem_encrypt(PspMemKey *key, uint64_t paddr, const void *plain,
                     void *cipher, size_t len)
{
    g_return_if_fail((paddr | len) % PSP_AES_LEN == 0);
    psp_mem_crypt(psp_xts_encrypt, key, paddr, plain, cipher, len);
}

void psp_mem_decrypt(PspMemKey *key, uint64_t paddr, const void *cipher,
                     void *plain, size_t len)
{
    g_return_if_fail((paddr | len) % PSP_AES_LEN == 0);
    psp_mem_crypt(psp_xts_decrypt, key, paddr, cipher, plain, len);
}
