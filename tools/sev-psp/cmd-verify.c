/*
 * sev-psp verify, root: whom to believe.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "hw/psp/cert.h"
#include "tool.h"

/* --- verify -------------------------------------------------------------- */

static void tool_report_link(const char *link, bool ok, void *opaque)
{
    tool_bool(opaque, link, ok);
}

static bool tool_read_at(const char *dir, const char *file, uint8_t **data,
                         size_t *len, GError **error)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);

    return tool_read(path, data, len, error);
}

static int tool_verify_chain(Tool *tool, const PspChain *chain,
                             GError **error)
{
    PspRoots *roots = tool_roots(tool, error);
    g_autofree char *root = NULL;
    uint8_t major, minor;
    bool ok;

    if (!roots) {
        return TOOL_FAILED;
    }
    ok = psp_chain_explain(chain, roots, tool_report_link, tool);
    if (ok && psp_chain_verify(chain, roots, &root, NULL)) {
        tool_text(tool, "root", "%s", root);
    }
    if (psp_chain_api(chain, &major, &minor)) {
        tool_text(tool, "api", "%u.%u", major, minor);
    }
    tool_bool(tool, "verified", ok);
    psp_roots_free(roots);
    return ok ? TOOL_OK : TOOL_NO;
}

static int tool_verify_dir(Tool *tool, const char *dir, GError **error)
{
    g_autofree uint8_t *pdh = NULL, *plat = NULL, *amd = NULL;
    PspChain chain;

    if (!tool_read_at(dir, "pdh.cert", &pdh, &chain.pdh_len, error) ||
        !tool_read_at(dir, "plat.cert", &plat, &chain.plat_len, error) ||
        !tool_read_at(dir, "amd.cert", &amd, &chain.amd_len, error)) {
        return TOOL_FAILED;
    }
    chain.pdh = pdh;
    chain.plat = plat;
    chain.amd = amd;
    return tool_verify_chain(tool, &chain, error);
}

int tool_cmd_verify(Tool *tool, int argc, char **argv, GError **error)
{
    g_autoptr(ToolChip) chip = NULL;
    ToolCerts certs;
    PspChain chain;

    if (!tool_parse(NULL, "[DIR]",
                    "Check a platform's certificates, link by link, up to a"
                    " root that is trusted here:\npdh.cert, plat.cert and"
                    " amd.cert of DIR (see export), or this platform's own.\n"
                    "Exit code 3 when a link is broken.\n\n"
                    "Example: sev-psp verify /tmp/certs", &argc, &argv,
                    error)) {
        return TOOL_USAGE;
    }
    if (argc > 1) {
        return tool_verify_dir(tool, argv[1], error);
    }
    chip = tool_chip_start(tool, error);
    if (!chip || !tool_chip_certs(chip, &certs, error)) {
        return TOOL_FAILED;
    }
    chain = tool_chain(&certs);
    return tool_verify_chain(tool, &chain, error);
}

/* --- root ---------------------------------------------------------------- */

static int tool_root_export(Tool *tool, const char *file, GError **error)
{
    g_autoptr(ToolChip) chip = tool_chip_start(tool, error);
    g_autofree char *dir = g_path_get_dirname(file);
    g_autofree char *name = g_path_get_basename(file);
    g_autoptr(GBytes) cek = NULL, amd = NULL;
    const uint8_t *ask;

    if (!chip ||
        !psp_platform_published(tool_chip_psp(chip), &cek, &amd, error)) {
        return TOOL_FAILED;
    }
    ask = g_bytes_get_data(amd, NULL);
    if (!tool_write(dir, name, ask + PSP_AMD_CERT_LEN_2048,
                    PSP_AMD_CERT_LEN_2048, 0644, error)) {
        return TOOL_FAILED;
    }
    tool_text(tool, "file", "%s", file);
    return TOOL_OK;
}

#define TOOL_ROOT_SELF  "self"

/* "NAME.cert" in DIR/roots; NAME may not lead elsewhere */
static char *tool_root_file(const char *name, GError **error)
{
    if (!*name || strchr(name, '/') || *name == '.') {
        tool_usage(error, "'%s' cannot be the name of a root: no '/', and no"
                   " '.' first; such as lab-host-2", name);
        return NULL;
    }
    return g_strconcat(name, ".cert", NULL);
}

