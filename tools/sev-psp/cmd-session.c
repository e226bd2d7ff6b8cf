/*
 * sev-psp session, policy: what a guest owner decides before the launch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>

#include "hw/psp/cert.h"
#include "hw/psp/session.h"
#include "tool.h"

/* --- session ------------------------------------------------------------- */

typedef struct ToolLaunch {
    PspCert dh;
    PspSession session;
    PspTransportKeys keys;
} ToolLaunch;

static bool tool_session_make(const PspCert *pdh, uint32_t policy,
                              ToolLaunch *launch, GError **error)
{
    uint8_t z[PSP_P384_LEN];
    PspEcPoint peer;
    PspEcKey owner;

    psp_ec_generate(&owner, &tool_rng);
    if (!psp_cert_valid(pdh, PSP_USAGE_PDH) || !psp_cert_pub(pdh, &peer) ||
        !psp_ecdh(&owner, &peer, z)) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "that is not a PDH certificate");
        return false;
    }
    psp_random(&tool_rng, &launch->keys, sizeof(launch->keys));
    psp_random(&tool_rng, launch->session.nonce, 16);
    psp_random(&tool_rng, launch->session.wrap_iv, 16);
    psp_session_wrap(z, &launch->keys, policy, &launch->session);
    psp_cert_init(&launch->dh, PSP_USAGE_PDH, &owner.pub);
    psp_wipe(&owner, sizeof(owner));
    psp_wipe(z, sizeof(z));
    return true;
}

static const char *const tool_session_files[] = {
    "dh-cert.base64", "session.base64", "tek", "tik", NULL,
};

static bool tool_session_write(const char *out, const ToolLaunch *launch,
                               GError **error)
{
    return tool_write_base64(out, "dh-cert.base64", &launch->dh,
                             sizeof(launch->dh), 0644, error) &&
           tool_write_base64(out, "session.base64", &launch->session,
                             sizeof(launch->session), 0644, error) &&
           tool_write(out, "tek", launch->keys.tek, 16, 0600, error) &&
           tool_write(out, "tik", launch->keys.tik, 16, 0600, error);
}

static bool tool_session_pdh(Tool *tool, const char *file, PspCert *pdh,
                             GError **error)
{
    g_autoptr(ToolChip) chip = NULL;
    ToolCerts certs;

    if (file) {
        return tool_read_exact(file, pdh, sizeof(*pdh), error);
    }
    chip = tool_chip_start(tool, error);
    if (!chip || !tool_chip_certs(chip, &certs, error)) {
        return false;
    }
    memcpy(pdh, certs.pdh, sizeof(*pdh));
    return true;
}

