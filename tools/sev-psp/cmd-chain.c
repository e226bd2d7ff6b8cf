/*
 * sev-psp chain: a real chip's whole certificate chain.
 *
 * The chip exports PDH, PEK, OCA and an unsigned CEK; AMD publishes the CEK
 * signed by an ASK, by the chip's id, and that ASK with its ARK.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/psp/cert.h"
#include "tool.h"

/* What AMD publishes, and in which form: an address without its end */
#define AMD_CEK         "https://kdsintf.amd.com/cek/id/"
#define AMD_ASK_ARK     "https://download.amd.com/developer/eula/sev/ask_ark_"

typedef struct ChainOptions {
    char *pdh, *plat, *id;      /* another host's, as files and hex digits */
    char *cek, *ask_ark;        /* AMD's files */
    char *out;
} ChainOptions;

static void chain_options_clear(ChainOptions *o)
{
    g_free(o->pdh);
    g_free(o->plat);
    g_free(o->id);
    g_free(o->cek);
    g_free(o->ask_ark);
    g_free(o->out);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChainOptions, chain_options_clear)

/* --- What the chip exports ------------------------------------------------ */

/* As query-sev-capabilities of that host's QEMU has it */
static bool chain_read_export(const ChainOptions *o, ToolPlatform *platform,
                              GError **error)
{
    ToolCerts *certs = &platform->certs;
    PspChain chain;

    certs->amd_len = 0;
    platform->has_id = o->id;
    if (!tool_need(o->pdh, "pdh", error) ||
        !tool_need(o->plat, "plat", error) ||
        (o->id && !tool_hex_exact(o->id, "--id", platform->id,
                                  sizeof(platform->id), error)) ||
        !tool_read_exact(o->pdh, certs->pdh, sizeof(certs->pdh), error) ||
        !tool_read_exact(o->plat, certs->plat, sizeof(certs->plat), error)) {
        return false;
    }
    chain = tool_chain(certs);
    chain.amd = NULL;
    return psp_chain_formed(&chain, error);
}

static bool chain_export(Tool *tool, const ChainOptions *o,
                         ToolPlatform *platform, GError **error)
{
    return o->pdh || o->plat || o->id
           ? chain_read_export(o, platform, error)
           : tool_platform(tool, platform, error);
}

static bool chain_show_platform(Tool *tool, const ToolPlatform *platform,
                                GError **error)
{
    g_autofree char *fingerprint = psp_fingerprint(platform->certs.pdh,
                                                   PSP_CERT_LEN, error);

    if (platform->has_id) {
        tool_hex(tool, "chip-id", platform->id, PSP_ID_LEN);
    }
    if (fingerprint) {
        tool_text(tool, "fingerprint", "%s", fingerprint);
    }
    return fingerprint;
}

static char *chain_file(Tool *tool, const ChainOptions *o)
{
    return o->out ? g_strdup(o->out) : tool_chain_path(tool);
}

/* --- show ----------------------------------------------------------------- */

/* Where what is missing is to be had, and what to do with it */
static void chain_show_wanted(Tool *tool, const ChainOptions *o,
                              const ToolPlatform *platform)
{
    const char *generation = tool->hardware ? tool_kernel_generation() : NULL;
    g_autoptr(GString) id = g_string_new(NULL);

    if (!tool->hardware && !o->pdh) {
        tool_text(tool, "fetch", "a software chip's come from: sev-psp --dir"
                  " %s export --amd --out DIR", tool->dir);
    } else {
        for (size_t i = 0; platform->has_id && i < PSP_ID_LEN; i++) {
            g_string_append_printf(id, "%02x", platform->id[i]);
        }
        tool_text(tool, "fetch-cek", AMD_CEK "%s",
                  platform->has_id ? id->str : "CHIP-ID");
        tool_text(tool, "fetch-ask-ark", AMD_ASK_ARK "%s.cert",
                  generation ?: "GENERATION");
        if (!generation) {
            tool_text(tool, "generation", "naples, rome, milan, genoa or"
                      " turin");
        }
    }
    tool_text(tool, "then", "sev-psp%s chain import%s --cek FILE --ask-ark"
              " FILE", tool->hardware ? " --hardware" : "",
              o->pdh ? " --pdh FILE --plat FILE --out FILE" : "");
}

