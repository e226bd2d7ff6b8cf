/*
 * What the vCPUs of an SEV-ES guest start with: from the CPU model and from
 * what the firmware names in its SEV-ES reset block.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/psp/psp-vmsa.h"
#include "tool.h"

#define GUID_TABLE_FOOTER   "96b582de-1fb2-45f7-baea-a366c55a082d"
#define GUID_RESET_BLOCK    "00f771de-1a7e-4fcb-890e-68c77e2fb44e"

#define TABLE_END           0x20        /* bytes before the end of the file */

/* --- The CPU model --------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned family, model, stepping;
} models[] = {
    { "EPYC", 23, 1, 2 },
    { "EPYC-Rome", 23, 49, 0 },
    { "EPYC-Milan", 25, 1, 1 },
    { "EPYC-Genoa", 25, 17, 0 },
};

/* CPUID leaf 1 EAX (APM vol. 3, appendix E.3.2) */
static uint32_t signature(unsigned family, unsigned model, unsigned stepping)
{
    return (family - 15) << 20 | (model >> 4) << 16 | 15 << 8 |
           (model & 15) << 4 | stepping;
}

/* "EPYC-Milan-v2" is a version of EPYC-Milan, and "EPYC-v4" one of EPYC. */
static bool is_model(const char *text, const char *name)
{
    size_t len = strlen(name);

    return g_str_has_prefix(text, name) &&
           (!text[len] || g_str_has_prefix(text + len, "-v"));
}

bool tool_vcpu_signature(const char *cpu, uint32_t *out, GError **error)
{
    guint64 number;

    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (is_model(cpu, models[i].name)) {
            *out = signature(models[i].family, models[i].model,
                             models[i].stepping);
            return true;
        }
    }
    if (g_str_has_prefix(cpu, "0x") &&
        g_ascii_string_to_unsigned(cpu + 2, 16, 1, UINT32_MAX, &number,
                                   NULL)) {
        *out = number;
        return true;
    }
    return tool_usage(error, "--cpu %s is neither EPYC, EPYC-Rome, EPYC-Milan "
                      "or EPYC-Genoa, nor CPUID leaf 1 EAX as 0x...", cpu);
}

/* --- The reset block --------------------------------------------------------*/

/*
 * The table of OVMF is read from its end: each entry has its data first, then
 * the length of the whole entry, then its GUID (mixed endian, as always).
 */
static const uint8_t *find_entry(const uint8_t *fw, size_t end, size_t start,
                                 const char *guid, size_t *data_len)
{
    const size_t head = 16 + sizeof(uint16_t);
    uint8_t want[16];

    tool_uuid_parse(guid, want, NULL);
    while (end >= start + head) {
        size_t len = fw[end - 18] | fw[end - 17] << 8;

        if (len < head || len > end - start) {
            return NULL;
        }
        if (!memcmp(fw + end - 16, want, sizeof(want))) {
            *data_len = len - head;
            return fw + end - len;
        }
        end -= len;
    }
    return NULL;
}

static bool reset_address(const uint8_t *fw, size_t size, uint32_t *addr)
{
    const uint8_t *table, *block;
    size_t table_len, len;

    if (size < TABLE_END) {
        return false;
    }
    table = find_entry(fw, size - TABLE_END, 0, GUID_TABLE_FOOTER, &table_len);
    block = table ? find_entry(fw, table - fw + table_len, table - fw,
                               GUID_RESET_BLOCK, &len)
                  : find_entry(fw, size - TABLE_END, 0, GUID_RESET_BLOCK,
                               &len);
    if (!block || len < sizeof(*addr)) {
        return false;
    }
    *addr = block[0] | block[1] << 8 | block[2] << 16 | (uint32_t)block[3] << 24;
    return *addr != 0;
}

bool tool_vcpu_digest(PspSha256 *sha, const ToolVcpus *vcpus,
                      const char *firmware, GError **error)
{
    g_autofree uint8_t *fw = NULL;
    PspVmsaStart start = { .legacy = !vcpus->init2 };
    uint32_t addr = 0;
    PspVmsa vmsa;
    size_t size;

    if (!tool_vcpu_signature(vcpus->cpu, &start.signature, error) ||
        !tool_read(firmware, &fw, &size, error)) {
        return false;
    }
    if (!reset_address(fw, size, &addr)) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "'%s' names no reset "
                    "address for SEV-ES (OVMF's table, %s)", firmware,
                    GUID_RESET_BLOCK);
        return false;
    }
    for (int n = 0; n < vcpus->count; n++) {
        start.reset_addr = n ? addr : 0;
        psp_vmsa_start(&vmsa, &start);
        psp_sha256_update(sha, &vmsa, sizeof(vmsa));
    }
    return true;
}