/* Not this platform's own, nor another root that has the name already */
static bool tool_root_free(const char *dir, const char *name,
                           const char *file, const uint8_t *data, size_t len,
                           GError **error)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autofree uint8_t *old = NULL;
    size_t old_len;
    bool there = g_file_test(path, G_FILE_TEST_EXISTS);

    if (there && tool_read(path, &old, &old_len, NULL) && old_len == len &&
        memcmp(old, data, len) == 0) {
        return true;
    }
    if (strcmp(name, TOOL_ROOT_SELF) == 0) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "'" TOOL_ROOT_SELF "' is"
                    " this platform's own root: take another name");
        return false;
    }
    if (there) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "'%s' is another root"
                    " already: take another name, or sev-psp root forget %s",
                    name, name);
        return false;
    }
    return true;
}

static int tool_root_trust(Tool *tool, const char *name, const char *file,
                           GError **error)
{
    g_autoptr(PspStore) store = psp_store_open(tool->dir, error);
    g_autofree char *to = tool_root_file(name, error);
    g_autofree uint8_t *data = NULL;
    PspRoots *roots = psp_roots_new_empty();
    size_t len;
    bool ok;

    ok = store && to && tool_read(file, &data, &len, error) &&
         psp_roots_add(roots, file, data, len, error) &&
         tool_root_free(psp_store_roots_dir(store), name, to, data, len,
                        error);
    if (ok && g_mkdir(psp_store_roots_dir(store), 0700) < 0 &&
        errno != EEXIST) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "cannot create '%s'",
                    psp_store_roots_dir(store));
        ok = false;
    }
    ok = ok && tool_write(psp_store_roots_dir(store), to, data, len, 0600,
                          error);
    psp_roots_free(roots);
    if (ok) {
        tool_text(tool, "trusted", "%s", name);
    }
    return ok ? TOOL_OK : *error && (*error)->code == TOOL_USAGE ? TOOL_USAGE
                                                                 : TOOL_FAILED;
}

static int tool_root_forget(Tool *tool, const char *name, GError **error)
{
    g_autofree char *file = tool_root_file(name, error);
    g_autofree char *path = NULL;

    if (!file) {
        return TOOL_USAGE;
    }
    if (strcmp(name, TOOL_ROOT_SELF) == 0) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "'" TOOL_ROOT_SELF "' is"
                    " this platform's own root and stays; sev-psp identity"
                    " reset --chip makes another");
        return TOOL_FAILED;
    }
    path = g_build_filename(tool->dir, "roots", file, NULL);
    if (g_remove(path) < 0) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "cannot remove '%s': %s",
                    path, g_strerror(errno));
        return TOOL_FAILED;
    }
    tool_text(tool, "forgotten", "%s", name);
    return TOOL_OK;
}

static void tool_root_show(Tool *tool, const char *dir, const char *file)
{
    g_autofree uint8_t *data = NULL;
    g_autofree char *name = g_strndup(file, strlen(file) - strlen(".cert"));
    g_autofree char *digest = NULL;
    PspAmdKey key;
    size_t len;

    if (!tool_read_at(dir, file, &data, &len, NULL) ||
        !psp_amd_cert_parse(data, len, &key)) {
        tool_text(tool, name, "%s", "not a certificate");
        return;
    }
    digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, len);
    tool_text(tool, name, "%s", digest);
}

static int tool_root_list(Tool *tool, GError **error)
{
    g_autofree char *path = g_build_filename(tool->dir, "roots", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir))) {
        if (g_str_has_suffix(file, ".cert")) {
            tool_root_show(tool, path, file);
        }
    }
    return TOOL_OK;
}

int tool_cmd_root(Tool *tool, int argc, char **argv, GError **error)
{
    if (!tool_parse(NULL, "export FILE | trust NAME FILE | forget NAME |"
                    " list",
                    "Root certificates (ARKs). AMD's own are always trusted;"
                    " so is this platform's,\nas 'self'.\n"
                    "export: write this platform's, for another host to"
                    " trust.\n"
                    "trust: accept the platforms under the root in FILE; no"
                    " other root loses its NAME.\n\n"
                    "Example: sev-psp root trust lab-host-2"
                    " lab-host-2-ark.cert", &argc, &argv, error)) {
        return TOOL_USAGE;
    }
    if (argc == 3 && strcmp(argv[1], "export") == 0) {
        return tool_root_export(tool, argv[2], error);
    }
    if (argc == 4 && strcmp(argv[1], "trust") == 0) {
        return tool_root_trust(tool, argv[2], argv[3], error);
    }
    if (argc == 3 && strcmp(argv[1], "forget") == 0) {
        return tool_root_forget(tool, argv[2], error);
    }
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        return tool_root_list(tool, error);
    }
    tool_usage(error, "root export FILE, root trust NAME FILE, root forget"
               " NAME or root list?");
    return TOOL_USAGE;
}