static int chain_show(Tool *tool, const ChainOptions *o, GError **error)
{
    g_autofree char *path = chain_file(tool, o);
    g_autoptr(GError) lack = NULL;
    ToolPlatform platform;
    PspChain chain;
    bool whole;

    if (!chain_export(tool, o, &platform, error) ||
        !chain_show_platform(tool, &platform, error)) {
        return (*error)->code == TOOL_USAGE ? TOOL_USAGE : TOOL_FAILED;
    }
    if (!o->pdh) {
        tool_text(tool, "file", "%s", path);
        tool_bool(tool, "exists", g_file_test(path, G_FILE_TEST_EXISTS));
        if (!tool_platform_complete(tool, &platform.certs, &lack)) {
            tool_text(tool, "refused", "%s", lack->message);
            g_clear_error(&lack);
        }
    }
    chain = tool_chain(&platform.certs);
    whole = psp_chain_whole(&chain, &lack);
    tool_bool(tool, "whole", whole);
    if (!whole) {
        tool_text(tool, "missing", "%s", lack->message);
        chain_show_wanted(tool, o, &platform);
    }
    return whole ? TOOL_OK : TOOL_NO;
}

/* --- import --------------------------------------------------------------- */

/* The CEK of this chip that AMD's ASK signed, in place of the chip's own */
static bool chain_take_cek(const char *path, ToolCerts *certs, GError **error)
{
    PspCert *cek = (PspCert *)certs->plat + 2;
    PspCert signed_cek;
    PspChain chain = tool_chain(certs), from;
    uint8_t plat[PSP_CHAIN_LEN];

    if (!tool_read_exact(path, &signed_cek, sizeof(signed_cek), error)) {
        return false;
    }
    if (!psp_cert_valid(&signed_cek, PSP_USAGE_CEK)) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "'%s' is no CEK certificate", path);
        return false;
    }
    if (!psp_cert_has_signature(&signed_cek, PSP_USAGE_ASK)) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "'%s': the CEK is not"
                    " signed by an ASK, it is as a chip exports it; AMD has"
                    " the signed one (sev-psp chain show says where)", path);
        return false;
    }
    psp_cert_unsign(cek);
    from = chain;
    from.plat = plat;
    memcpy(plat, certs->plat, sizeof(plat));
    memcpy(plat + 2 * PSP_CERT_LEN, &signed_cek, sizeof(signed_cek));
    if (!psp_chain_fill(&chain, certs->plat, &from, error)) {
        g_prefix_error(error, "'%s': ", path);
        return false;
    }
    return true;
}

/* ASK and ARK that fit that CEK */
static bool chain_take_ask_ark(const ChainOptions *o, ToolCerts *certs,
                               GError **error)
{
    g_autofree uint8_t *amd = NULL;
    PspChain chain;
    size_t len;

    if (!tool_read(o->ask_ark, &amd, &len, error)) {
        return false;
    }
    chain = tool_chain(certs);
    chain.amd = amd;
    chain.amd_len = len;
    if (!psp_chain_formed(&chain, error)) {
        g_prefix_error(error, "'%s': ", o->ask_ark);
        return false;
    }
    if (!psp_chain_whole(&chain, error)) {
        g_prefix_error(error, "'%s' and '%s' do not belong together: ",
                       o->cek, o->ask_ark);
        return false;
    }
    memcpy(certs->amd, amd, len);
    certs->amd_len = len;
    return true;
}

