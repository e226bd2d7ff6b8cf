/*
 * Files, base64, hex digits, GUIDs and policies as the command line has them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/psp/psp-abi.h"
#include "tool.h"

bool tool_read(const char *path, uint8_t **data, size_t *len, GError **error)
{
    return g_file_get_contents(path, (char **)data, len, error);
}

bool tool_base64_exact(const char *text, const char *what, void *data,
                       size_t len, GError **error)
{
    size_t got;
    g_autofree uint8_t *bytes = g_base64_decode(text, &got);

    if (got != len) {
        return tool_usage(error, "%s is not base64 of %zu bytes", what, len);
    }
    memcpy(data, bytes, len);
    psp_wipe(bytes, len);
    return true;
}

bool tool_hex_exact(const char *text, const char *what, void *data,
                    size_t len, GError **error)
{
    uint8_t *bytes = data;

    if (strlen(text) != 2 * len ||
        strspn(text, "0123456789abcdefABCDEF") != 2 * len) {
        return tool_usage(error, "%s '%s' is not %zu bytes in %zu hex digits",
                          what, text, len, 2 * len);
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] = g_ascii_xdigit_value(text[2 * i]) << 4 |
                   g_ascii_xdigit_value(text[2 * i + 1]);
    }
    return true;
}

bool tool_read_exact(const char *path, void *data, size_t len,
                     GError **error)
{
    g_autofree uint8_t *bytes = NULL;
    size_t got;
    bool ok;

    if (!tool_read(path, &bytes, &got, error)) {
        return false;
    }
    if (got == len) {
        memcpy(data, bytes, len);
        ok = true;
    } else {
        ok = tool_base64_exact((char *)bytes, path, data, len, NULL);
    }
    psp_wipe(bytes, got);
    if (!ok) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "'%s' does not have %zu bytes, nor base64 of as many",
                    path, len);
    }
    return ok;
}

bool tool_new_files(const char *dir, const char *const *names, GError **error)
{
    for (; *names; names++) {
        g_autofree char *path = g_build_filename(dir, *names, NULL);
        GStatBuf found;

        if (g_lstat(path, &found) == 0) {
            g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                        "'%s' exists and is not overwritten: name another"
                        " --out, or remove it", path);
            return false;
        }
    }
    return true;
}

bool tool_write(const char *dir, const char *name, const void *data,
                size_t len, int mode, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    if (g_mkdir_with_parents(dir, 0777) < 0) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED, "cannot create '%s'",
                    dir);
        return false;
    }
    return g_file_set_contents_full(path, data, len,
                                    G_FILE_SET_CONTENTS_CONSISTENT, mode,
                                    error);
}

bool tool_write_base64(const char *dir, const char *name, const void *data,
                       size_t len, int mode, GError **error)
{
    g_autofree char *text = g_base64_encode(data, len);

    return tool_write(dir, name, text, strlen(text), mode, error);
}

/* GUIDs are stored with their first three parts little endian. */
bool tool_uuid_parse(const char *text, uint8_t guid[16], GError **error)
{
    static const int order[16] = {
        6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34,
    };

    if (!g_uuid_string_is_valid(text)) {
        return tool_usage(error, "'%s' is not a GUID", text);
    }
    for (int i = 0; i < 16; i++) {
        guid[i] = g_ascii_xdigit_value(text[order[i]]) << 4 |
                  g_ascii_xdigit_value(text[order[i] + 1]);
    }
    return true;
}

bool tool_policy_parse(const char *text, uint32_t *policy, GError **error)
{
    char *end;
    guint64 value = g_ascii_strtoull(text, &end, 0);

    if (end == text || *end || value > UINT32_MAX) {
        return tool_usage(error, "'%s' is not a policy: a number such as"
                          " 0x5", text);
    }
    *policy = value;
    return true;
}
