/*
 * The platform that the command line names, and whom it trusts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tool.h"

bool tool_software(Tool *tool, GError **error)
{
    return !tool->hardware ||
           tool_usage(error, "--hardware is not for this: it is about a"
                      " software secure processor");
}

bool tool_platform(Tool *tool, ToolPlatform *platform, GError **error)
{
    g_autoptr(ToolChip) chip = NULL;

    if (tool->hardware) {
        return tool_kernel_platform(platform, error);
    }
    chip = tool_chip_start(tool, error);
    platform->has_id = true;
    return chip && tool_chip_id(chip, platform->id, error) &&
           tool_chip_certs(chip, &platform->certs, error);
}

/* --- The whole chain ------------------------------------------------------ */

char *tool_chain_path(Tool *tool)
{
    return g_build_filename(tool->dir, PSP_CONFIG_CHAIN, NULL);
}

bool tool_platform_complete(Tool *tool, ToolCerts *certs, GError **error)
{
    g_autofree char *path = tool_chain_path(tool);
    PspChain chain = tool_chain(certs), file;
    g_autoptr(GBytes) bytes = NULL;

    if (psp_chain_whole(&chain, NULL) ||
        !g_file_test(path, G_FILE_TEST_EXISTS)) {
        return true;
    }
    if (!psp_chain_load(path, &bytes, &file, error)) {
        return false;
    }
    if (!psp_chain_fill(&chain, certs->plat, &file, error)) {
        g_prefix_error(error, "'%s': ", path);
        return false;
    }
    if (!certs->amd_len) {
        memcpy(certs->amd, chain.amd, chain.amd_len);
        certs->amd_len = chain.amd_len;
    }
    return true;
}

PspChain tool_chain(const ToolCerts *certs)
{
    return (PspChain) {
        .pdh = certs->pdh, .pdh_len = sizeof(certs->pdh),
        .plat = certs->plat, .plat_len = sizeof(certs->plat),
        .amd = certs->amd, .amd_len = certs->amd_len,
    };
}

PspRoots *tool_roots(Tool *tool, GError **error)
{
    g_autofree char *dir = g_build_filename(tool->dir, PSP_CONFIG_ROOTS, NULL);
    PspRoots *roots = psp_roots_new();

    if (!psp_roots_add_dir(roots, dir, error)) {
        psp_roots_free(roots);
        return NULL;
    }
    return roots;
}
