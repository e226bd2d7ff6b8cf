/*
 * Any bytes as certificates: ASK and ARK of any length, a chain that starts
 * out right and is patched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "hw/psp/cert.h"
#include "tests/unit/psp/chip.h"

static void ignore_link(const char *link, bool ok, void *opaque)
{
}

static void whole_input(const uint8_t *data, size_t len)
{
    PspRoots *roots = psp_roots_new_empty();
    PspChain chain = {
        .pdh = data, .pdh_len = len,
        .plat = data, .plat_len = len,
        .amd = data, .amd_len = len,
    };
    uint8_t major, minor;
    PspChain file;
    PspAmdKey key;

    psp_amd_cert_parse(data, len, &key);
    psp_roots_add(roots, "fuzz", data, len, NULL);
    g_assert_false(psp_chain_verify(&chain, roots, NULL, NULL));
    psp_chain_explain(&chain, roots, ignore_link, NULL);
    psp_chain_api(&chain, &major, &minor);
    g_free(psp_fingerprint(data, len, NULL));
    if (psp_chain_parse(data, len, &file, NULL)) {
        g_autofree uint8_t *plat = g_memdup2(file.plat, file.plat_len);

        file.plat = plat;
        psp_chain_fill(&file, plat, &file, NULL);
        psp_chain_whole(&file, NULL);
    }
    psp_roots_free(roots);
}

/* A good chain with some bytes changed must not verify. */
static void patched_chain(const uint8_t *data, size_t len)
{
    static Chip *chip;
    static PspRoots *roots;
    uint8_t good[0x4000];
    PspChain chain;
    bool changed = false;

    if (!chip) {
        chip = chip_new("fuzz");
        chip_init(chip, 0);
        chip_export(chip);
        roots = psp_roots_new();
        psp_roots_add(roots, "fuzz", chip_at(chip, AT_AMD) + 832, 832, NULL);
    }
    memcpy(good, chip_at(chip, AT_PDH), sizeof(good));
    chain = chip_chain(chip);
    for (size_t i = 0; i + 3 <= len && i < 30; i += 3) {
        size_t at = data[i] | data[i + 1] << 8;
        uint8_t *part = chip_at(chip, at & 1 ? AT_PLAT : AT_PDH);
        size_t size = at & 1 ? PSP_CHAIN_LEN : PSP_CERT_LEN;

        if (at & 2) {
            part = chip_at(chip, AT_AMD);
            size = 2 * PSP_AMD_CERT_LEN_2048;
        }
        part[(at >> 2) % size] ^= data[i + 2];
    }
    changed = memcmp(good, chip_at(chip, AT_PDH), sizeof(good)) != 0;
    g_assert_cmpint(psp_chain_verify(&chain, roots, NULL, NULL), ==,
                    !changed);
    memcpy(chip_at(chip, AT_PDH), good, sizeof(good));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    whole_input(data, len);
    patched_chain(data, len);
    return 0;
}
