/*
 * sev-psp owner: an organisation's CA (OCA) and the platforms it owns.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/psp/cert.h"
#include "tool.h"

/* --- create: the CA's key and certificate -------------------------------- */

static int tool_owner_create(Tool *tool, const char *out, GError **error)
{
    static const char *const files[] = { "oca.key", "oca.cert", NULL };
    PspEcKey key;
    PspCert oca;
    bool ok;

    if (!tool_new_files(out, files, error)) {
        return TOOL_FAILED;
    }
    psp_ec_generate(&key, &tool_rng);
    psp_cert_init(&oca, PSP_USAGE_OCA, &key.pub);
    psp_cert_sign(&oca, 0, PSP_USAGE_OCA, &key, &tool_rng);
    ok = tool_write(out, "oca.key", key.d, sizeof(key.d), 0600, error) &&
         tool_write(out, "oca.cert", &oca, sizeof(oca), 0644, error);
    psp_wipe(&key, sizeof(key));
    tool_text(tool, "directory", "%s", out);
    return ok ? TOOL_OK : TOOL_FAILED;
}

/* --- csr, sign, import, release ------------------------------------------ */

static int tool_owner_csr(Tool *tool, const char *out, GError **error)
{
    g_autoptr(ToolChip) chip = tool_chip_start(tool, error);
    PspPekCsr cmd = {
        .csr_paddr = tool_chip_paddr(0),
        .csr_len = GUINT32_TO_LE(PSP_CERT_LEN),
    };

    if (!chip ||
        !tool_exec(chip, PSP_CMD_PEK_CSR, &cmd, sizeof(cmd), error) ||
        !tool_write(out, "pek.csr", tool_chip_mem(chip, 0), PSP_CERT_LEN,
                    0644, error)) {
        return TOOL_FAILED;
    }
    tool_text(tool, "directory", "%s", out);
    return TOOL_OK;
}

static bool tool_owner_key(const char *ca, PspEcKey *key, GError **error)
{
    g_autofree char *path = g_build_filename(ca, "oca.key", NULL);

    if (!tool_read_exact(path, key->d, sizeof(key->d), error)) {
        return false;
    }
    if (!psp_ec_derive_pub(key)) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "'%s' is not a private key", path);
        return false;
    }
    return true;
}

static int tool_owner_sign(Tool *tool, const char *ca, const char *csr,
                           const char *out, GError **error)
{
    PspEcKey key;
    PspCert pek;
    bool ok = tool_read_exact(csr, &pek, sizeof(pek), error) &&
              tool_owner_key(ca, &key, error);

    if (ok && !psp_cert_valid(&pek, PSP_USAGE_PEK)) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "'%s' is not a request for a PEK certificate", csr);
        ok = false;
    }
    if (ok) {
        psp_cert_sign(&pek, 0, PSP_USAGE_OCA, &key, &tool_rng);
        ok = tool_write(out, "pek.cert", &pek, sizeof(pek), 0644, error);
    }
    psp_wipe(&key, sizeof(key));
    tool_text(tool, "directory", "%s", out);
    return ok ? TOOL_OK : TOOL_FAILED;
}

static bool tool_owner_external(ToolChip *chip, bool *external,
                                GError **error)
{
    PspPlatformStatus status;

    if (!tool_exec(chip, PSP_CMD_PLATFORM_STATUS, &status, sizeof(status),
                   error)) {
        return false;
    }
    *external = status.owner & PSP_OWNER_EXTERNAL;
    return true;
}

/* Says which platform's PEK it should be; all else is the chip's to check. */
static bool tool_owner_own_pek(Tool *tool, ToolChip *chip, const char *file,
                               const PspCert *pek, GError **error)
{
    ToolCerts certs;
    bool external;

    if (!tool_owner_external(chip, &external, error) ||
        !tool_chip_certs(chip, &certs, error)) {
        return false;
    }
    if (external || memcmp(pek, certs.plat, PSP_CERT_SIGNED_LEN) == 0) {
        return true;
    }
    g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                "'%s' is not the PEK of the platform in '%s': it is another"
                " platform's, or this one's before a reset or release; sign"
                " the request that sev-psp owner csr makes now", file,
                tool->dir);
    return false;
}

