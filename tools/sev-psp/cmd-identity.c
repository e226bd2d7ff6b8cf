/*
 * sev-psp status, identity, export, fingerprint: who a platform is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tool.h"

/* --- status -------------------------------------------------------------- */

static bool tool_show(Tool *tool, ToolChip *chip, GError **error)
{
    PspGetId get_id = {
        .id_paddr = tool_chip_paddr(0),
        .id_len = GUINT32_TO_LE(PSP_ID_LEN),
    };
    g_autofree char *fingerprint = NULL;
    PspPlatformStatus status;
    ToolCerts certs;

    if (!tool_exec(chip, PSP_CMD_GET_ID, &get_id, sizeof(get_id), error)) {
        return false;
    }
    tool_text(tool, "directory", "%s", tool->dir);
    tool_hex(tool, "chip-id", tool_chip_mem(chip, 0), PSP_ID_LEN);
    if (!tool_chip_certs(chip, &certs, error) ||
        !tool_exec(chip, PSP_CMD_PLATFORM_STATUS, &status, sizeof(status),
                   error)) {
        return false;
    }
    fingerprint = psp_fingerprint(certs.pdh, sizeof(certs.pdh), error);
    if (!fingerprint) {
        return false;
    }
    tool_text(tool, "fingerprint", "%s", fingerprint);
    tool_text(tool, "owner", "%s",
              status.owner & PSP_OWNER_EXTERNAL ? "external" : "self");
    tool_text(tool, "api", "%u.%u", status.api_major, status.api_minor);
    tool_number(tool, "build", status.build);
    tool_bool(tool, "silicon", !certs.amd_len);
    return true;
}

void tool_pdh_replaced(Tool *tool)
{
    tool_text(tool, "warning", "the PDH was replaced: templates and saved"
              " guests sealed to the old one cannot be opened any more");
}

static bool tool_exists(Tool *tool)
{
    g_autofree char *nv = g_build_filename(tool->dir, "nv", NULL);

    return g_file_test(nv, G_FILE_TEST_EXISTS);
}

int tool_cmd_status(Tool *tool, int argc, char **argv, GError **error)
{
    g_autoptr(ToolChip) chip = NULL;

    if (!tool_parse(NULL, NULL, "Show who this platform is, without making"
                    " it.\n\nExample: sev-psp --json status", &argc, &argv,
                    error)) {
        return TOOL_USAGE;
    }
    tool_bool(tool, "exists", tool_exists(tool));
    if (!tool_exists(tool)) {
        tool_text(tool, "directory", "%s", tool->dir);
        return TOOL_NO;
    }
    chip = tool_chip_start(tool, error);
    return chip && tool_show(tool, chip, error) ? TOOL_OK : TOOL_FAILED;
}

/* --- identity ------------------------------------------------------------ */

/* INIT, which makes a chip unless there is one; what it is to be, if it is new */
static bool tool_identity_start(ToolChip *chip, bool silicon, GError **error)
{
    PspInit init = { 0 };

    return (!silicon ||
            psp_platform_set_silicon(tool_chip_psp(chip), true, error)) &&
           tool_exec(chip, PSP_CMD_INIT, &init, sizeof(init), error);
}

static int tool_identity_create(Tool *tool, bool silicon, GError **error)
{
    bool existed = tool_exists(tool);
    g_autoptr(ToolChip) chip = NULL;

    if (silicon && existed) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "there is a platform in"
                    " '%s' already; only a new one can be told to behave as"
                    " silicon (sev-psp identity reset --chip --silicon)",
                    tool->dir);
        return TOOL_FAILED;
    }
    chip = tool_chip_open(tool, error);
    tool_bool(tool, "created", !existed);
    return chip && tool_identity_start(chip, silicon, error) &&
           tool_show(tool, chip, error) ? TOOL_OK : TOOL_FAILED;
}

static bool tool_identity_erase(ToolChip *chip, GError **error)
{
    PspStore *store = tool_chip_store(chip);
    bool ok = psp_store_lock(store, error);

    if (ok) {
        ok = psp_store_erase(store, error);
        psp_store_unlock(store);
    }
    return ok;
}

