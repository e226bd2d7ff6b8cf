/*
 * Is memory at rest what the engine promises: dependent on key, address and
 * plaintext alone, from any thread?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"

#define LEN (4 * PSP_PAGE_SIZE)

static PspMemKey *key_of(Chip *chip)
{
    PspMemKey *key;

    chip_init(chip, 0);
    chip_launch(chip, 0, 5);
    key = psp_mem_key_get(chip->psp, 5);
    g_assert_nonnull(key);
    return key;
}

/* Any part gives the bytes that the whole gives. */
static void test_parts(void)
{
    g_autoptr(Chip) chip = chip_new("memory");
    g_autoptr(PspMemKey) key = key_of(chip);
    g_autofree uint8_t *plain = g_malloc(LEN);
    g_autofree uint8_t *whole = g_malloc(LEN);
    g_autofree uint8_t *out = g_malloc(LEN);
    const uint64_t base = 0x7654321000;

    memcpy(plain, chip_at(chip, AT_PAGE), LEN);
    psp_mem_encrypt(key, base, plain, whole, LEN);
    for (size_t from = 0; from < LEN; from += 16 * 11) {
        for (size_t len = 16; len <= LEN - from; len += 16 * 37) {
            psp_mem_encrypt(key, base + from, plain + from, out, len);
            g_assert_cmpmem(out, len, whole + from, len);
            psp_mem_decrypt(key, base + from, out, out, len);
            g_assert_cmpmem(out, len, plain + from, len);
        }
    }
    psp_mem_decrypt(key, base, whole, whole, LEN);
    g_assert_cmpmem(whole, LEN, plain, LEN);
}

static void test_address(void)
{
    g_autoptr(Chip) chip = chip_new("memory");
    g_autoptr(PspMemKey) key = key_of(chip);
    uint8_t plain[LEN] = { 0 }, out[LEN];

    psp_mem_encrypt(key, 0, plain, out, LEN);
    for (size_t i = 0; i < LEN; i += 16) {
        for (size_t j = i + 16; j < LEN; j += 16) {
            g_assert_true(memcmp(out + i, out + j, 16) != 0);
        }
    }
}

/* Another guest, another chip: other bytes */
static void test_keys(void)
{
    g_autoptr(Chip) a = chip_new("memory");
    g_autoptr(Chip) b = chip_new("other memory");
    g_autoptr(PspMemKey) key_a = key_of(a);
    g_autoptr(PspMemKey) key_b = key_of(b);
    g_autoptr(PspMemKey) key_c = NULL;
    uint8_t plain[16] = { 0 }, out[3][16];

    chip_launch(a, 0, 6);
    key_c = psp_mem_key_get(a->psp, 6);
    psp_mem_encrypt(key_a, 0, plain, out[0], 16);
    psp_mem_encrypt(key_b, 0, plain, out[1], 16);
    psp_mem_encrypt(key_c, 0, plain, out[2], 16);
    g_assert_true(memcmp(out[0], out[1], 16) != 0);
    g_assert_true(memcmp(out[0], out[2], 16) != 0);
}

static void test_asids(void)
{
    g_autoptr(Chip) chip = chip_new("memory");
    g_autoptr(PspMemKey) key = key_of(chip);
    uint8_t plain[16] = { 0 }, before[16], after[16];

    g_assert_null(psp_mem_key_get(chip->psp, 0));
    g_assert_null(psp_mem_key_get(chip->psp, 6));
    g_assert_null(psp_mem_key_get(chip->psp, PSP_ASID_MAX));
    g_assert_null(psp_mem_key_get(chip->psp, PSP_ASID_MAX + 1));
    g_assert_null(psp_mem_key_get(chip->psp, UINT32_MAX));
    psp_mem_encrypt(key, 0, plain, before, 16);
    chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
    g_assert_null(psp_mem_key_get(chip->psp, 5));
    chip_ok(chip_simple(chip, PSP_CMD_DECOMMISSION));
    /* whoever holds a reference goes on */
    psp_mem_encrypt(key, 0, plain, after, 16);
    g_assert_cmpmem(before, 16, after, 16);
}

/* --- Threads ------------------------------------------------------------- */

#define THREADS 24              /* more than there are handles */

typedef struct Shared {
    PspMemKey *key;
    const uint8_t *plain;
    const uint8_t *cipher;
} Shared;

static gpointer thread_main(gpointer opaque)
{
    Shared *shared = opaque;
    g_autofree uint8_t *out = g_malloc(LEN);

    for (int i = 0; i < 200; i++) {
        size_t from = 16 * (i % 200);

        psp_mem_encrypt(shared->key, from, shared->plain + from, out,
                        LEN - from);
        g_assert_cmpmem(out, LEN - from, shared->cipher + from, LEN - from);
        psp_mem_decrypt(shared->key, from, out, out, LEN - from);
        g_assert_cmpmem(out, LEN - from, shared->plain + from, LEN - from);
    }
    return NULL;
}

static void test_threads(void)
{
    g_autoptr(Chip) chip = chip_new("memory");
    g_autoptr(PspMemKey) key = key_of(chip);
    g_autofree uint8_t *cipher = g_malloc(LEN);
    Shared shared = { key, chip_at(chip, AT_PAGE), cipher };
    GThread *threads[THREADS];

    chip_fill(chip, AT_PAGE, LEN);
    psp_mem_encrypt(key, 0, shared.plain, cipher, LEN);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = g_thread_new("memory", thread_main, &shared);
    }
    for (int i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/psp/memory/parts", test_parts);
    g_test_add_func("/psp/memory/address", test_address);
    g_test_add_func("/psp/memory/keys", test_keys);
    g_test_add_func("/psp/memory/asids", test_asids);
    g_test_add_func("/psp/memory/threads", test_threads);
    return g_test_run();
}