static int tool_owner_import(Tool *tool, const char *pek, const char *oca,
                             GError **error)
{
    g_autoptr(ToolChip) chip = tool_chip_start(tool, error);
    PspPekCertImport cmd = {
        .pek_paddr = tool_chip_paddr(0),
        .pek_len = GUINT32_TO_LE(PSP_CERT_LEN),
        .oca_paddr = tool_chip_paddr(1),
        .oca_len = GUINT32_TO_LE(PSP_CERT_LEN),
    };
    PspCert cert;

    if (!chip ||
        !tool_read_exact(pek, &cert, sizeof(cert), error) ||
        !tool_owner_own_pek(tool, chip, pek, &cert, error) ||
        !tool_read_exact(oca, tool_chip_mem(chip, 1), PSP_CERT_LEN, error)) {
        return TOOL_FAILED;
    }
    memcpy(tool_chip_mem(chip, 0), &cert, sizeof(cert));
    if (!tool_exec(chip, PSP_CMD_PEK_CERT_IMPORT, &cmd, sizeof(cmd), error)) {
        return TOOL_FAILED;
    }
    tool_text(tool, "owner", "external");
    tool_pdh_replaced(tool);
    return TOOL_OK;
}

/* PEK_GEN replaces the PDH: not for a platform that has no owner to leave */
static int tool_owner_release(Tool *tool, GError **error)
{
    g_autoptr(ToolChip) chip = tool_chip_start(tool, error);
    bool external;

    if (!chip || !tool_owner_external(chip, &external, error) ||
        (external && !tool_exec(chip, PSP_CMD_PEK_GEN, NULL, 0, error))) {
        return TOOL_FAILED;
    }
    tool_text(tool, "owner", "self");
    if (external) {
        tool_pdh_replaced(tool);
    } else {
        tool_text(tool, "note", "it belonged to itself already; nothing was"
                  " changed");
    }
    return TOOL_OK;
}

/* --- The command --------------------------------------------------------- */

static const char tool_owner_about[] =
    "create --out DIR: make an owner's key (oca.key) and certificate"
    " (oca.cert), unless they\nare there.\n"
    "csr --out DIR: ask this platform for a signing request (pek.csr).\n"
    "sign --ca DIR --csr FILE --out DIR: sign it, with the key in DIR"
    " (pek.cert).\n"
    "import --pek FILE --oca FILE: make this platform belong to the owner.\n"
    "release: make it belong to itself again.\n\n"
    "import and release replace the platform's PDH: templates and saved guests"
    " sealed to\nthe old one cannot be opened any more.\n\n"
    "Guests with policy bit DOMAIN migrate between platforms of one owner"
    " only.\n\n"
    "Example: sev-psp owner import --pek signed/pek.cert --oca ca/oca.cert";

int tool_cmd_owner(Tool *tool, int argc, char **argv, GError **error)
{
    g_autofree char *out = NULL, *ca = NULL, *csr = NULL;
    g_autofree char *pek = NULL, *oca = NULL;
    const GOptionEntry entries[] = {
        { "out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "Write there", "DIR" },
        { "ca", 0, 0, G_OPTION_ARG_FILENAME, &ca, "The owner's", "DIR" },
        { "csr", 0, 0, G_OPTION_ARG_FILENAME, &csr, "To sign", "FILE" },
        { "pek", 0, 0, G_OPTION_ARG_FILENAME, &pek, "Signed", "FILE" },
        { "oca", 0, 0, G_OPTION_ARG_FILENAME, &oca, "The owner's", "FILE" },
        { 0 },
    };
    const char *what;

    if (!tool_parse(entries, "create|csr|sign|import|release",
                    tool_owner_about, &argc, &argv, error)) {
        return TOOL_USAGE;
    }
    what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "create") == 0 && tool_need(out, "out", error)) {
        return tool_owner_create(tool, out, error);
    }
    if (strcmp(what, "csr") == 0 && tool_need(out, "out", error)) {
        return tool_owner_csr(tool, out, error);
    }
    if (strcmp(what, "sign") == 0 && tool_need(ca, "ca", error) &&
        tool_need(csr, "csr", error) && tool_need(out, "out", error)) {
        return tool_owner_sign(tool, ca, csr, out, error);
    }
    if (strcmp(what, "import") == 0 && tool_need(pek, "pek", error) &&
        tool_need(oca, "oca", error)) {
        return tool_owner_import(tool, pek, oca, error);
    }
    if (strcmp(what, "release") == 0) {
        return tool_owner_release(tool, error);
    }
    if (!*error) {
        tool_usage(error, "owner create, csr, sign, import or release?");
    }
    return TOOL_USAGE;
}