/* A new owner; with @chip_too, another chip altogether */
static int tool_identity_reset(Tool *tool, bool chip_too, bool silicon,
                               GError **error)
{
    g_autoptr(ToolChip) chip = tool_chip_open(tool, error);

    if (!chip ||
        !(chip_too ? tool_identity_erase(chip, error)
                   : tool_exec(chip, PSP_CMD_PLATFORM_RESET, NULL, 0,
                               error)) ||
        !tool_identity_start(chip, silicon, error) ||
        !tool_show(tool, chip, error)) {
        return TOOL_FAILED;
    }
    tool_pdh_replaced(tool);
    return TOOL_OK;
}

int tool_cmd_identity(Tool *tool, int argc, char **argv, GError **error)
{
    gboolean chip_too = false, silicon = false;
    const GOptionEntry entries[] = {
        { "chip", 0, 0, G_OPTION_ARG_NONE, &chip_too,
          "reset: become another chip, with another root", NULL },
        { "silicon", 0, 0, G_OPTION_ARG_NONE, &silicon,
          "create, reset --chip: the new chip exports no more certificates"
          " than a real one", NULL },
        { 0 },
    };

    if (!tool_parse(entries, "create|show|reset",
                    "create: make an identity unless there is one.\n"
                    "show: print it.\n"
                    "reset: new OCA, PEK and PDH, as PLATFORM_RESET makes"
                    " them. Whatever was sealed\nfor the old ones stays"
                    " sealed.\n\nExample: sev-psp identity create",
                    &argc, &argv, error)) {
        return TOOL_USAGE;
    }
    if (argc == 2 && strcmp(argv[1], "create") == 0) {
        return tool_identity_create(tool, silicon, error);
    }
    if (silicon && !chip_too) {
        tool_usage(error, "--silicon is for a new chip: identity create"
                   " --silicon, or identity reset --chip --silicon");
        return TOOL_USAGE;
    }
    if (argc == 2 && strcmp(argv[1], "show") == 0) {
        return tool_cmd_status(tool, 1, argv, error);
    }
    if (argc == 2 && strcmp(argv[1], "reset") == 0) {
        return tool_identity_reset(tool, chip_too, silicon, error);
    }
    tool_usage(error, "identity create, identity show or identity reset?");
    return TOOL_USAGE;
}

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
    ToolCerts certs;

    if (!tool_parse(entries, NULL,
                    "Write the platform's certificates: pdh, plat (PEK, OCA,"
                    " CEK) and amd (ASK, ARK),\nas the migration parameters"
                    " sev-pdh, sev-plat-cert and sev-amd-cert want them.\n\n"
                    "Example: sev-psp export --out /tmp/certs", &argc, &argv,
                    error)) {
        return TOOL_USAGE;
    }
    chip = tool_chip_start(tool, error);
    if (!chip || !tool_chip_certs(chip, &certs, error)) {
        return TOOL_FAILED;
    }
    if (published) {
        return tool_need(out, "out", error) ?
               tool_export_published(tool, out, chip, error) : TOOL_USAGE;
    }
    if (out) {
        tool_text(tool, "directory", "%s", out);
        return tool_export_files(out, &certs, error) ? TOOL_OK : TOOL_FAILED;
    }
    tool_base64(tool, "pdh", certs.pdh, sizeof(certs.pdh));
    tool_base64(tool, "plat", certs.plat, sizeof(certs.plat));
    tool_base64(tool, "amd", certs.amd, certs.amd_len);
    return TOOL_OK;
}

/* --- fingerprint --------------------------------------------------------- */

int tool_cmd_fingerprint(Tool *tool, int argc, char **argv, GError **error)
{
    g_autoptr(ToolChip) chip = NULL;
    g_autofree char *fingerprint = NULL;
    uint8_t pdh[PSP_CERT_LEN];
    ToolCerts certs;

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
        if (!tool_exists(tool)) {
            g_set_error(error, TOOL_ERROR, TOOL_FAILED, "there is no platform"
                        " in '%s'; sev-psp identity create makes one",
                        tool->dir);
            return TOOL_FAILED;
        }
        chip = tool_chip_start(tool, error);
        if (!chip || !tool_chip_certs(chip, &certs, error)) {
            return TOOL_FAILED;
        }
        memcpy(pdh, certs.pdh, sizeof(pdh));
    }
    fingerprint = psp_fingerprint(pdh, sizeof(pdh), error);
    if (!fingerprint) {
        return TOOL_FAILED;
    }
    tool_text(tool, "fingerprint", "%s", fingerprint);
    return TOOL_OK;
}
