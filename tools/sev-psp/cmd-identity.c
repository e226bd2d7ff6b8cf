/*
 * sev-psp status, identity: who a software platform is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "tool.h"

/* --- status -------------------------------------------------------------- */

static bool tool_show(Tool *tool, ToolChip *chip, GError **error)
{
    g_autofree char *fingerprint = NULL;
    uint8_t id[PSP_ID_LEN];
    PspPlatformStatus status;
    ToolCerts certs;

    if (!tool_chip_id(chip, id, error)) {
        return false;
    }
    tool_text(tool, "directory", "%s", tool->dir);
    tool_hex(tool, "chip-id", id, sizeof(id));
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

bool tool_exists(Tool *tool)
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

/* INIT, which makes a chip unless there is one; only a new one is @silicon. */
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
