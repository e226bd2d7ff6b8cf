/*
 * sev-psp verify: is this chain good?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tool.h"

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

/* A chain in one file, as chain import writes it */
static int tool_verify_file(Tool *tool, const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    PspChain chain;

    return psp_chain_load(path, &bytes, &chain, error)
           ? tool_verify_chain(tool, &chain, error) : TOOL_FAILED;
}

int tool_cmd_verify(Tool *tool, int argc, char **argv, GError **error)
{
    ToolPlatform platform;
    PspChain chain;

    if (!tool_parse(NULL, "[DIR|FILE]",
                    "Check a platform's certificates, link by link, up to a"
                    " root that is trusted here:\npdh.cert, plat.cert and"
                    " amd.cert of DIR (see export), all of them in FILE (see"
                    " chain\nimport), or this platform's own.\n"
                    "Exit code 3 when a link is broken.\n\n"
                    "Example: sev-psp verify /tmp/certs", &argc, &argv,
                    error)) {
        return TOOL_USAGE;
    }
    if (argc > 1) {
        return g_file_test(argv[1], G_FILE_TEST_IS_REGULAR)
               ? tool_verify_file(tool, argv[1], error)
               : tool_verify_dir(tool, argv[1], error);
    }
    if (!tool_platform(tool, &platform, error) ||
        !tool_platform_complete(tool, &platform.certs, error)) {
        return TOOL_FAILED;
    }
    chain = tool_chain(&platform.certs);
    return tool_verify_chain(tool, &chain, error);
}
