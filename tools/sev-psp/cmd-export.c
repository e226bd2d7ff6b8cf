/*
 * sev-psp export, fingerprint: what a platform says who it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tool.h"

/* --- export -------------------------------------------------------------- */

/* Silicon has no ASK and no ARK: then there are no files of them. */
static bool tool_export_files(const char *out, const ToolCerts *certs,
                              GError **error)
{
    size_t half = certs->amd_len / 2;
    const struct {
        const char *name;
        const uint8_t *data;
        size_t len;
    } files[] = {
        { "pdh.cert", certs->pdh, PSP_CERT_LEN },
        { "plat.cert", certs->plat, PSP_CHAIN_LEN },
        { "amd.cert", certs->amd, certs->amd_len },
        { "pek.cert", certs->plat, PSP_CERT_LEN },
        { "oca.cert", certs->plat + PSP_CERT_LEN, PSP_CERT_LEN },
        { "cek.cert", certs->plat + 2 * PSP_CERT_LEN, PSP_CERT_LEN },
        { "ask.cert", certs->amd, half },
        { "ark.cert", certs->amd + half, half },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (files[i].len &&
            !tool_write(out, files[i].name, files[i].data, files[i].len,
                        0644, error)) {
            return false;
        }
    }
    return true;
}

/* The two files that AMD's web service would have of this chip */
static int tool_export_published(Tool *tool, const char *out, ToolChip *chip,
                                 GError **error)
{
    g_autoptr(GBytes) cek = NULL, amd = NULL;
    size_t cek_len, amd_len;
    const void *data;

    if (!psp_platform_published(tool_chip_psp(chip), &cek, &amd, error)) {
        return TOOL_FAILED;
    }
    data = g_bytes_get_data(cek, &cek_len);
    if (!tool_write(out, "cek.cert", data, cek_len, 0644, error)) {
        return TOOL_FAILED;
    }
    data = g_bytes_get_data(amd, &amd_len);
    if (!tool_write(out, "ask_ark.cert", data, amd_len, 0644, error)) {
        return TOOL_FAILED;
    }
    tool_text(tool, "directory", "%s", out);
    return TOOL_OK;
}

int tool_cmd_export(Tool *tool, int argc, char **argv, GError **error)
{
    g_autofree char *out = NULL;
    gboolean published = false;
    const GOptionEntry entries[] = {
        { "out", 'o', 0, G_OPTION_ARG_FILENAME, &out,
          "Write files there, instead of base64 to stdout", "DIR" },
        { "amd", 0, 0, G_OPTION_ARG_NONE, &published,
          "cek.cert and ask_ark.cert, as AMD publishes them for a real chip",
          NULL },
        { 0 },
    };
    g_autoptr(ToolChip) chip = NULL;
    ToolPlatform platform;

    if (!tool_parse(entries, NULL,
                    "Write the platform's certificates: pdh, plat (PEK, OCA,"
                    " CEK) and amd (ASK, ARK),\nas the migration parameters"
                    " sev-pdh, sev-plat-cert and sev-amd-cert want them.  What"
                    " a real chip does\nnot export is there once chain import"
                    " has made its whole chain.\n\n"
                    "Example: sev-psp export --out /tmp/certs", &argc, &argv,
                    error)) {
        return TOOL_USAGE;
    }
    if (published) {
        if (!tool_need(out, "out", error) || !tool_software(tool, error)) {
            return TOOL_USAGE;
        }
        chip = tool_chip_start(tool, error);
        return chip ? tool_export_published(tool, out, chip, error)
                    : TOOL_FAILED;
    }
    if (!tool_platform(tool, &platform, error) ||
        !tool_platform_complete(tool, &platform.certs, error)) {
        return TOOL_FAILED;
    }
    if (out) {
        tool_text(tool, "directory", "%s", out);
        return tool_export_files(out, &platform.certs, error) ? TOOL_OK
                                                              : TOOL_FAILED;
    }
    tool_base64(tool, "pdh", platform.certs.pdh, sizeof(platform.certs.pdh));
    tool_base64(tool, "plat", platform.certs.plat,
                sizeof(platform.certs.plat));
    tool_base64(tool, "amd", platform.certs.amd, platform.certs.amd_len);
    return TOOL_OK;
}

/* --- fingerprint --------------------------------------------------------- */

int tool_cmd_fingerprint(Tool *tool, int argc, char **argv, GError **error)
{
    g_autofree char *fingerprint = NULL;
    uint8_t pdh[PSP_CERT_LEN];
    ToolPlatform platform;

    if (!tool_parse(NULL, "[FILE]",
                    "Print the fingerprint of a PDH certificate, or of this"
                    " platform: SHA-256 of the\npublic key.\n\n"
                    "Example: sev-psp fingerprint pdh.cert", &argc, &argv,
                    error)) {
        return TOOL_USAGE;
    }
    if (argc > 1) {
        if (!tool_read_exact(argv[1], pdh, sizeof(pdh), error)) {
            return TOOL_FAILED;
        }
    } else {
        if (!tool->hardware && !tool_exists(tool)) {
            g_set_error(error, TOOL_ERROR, TOOL_FAILED, "there is no platform"
                        " in '%s'; sev-psp identity create makes one",
                        tool->dir);
            return TOOL_FAILED;
        }
        if (!tool_platform(tool, &platform, error)) {
            return TOOL_FAILED;
        }
        memcpy(pdh, platform.certs.pdh, sizeof(pdh));
    }
    fingerprint = psp_fingerprint(pdh, sizeof(pdh), error);
    if (!fingerprint) {
        return TOOL_FAILED;
    }
    tool_text(tool, "fingerprint", "%s", fingerprint);
    return TOOL_OK;
}
