/*
 * Any bytes as a persistent area.  The checksum is made right first, or
 * nothing would get past it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "tests/unit/psp/chip.h"
#include "hw/psp/identity.h"

static void try_decode(const uint8_t *data, size_t len)
{
    g_autoptr(GBytes) blob = g_bytes_new(data, len);
    GError *error = NULL;
    PspIdentity *id = psp_identity_decode(blob, &error);

    g_assert_true(!id == !!error);
    if (id) {
        g_autoptr(GBytes) again = psp_identity_encode(id);
        PspIdentity *twice = psp_identity_decode(again, NULL);

        g_assert_nonnull(twice);
        psp_identity_free(twice);
    }
    g_clear_error(&error);
    psp_identity_free(id);
    psp_identity_find_ark(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static Chip *chip;
    g_autofree uint8_t *copy = NULL;
    uint32_t total = GUINT32_TO_LE((uint32_t)len);

    try_decode(data, len);
    if (len >= 16 + 32) {
        copy = g_memdup2(data, len);
        memcpy(copy, "SEVPSPNV\1\0\0\0", 12);
        memcpy(copy + 12, &total, 4);
        psp_sha256(copy, len - 32, copy + len - 32);
        try_decode(copy, len);
    }
    /* as a host's copy for INIT_EX */
    if (!chip) {
        chip = chip_new("fuzz");
        chip_init(chip, 0);
    }
    if (len && len <= PSP_NV_LEN) {
        uint8_t *area = chip_at(chip, CHIP_BASE + 0x80000);
        PspInitEx cmd = {
            .length = GUINT32_TO_LE(36),
            .nv_paddr = GUINT64_TO_LE(CHIP_BASE + 0x80000),
            .nv_len = GUINT32_TO_LE(PSP_NV_LEN),
        };

        chip_ok(psp_exec(chip->psp, PSP_CMD_SHUTDOWN, NULL, 0));
        memset(area, 0, PSP_NV_LEN);
        memcpy(area, data, len);
        psp_exec(chip->psp, PSP_CMD_INIT_EX, &cmd, sizeof(cmd));
    }
    return 0;
}
