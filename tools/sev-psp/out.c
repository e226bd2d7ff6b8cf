/*
 * One list of fields, printed for people or as a JSON object.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>

#include "tool.h"

static void out_name(Tool *tool, const char *name)
{
    if (tool->json) {
        g_string_append_printf(tool->out, "%s\n  \"%s\": ",
                               tool->first ? "" : ",", name);
    } else {
        g_string_append_printf(tool->out, "%s: ", name);
    }
    tool->first = false;
}

static void out_string(Tool *tool, const char *value)
{
    if (!tool->json) {
        g_string_append(tool->out, value);
        g_string_append_c(tool->out, '\n');
        return;
    }
    g_string_append_c(tool->out, '"');
    for (const char *c = value; *c; c++) {
        if (*c == '"' || *c == '\\') {
            g_string_append_c(tool->out, '\\');
            g_string_append_c(tool->out, *c);
        } else if ((unsigned char)*c < 0x20) {
            g_string_append_printf(tool->out, "\\u%04x", *c);
        } else {
            g_string_append_c(tool->out, *c);
        }
    }
    g_string_append_c(tool->out, '"');
}

void tool_text(Tool *tool, const char *name, const char *format, ...)
{
    g_autofree char *value = NULL;
    va_list args;

    va_start(args, format);
    value = g_strdup_vprintf(format, args);
    va_end(args);
    out_name(tool, name);
    out_string(tool, value);
}

void tool_bool(Tool *tool, const char *name, bool value)
{
    out_name(tool, name);
    if (tool->json) {
        g_string_append(tool->out, value ? "true" : "false");
    } else {
        g_string_append(tool->out, value ? "yes\n" : "no\n");
    }
}

void tool_number(Tool *tool, const char *name, uint64_t value)
{
    out_name(tool, name);
    g_string_append_printf(tool->out, "%" G_GUINT64_FORMAT "%s", value,
                           tool->json ? "" : "\n");
}

void tool_hex(Tool *tool, const char *name, const void *data, size_t len)
{
    g_autoptr(GString) hex = g_string_sized_new(2 * len);
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(hex, "%02x", bytes[i]);
    }
    out_name(tool, name);
    out_string(tool, hex->str);
}

void tool_base64(Tool *tool, const char *name, const void *data, size_t len)
{
    g_autofree char *text = g_base64_encode(data, len);

    out_name(tool, name);
    out_string(tool, text);
}

void tool_flush(Tool *tool)
{
    if (tool->json) {
        printf("{%s\n}\n", tool->out->str);
    } else {
        fputs(tool->out->str, stdout);
    }
}