int tool_cmd_session(Tool *tool, int argc, char **argv, GError **error)
{
    g_autofree char *pdh_file = NULL, *out = NULL, *policy_text = NULL;
    const GOptionEntry entries[] = {
        { "pdh", 0, 0, G_OPTION_ARG_FILENAME, &pdh_file,
          "The platform's PDH (default: this platform's)", "FILE" },
        { "policy", 'p', 0, G_OPTION_ARG_STRING, &policy_text,
          "The guest's policy, as in -object sev-guest", "POLICY" },
        { "out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "Write there", "DIR" },
        { 0 },
    };
    ToolLaunch launch = { 0 };
    uint32_t policy;
    PspCert pdh;
    bool ok;

    if (!tool_parse(entries, NULL,
                    "Make what a guest owner gives to the host:"
                    " dh-cert.base64 and session.base64, for\nthe properties"
                    " dh-cert-file and session-file of sev-guest; and what"
                    " the owner keeps:\ntik (to check the measurement) and"
                    " tek (to send secrets).\n"
                    "Files that are there are not overwritten.\n\n"
                    "Verify the platform first: sev-psp verify.\n\n"
                    "Example: sev-psp session --pdh pdh.cert --policy 0x1"
                    " --out launch", &argc, &argv, error) ||
        !tool_need(policy_text, "policy", error) ||
        !tool_need(out, "out", error) ||
        !tool_policy_parse(policy_text, &policy, error)) {
        return TOOL_USAGE;
    }
    ok = tool_new_files(out, tool_session_files, error) &&
         tool_session_pdh(tool, pdh_file, &pdh, error) &&
         tool_session_make(&pdh, policy, &launch, error) &&
         tool_session_write(out, &launch, error);
    psp_wipe(&launch, sizeof(launch));
    tool_text(tool, "directory", "%s", out);
    tool_text(tool, "policy", "0x%x", policy);
    return ok ? TOOL_OK : TOOL_FAILED;
}

/* --- policy -------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t bit;
    const char *means;
} tool_policy_bits[] = {
    { "nodbg", PSP_POLICY_NODBG, "the host may not read or write its memory"
      " with DBG_DECRYPT and DBG_ENCRYPT" },
    { "noks", PSP_POLICY_NOKS, "no other guest may share its key" },
    { "es", PSP_POLICY_ES, "SEV-ES: its registers are encrypted too" },
    { "nosend", PSP_POLICY_NOSEND, "it may not be migrated" },
    { "domain", PSP_POLICY_DOMAIN,
      "it may go to platforms of the same owner only" },
    { "sev", PSP_POLICY_SEV,
      "it may go to authentic SEV platforms only" },
};

static void tool_policy_show(Tool *tool, uint32_t policy)
{
    tool_text(tool, "policy", "0x%x", policy);
    for (size_t i = 0; i < G_N_ELEMENTS(tool_policy_bits); i++) {
        bool set = policy & tool_policy_bits[i].bit;

        if (tool->json) {
            tool_bool(tool, tool_policy_bits[i].name, set);
        } else {
            tool_text(tool, tool_policy_bits[i].name, "%s",
                      set ? tool_policy_bits[i].means : "no");
        }
    }
    tool_text(tool, "api-minimum", "%u.%u", PSP_POLICY_API_MAJOR(policy),
              PSP_POLICY_API_MINOR(policy));
    if (policy & PSP_POLICY_RSVD) {
        tool_text(tool, "reserved", "0x%x: must be zero, the chip refuses"
                  " this policy", policy & PSP_POLICY_RSVD);
    }
    if (!(policy & (PSP_POLICY_SEV | PSP_POLICY_NOSEND))) {
        tool_text(tool, "warning", "without 'sev' the chip sends it to any"
                  " platform, checked or not");
    }
}

/* "nodbg", "api=1.51" */
static bool tool_policy_word(const char *word, uint32_t *policy,
                             GError **error)
{
    unsigned major, minor;
    char end;

    for (size_t i = 0; i < G_N_ELEMENTS(tool_policy_bits); i++) {
        if (g_ascii_strcasecmp(word, tool_policy_bits[i].name) == 0) {
            *policy |= tool_policy_bits[i].bit;
            return true;
        }
    }
    if (g_ascii_strncasecmp(word, "api=", 4) == 0 &&
        sscanf(word + 4, "%u.%u%c", &major, &minor, &end) == 2 &&
        major < 256 && minor < 256) {
        *policy = (*policy & 0xffff) | major << 16 | minor << 24;
        return true;
    }
    return tool_usage(error, "'%s' is no policy word: nodbg, noks, es,"
                      " nosend, domain, sev or api=MAJOR.MINOR", word);
}

int tool_cmd_policy(Tool *tool, int argc, char **argv, GError **error)
{
    uint32_t policy = 0;

    if (!tool_parse(NULL, "NUMBER | WORD...",
                    "Explain a guest policy, or make one of the words nodbg,"
                    " noks, es, nosend, domain,\nsev and api=MAJOR.MINOR.\n\n"
                    "Examples: sev-psp policy 0x11000021\n"
                    "          sev-psp policy nodbg sev api=1.51", &argc,
                    &argv, error)) {
        return TOOL_USAGE;
    }
    if (argc == 2 && g_ascii_isdigit(argv[1][0])) {
        if (!tool_policy_parse(argv[1], &policy, error)) {
            return TOOL_USAGE;
        }
    } else {
        if (argc < 2) {
            tool_usage(error, "which policy?");
            return TOOL_USAGE;
        }
        for (int i = 1; i < argc; i++) {
            if (!tool_policy_word(argv[i], &policy, error)) {
                return TOOL_USAGE;
            }
        }
    }
    tool_policy_show(tool, policy);
    return policy & PSP_POLICY_RSVD ? TOOL_NO : TOOL_OK;
}
