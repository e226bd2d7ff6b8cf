/*
 * A chip on its directory, for the commands that need one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tool.h"

#define TOOL_PAGE   0x4000
#define TOOL_BASE   0x100000
#define TOOL_MEM    (4 * TOOL_PAGE)

struct ToolChip {
    PspStore *store;
    PspPlatform *psp;
    uint8_t mem[TOOL_MEM];
};

static void *tool_mem_map(void *opaque, uint64_t paddr, size_t len,
                          bool write)
{
    ToolChip *chip = opaque;

    if (paddr < TOOL_BASE || paddr - TOOL_BASE > TOOL_MEM ||
        len > TOOL_MEM - (paddr - TOOL_BASE)) {
        return NULL;
    }
    return chip->mem + (paddr - TOOL_BASE);
}

static void tool_mem_unmap(void *opaque, void *ptr, uint64_t paddr,
                           size_t len, size_t written)
{
}

static void tool_random(void *opaque, void *dst, size_t len)
{
    uint8_t *out = dst;

    while (len) {
        ssize_t n = getrandom(out, len, 0);

        if (n < 0 && errno != EINTR) {
            g_error("the system has no random numbers: %s",
                    g_strerror(errno));
        }
        if (n > 0) {
            out += n;
            len -= n;
        }
    }
}

const PspRng tool_rng = { tool_random, NULL };

static bool tool_nv_lock(void *opaque, GError **error)
{
    return psp_store_lock(((ToolChip *)opaque)->store, error);
}

static void tool_nv_unlock(void *opaque)
{
    psp_store_unlock(((ToolChip *)opaque)->store);
}

static GBytes *tool_nv_load(void *opaque, GError **error)
{
    return psp_store_load(((ToolChip *)opaque)->store, error);
}

static bool tool_nv_store(void *opaque, GBytes *blob, GError **error)
{
    return psp_store_save(((ToolChip *)opaque)->store, blob, error);
}

static const PspHost tool_host = {
    .mem_map = tool_mem_map,
    .mem_unmap = tool_mem_unmap,
    .random = tool_random,
    .nv_lock = tool_nv_lock,
    .nv_unlock = tool_nv_unlock,
    .nv_load = tool_nv_load,
    .nv_store = tool_nv_store,
};

ToolChip *tool_chip_open(Tool *tool, GError **error)
{
    g_autoptr(ToolChip) chip = g_new0(ToolChip, 1);

    chip->store = psp_store_open(tool->dir, error);
    if (!chip->store) {
        return NULL;
    }
    chip->psp = psp_platform_new(&tool_host, chip, error);
    if (!chip->psp) {
        return NULL;
    }
    return g_steal_pointer(&chip);
}

ToolChip *tool_chip_start(Tool *tool, GError **error)
{
    g_autoptr(ToolChip) chip = tool_chip_open(tool, error);
    PspInit cmd = { 0 };

    if (!chip ||
        !tool_exec(chip, PSP_CMD_INIT, &cmd, sizeof(cmd), error)) {
        return NULL;
    }
    return g_steal_pointer(&chip);
}

void tool_chip_close(ToolChip *chip)
{
    if (chip) {
        psp_platform_free(chip->psp);
        psp_store_close(chip->store);
        g_free(chip);
    }
}

PspPlatform *tool_chip_psp(ToolChip *chip)
{
    return chip->psp;
}

PspStore *tool_chip_store(ToolChip *chip)
{
    return chip->store;
}

uint64_t tool_chip_paddr(unsigned n)
{
    return GUINT64_TO_LE(TOOL_BASE + n * TOOL_PAGE);
}

uint8_t *tool_chip_mem(ToolChip *chip, unsigned n)
{
    return chip->mem + n * TOOL_PAGE;
}

bool tool_exec(ToolChip *chip, PspCommand cmd, void *buf, size_t len,
               GError **error)
{
    PspStatus status = psp_exec(chip->psp, cmd, buf, len);

    if (status == PSP_SUCCESS) {
        return true;
    }
    if (psp_last_error()) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "%s", psp_last_error());
    } else {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "the chip refuses %s: %s", psp_command_name(cmd),
                    psp_status_name(status));
    }
    return false;
}

/* --- Certificates -------------------------------------------------------- */

bool tool_chip_certs(ToolChip *chip, ToolCerts *certs, GError **error)
{
    PspPdhCertExport cmd = {
        .pdh_paddr = tool_chip_paddr(0),
        .pdh_len = GUINT32_TO_LE(PSP_CERT_LEN),
        .chain_paddr = tool_chip_paddr(1),
        .chain_len = GUINT32_TO_LE(PSP_CHAIN_LEN),
    };
    g_autoptr(GBytes) amd = NULL;

    if (!tool_exec(chip, PSP_CMD_PDH_CERT_EXPORT, &cmd, sizeof(cmd),
                   error) ||
        !psp_platform_amd_chain(chip->psp, &amd, error)) {
        return false;
    }
    memcpy(certs->pdh, tool_chip_mem(chip, 0), sizeof(certs->pdh));
    memcpy(certs->plat, tool_chip_mem(chip, 1), sizeof(certs->plat));
    certs->amd_len = g_bytes_get_size(amd);
    if (certs->amd_len) {
        memcpy(certs->amd, g_bytes_get_data(amd, NULL), certs->amd_len);
    }
    return true;
}

bool tool_chip_id(ToolChip *chip, uint8_t id[PSP_ID_LEN], GError **error)
{
    PspGetId cmd = {
        .id_paddr = tool_chip_paddr(0),
        .id_len = GUINT32_TO_LE(PSP_ID_LEN),
    };

    if (!tool_exec(chip, PSP_CMD_GET_ID, &cmd, sizeof(cmd), error)) {
        return false;
    }
    memcpy(id, tool_chip_mem(chip, 0), PSP_ID_LEN);
    return true;
}
