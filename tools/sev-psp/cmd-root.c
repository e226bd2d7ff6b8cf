/*
 * sev-psp root: whom to believe.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "hw/psp/cert.h"
#include "tool.h"

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

/*
 * Where they are.  Of a software chip nobody else may see its folder; what is
 * said of the kernel's is read by every user who runs QEMU.
 */
static char *tool_root_dir(Tool *tool, GError **error)
{
    g_autoptr(PspStore) store = NULL;

    if (tool->hardware) {
        return g_build_filename(tool->dir, PSP_CONFIG_ROOTS, NULL);
    }
    store = psp_store_open(tool->dir, error);
    return store ? g_strdup(psp_store_roots_dir(store)) : NULL;
}

static int tool_root_trust(Tool *tool, const char *name, const char *file,
                           GError **error)
{
    g_autofree char *dir = tool_root_dir(tool, error);
    g_autofree char *to = tool_root_file(name, error);
    g_autofree uint8_t *data = NULL;
    PspRoots *roots = psp_roots_new_empty();
    size_t len;
    bool ok;

    ok = dir && to && tool_read(file, &data, &len, error) &&
         psp_roots_add(roots, file, data, len, error) &&
         tool_root_free(dir, name, to, data, len, error);
    if (ok && g_mkdir_with_parents(dir, tool->hardware ? 0755 : 0700) < 0) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "cannot create '%s': %s",
                    dir, g_strerror(errno));
        ok = false;
    }
    ok = ok && tool_write(dir, to, data, len, tool->hardware ? 0644 : 0600,
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
    path = g_build_filename(tool->dir, PSP_CONFIG_ROOTS, file, NULL);
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
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autofree uint8_t *data = NULL;
    g_autofree char *name = g_strndup(file, strlen(file) - strlen(".cert"));
    g_autofree char *digest = NULL;
    PspAmdKey key;
    size_t len;

    if (!tool_read(path, &data, &len, NULL) ||
        !psp_amd_cert_parse(data, len, &key)) {
        tool_text(tool, name, "%s", "not a certificate");
        return;
    }
    digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, len);
    tool_text(tool, name, "%s", digest);
}

static int tool_root_list(Tool *tool, GError **error)
{
    g_autofree char *path = g_build_filename(tool->dir, PSP_CONFIG_ROOTS,
                                             NULL);
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
        if (!tool_software(tool, error)) {
            return TOOL_USAGE;
        }
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
