/*
 * sev-psp: look after a software secure processor, and do a guest owner's
 * part of the SEV protocols.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

G_DEFINE_QUARK(sev-psp-tool-error-quark, tool_error)

typedef struct ToolRow {
    const char *name;
    const char *about;
    ToolCommand *run;
    enum { OF_SOFTWARE, OF_ANY } chip;  /* also the one behind /dev/sev? */
} ToolRow;

static const ToolRow tool_commands[] = {
    { "status", "who this platform is", tool_cmd_status, OF_SOFTWARE },
    { "identity", "create, show or reset the platform's identity",
      tool_cmd_identity, OF_SOFTWARE },
    { "export", "write the platform's certificates", tool_cmd_export, OF_ANY },
    { "verify", "check a certificate chain, link by link",
      tool_cmd_verify, OF_ANY },
    { "fingerprint", "the fingerprint of a PDH certificate",
      tool_cmd_fingerprint, OF_ANY },
    { "root", "export, trust, list or forget root certificates",
      tool_cmd_root, OF_ANY },
    { "chain", "make a real chip's certificate chain whole",
      tool_cmd_chain, OF_ANY },
    { "owner", "become, or make, the owner of a platform",
      tool_cmd_owner, OF_SOFTWARE },
    { "session", "make the files a guest owner launches a guest with",
      tool_cmd_session, OF_SOFTWARE },
    { "measure", "compute or check a launch measurement",
      tool_cmd_measure, OF_ANY },
    { "secret", "seal a secret for a launched guest",
      tool_cmd_secret, OF_ANY },
    { "policy", "explain or make a guest policy", tool_cmd_policy, OF_ANY },
};

static const char tool_head[] =
    "Look after a software secure processor (AMD SEV), and do a guest\n"
    "owner's part of the SEV protocols.\n\nCommands:\n";
static const char tool_tail[] =
    "\nEvery command has --help with an example.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 checked and the answer"
    " is no.\n";

static char *tool_summary(void)
{
    GString *text = g_string_new(tool_head);

    for (size_t i = 0; i < G_N_ELEMENTS(tool_commands); i++) {
        g_string_append_printf(text, "  %-12s %s\n", tool_commands[i].name,
                               tool_commands[i].about);
    }
    g_string_append(text, tool_tail);
    return g_string_free(text, false);
}

bool tool_usage(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(TOOL_ERROR, TOOL_USAGE,
                                                format, args));
    va_end(args);
    return false;
}

bool tool_need(const void *value, const char *name, GError **error)
{
    return value || tool_usage(error, "--%s is missing", name);
}

bool tool_parse(const GOptionEntry *entries, const char *usage,
                const char *about, int *argc, char ***argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(usage);

    if (entries) {
        g_option_context_add_main_entries(context, entries, NULL);
    }
    g_option_context_set_summary(context, about);
    if (!g_option_context_parse(context, argc, argv, error)) {
        (*error)->domain = TOOL_ERROR;
        (*error)->code = TOOL_USAGE;
        return false;
    }
    return true;
}

/* Options before the command's name */
static bool tool_parse_global(Tool *tool, int *argc, char ***argv,
                              GError **error)
{
    char *dir = NULL;
    gboolean json = false, hardware = false;
    const GOptionEntry entries[] = {
        { "dir", 'd', 0, G_OPTION_ARG_FILENAME, &dir,
          "Where the platform lives (default: $SEV_PSP_DIR, a system-wide"
          " directory, or the user's)", "DIR" },
        { "hardware", 'H', 0, G_OPTION_ARG_NONE, &hardware,
          "Not a software platform: the chip behind /dev/sev, and what is in"
          " $SEV_PSP_CONFIG_DIR or /etc/sev-psp", NULL },
        { "json", 'j', 0, G_OPTION_ARG_NONE, &json,
          "Print one JSON object", NULL },
        { 0 },
    };
    g_autofree char *summary = tool_summary();
    g_autoptr(GOptionContext) context =
        g_option_context_new("COMMAND [OPTION...]");

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_summary(context, summary);
    g_option_context_set_strict_posix(context, true);
    if (!g_option_context_parse(context, argc, argv, error)) {
        (*error)->domain = TOOL_ERROR;
        (*error)->code = TOOL_USAGE;
        return false;
    }
    tool->dir = dir;
    tool->json = json;
    tool->hardware = hardware;
    return true;
}

/* These may also stand behind the command's name. */
static void tool_take_late_options(Tool *tool, int *argc, char **argv)
{
    int kept = 1;

    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            tool->json = true;
        } else if (strcmp(argv[i], "--hardware") == 0) {
            tool->hardware = true;
        } else if (strcmp(argv[i], "--dir") == 0 && i + 1 < *argc) {
            g_free(tool->dir);
            tool->dir = g_strdup(argv[++i]);
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
}

/* Which platform is meant? */
static bool tool_choose(Tool *tool, const ToolRow *row, GError **error)
{
    if (tool->hardware && tool->dir) {
        return tool_usage(error, "--dir names a software platform, --hardware"
                          " the chip behind /dev/sev: take one");
    }
    if (!tool->dir) {
        tool->dir = tool->hardware ? psp_store_config_dir()
                                 : psp_store_default_dir();
    }
    return row->chip == OF_ANY || tool_software(tool, error);
}

static int tool_run(Tool *tool, int argc, char **argv, GError **error)
{
    if (argc < 1) {
        tool_usage(error, "which command? sev-psp --help lists them");
        return TOOL_USAGE;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tool_commands); i++) {
        if (strcmp(argv[0], tool_commands[i].name) == 0) {
            g_autofree char *name = g_strconcat("sev-psp ", argv[0], NULL);

            g_set_prgname(name);
            tool_take_late_options(tool, &argc, argv);
            return tool_choose(tool, &tool_commands[i], error)
                   ? tool_commands[i].run(tool, argc, argv, error)
                   : TOOL_USAGE;
        }
    }
    tool_usage(error, "there is no command '%s'; sev-psp --help lists them",
               argv[0]);
    return TOOL_USAGE;
}

int main(int argc, char **argv)
{
    Tool tool = { .out = g_string_new(NULL), .first = true };
    GError *error = NULL;
    int code = TOOL_USAGE;

    setlocale(LC_ALL, "");
    if (tool_parse_global(&tool, &argc, &argv, &error)) {
        code = tool_run(&tool, argc - 1, argv + 1, &error);
    }
    if (error) {
        code = error->domain == TOOL_ERROR ? error->code : TOOL_FAILED;
        fprintf(stderr, "sev-psp: %s\n", error->message);
        g_error_free(error);
    } else {
        tool_flush(&tool);
    }
    g_string_free(tool.out, true);
    g_free(tool.dir);
    return code;
}