/* Every link, up to a root that is trusted; *@root gets its name. */
static bool chain_check(Tool *tool, const ToolCerts *certs, char **root,
                        GError **error)
{
    g_autoptr(PspRoots) roots = tool_roots(tool, error);
    PspChain chain = tool_chain(certs);
    GError *err = NULL;

    if (!roots) {
        return false;
    }
    if (!psp_chain_verify(&chain, roots, root, &err)) {
        if (g_error_matches(err, PSP_ERROR, PSP_ERROR_ROOT)) {
            g_set_error(error, TOOL_ERROR, TOOL_FAILED, "%s: it is not AMD's,"
                        " nor in '%s/" PSP_CONFIG_ROOTS "', where sev-psp%s"
                        " root trust puts others", err->message, tool->dir,
                        tool->hardware ? " --hardware" : "");
            g_error_free(err);
        } else {
            g_propagate_error(error, err);
        }
        return false;
    }
    return true;
}

static bool chain_write(const char *path, const ToolCerts *certs,
                        GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);

    g_byte_array_append(all, certs->pdh, sizeof(certs->pdh));
    g_byte_array_append(all, certs->plat, sizeof(certs->plat));
    g_byte_array_append(all, certs->amd, certs->amd_len);
    return tool_write(dir, name, all->data, all->len, 0644, error);
}

static int chain_import(Tool *tool, const ChainOptions *o, GError **error)
{
    g_autofree char *path = chain_file(tool, o);
    g_autofree char *root = NULL;
    ToolPlatform platform;

    if (!tool_need(o->cek, "cek", error) ||
        !tool_need(o->ask_ark, "ask-ark", error) ||
        (o->pdh && !tool_need(o->out, "out", error))) {
        return TOOL_USAGE;
    }
    if (!chain_export(tool, o, &platform, error)) {
        return (*error)->code == TOOL_USAGE ? TOOL_USAGE : TOOL_FAILED;
    }
    if (!chain_take_cek(o->cek, &platform.certs, error) ||
        !chain_take_ask_ark(o, &platform.certs, error) ||
        !chain_check(tool, &platform.certs, &root, error) ||
        !chain_show_platform(tool, &platform, error) ||
        !chain_write(path, &platform.certs, error)) {
        return TOOL_FAILED;
    }
    tool_text(tool, "root", "%s", root);
    tool_text(tool, "file", "%s", path);
    return TOOL_OK;
}

int tool_cmd_chain(Tool *tool, int argc, char **argv, GError **error)
{
    g_auto(ChainOptions) o = { 0 };
    const GOptionEntry entries[] = {
        { "cek", 0, 0, G_OPTION_ARG_FILENAME, &o.cek,
          "import: the chip's CEK as AMD publishes it", "FILE" },
        { "ask-ark", 0, 0, G_OPTION_ARG_FILENAME, &o.ask_ark,
          "import: ASK and ARK of the chip's generation", "FILE" },
        { "pdh", 0, 0, G_OPTION_ARG_FILENAME, &o.pdh,
          "Another host's: 'pdh' of query-sev-capabilities, also in base64",
          "FILE" },
        { "plat", 0, 0, G_OPTION_ARG_FILENAME, &o.plat,
          "Another host's: its 'cert-chain'", "FILE" },
        { "id", 0, 0, G_OPTION_ARG_STRING, &o.id,
          "Another host's: its 'cpu0-id', in hex digits", "ID" },
        { "out", 'o', 0, G_OPTION_ARG_FILENAME, &o.out,
          "import: write this file, not the one that QEMU looks for", "FILE" },
        { 0 },
    };

    if (!tool_parse(entries, "show|import",
                    "The whole certificate chain of a real chip, which exports"
                    " its CEK unsigned and\nneither ASK nor ARK.\n"
                    "show: what is missing, and where AMD has it; exit code 3"
                    " when something is.\n"
                    "import: put AMD's files beside what the chip exports,"
                    " check every link, write\nthe file that QEMU looks"
                    " for.\n\n"
                    "Example: sev-psp --hardware chain import --cek cek.cert"
                    " --ask-ark ask_ark_milan.cert", &argc, &argv, error)) {
        return TOOL_USAGE;
    }
    if (argc == 2 && strcmp(argv[1], "show") == 0) {
        return chain_show(tool, &o, error);
    }
    if (argc == 2 && strcmp(argv[1], "import") == 0) {
        return chain_import(tool, &o, error);
    }
    tool_usage(error, "chain show or chain import?");
    return TOOL_USAGE;
}
