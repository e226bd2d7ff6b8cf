/*
 * sev-psp secret: a secret sealed for one launched guest.
 *
 * The payload is the table that OVMF hands to the guest, where Linux shows it
 * in securityfs as files named by GUID.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/psp/packet.h"
#include "tool.h"

#define GUID_SECRETS    "1e74f542-71dd-4d66-963e-ef4287ff173b"
#define ENTRY_HEAD      20      /* GUID, u32 length with this head */

static void tool_put_head(uint8_t *at, const uint8_t guid[16], uint32_t len)
{
    len = GUINT32_TO_LE(len);
    memcpy(at, guid, 16);
    memcpy(at + 16, &len, sizeof(len));
}

/*
 * "GUID=FILE" or "GUID:FILE" appended to @table, which has @len bytes and
 * room.  FILE may have both characters in it, a GUID has neither.
 */
static bool tool_secret_entry(const char *text, uint8_t *table, size_t *len,
                              GError **error)
{
    size_t at = strcspn(text, "=:");
    g_autofree char *name = g_strndup(text, at);
    g_autofree uint8_t *data = NULL;
    uint8_t guid[16];
    size_t data_len;

    if (!text[at]) {
        return tool_usage(error, "'%s' is not GUID=FILE or GUID:FILE", text);
    }
    if (!tool_uuid_parse(name, guid, error) ||
        !tool_read(text + at + 1, &data, &data_len, error)) {
        return false;
    }
    if (data_len > PSP_PACKET_MAX_LEN - ENTRY_HEAD - *len) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "the secrets have more than %d bytes together",
                    PSP_PACKET_MAX_LEN);
        psp_wipe(data, data_len);
        return false;
    }
    tool_put_head(table + *len, guid, ENTRY_HEAD + data_len);
    memcpy(table + *len + ENTRY_HEAD, data, data_len);
    *len += ENTRY_HEAD + data_len;
    psp_wipe(data, data_len);
    return true;
}

static bool tool_secret_table(char **entries, uint8_t *table, size_t *len,
                              GError **error)
{
    uint8_t guid[16];

    *len = ENTRY_HEAD;
    for (char **entry = entries; *entry; entry++) {
        size_t before = *len;

        if (*len > PSP_PACKET_MAX_LEN - ENTRY_HEAD) {
            return tool_usage(error, "too many secrets");
        }
        if (!tool_secret_entry(*entry, table, len, error)) {
            *len = before;
            return false;
        }
    }
    tool_uuid_parse(GUID_SECRETS, guid, NULL);
    tool_put_head(table, guid, *len);
    *len = (*len + 15) & ~(size_t)15;
    return true;
}

static bool tool_secret_seal(Tool *tool, const PspTransportKeys *keys,
                             const uint8_t *measure, const uint8_t iv[16],
                             const uint8_t *table, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    PspPacketHeader hdr;
    PspTransport t;

    memcpy(hdr.iv, iv, sizeof(hdr.iv));
    psp_transport_init(&t, keys);
    psp_packet_seal(&t, PSP_PACKET_SECRET, measure, &hdr, table, data, len);
    psp_wipe(&t, sizeof(t));
    tool_base64(tool, "packet-header", &hdr, sizeof(hdr));
    tool_base64(tool, "secret", data, len);
    return true;
}

int tool_cmd_secret(Tool *tool, int argc, char **argv, GError **error)
{
    g_autofree char *tek = NULL, *tik = NULL, *measurement = NULL;
    g_autofree char *iv_text = NULL;
    const GOptionEntry entries[] = {
        { "tek", 0, 0, G_OPTION_ARG_FILENAME, &tek, "From sev-psp session",
          "FILE" },
        { "tik", 0, 0, G_OPTION_ARG_FILENAME, &tik, "From sev-psp session",
          "FILE" },
        { "measurement", 'm', 0, G_OPTION_ARG_STRING, &measurement,
          "From query-sev-launch-measure; not checked here", "BASE64" },
        { "iv", 0, 0, G_OPTION_ARG_STRING, &iv_text,
          "To reproduce a published example (default: random). Never use an"
          " IV twice with one tek", "HEX" },
        { 0 },
    };
    g_autofree uint8_t *table = g_malloc0(PSP_PACKET_MAX_LEN + 16);
    PspTransportKeys keys = { 0 };
    PspMeasure measure;
    uint8_t iv[16];
    size_t len = 0;
    bool ok;

    if (!tool_parse(entries, "GUID=FILE...",
                    "Seal secrets for a launched guest: the arguments"
                    " packet-header and secret of\n"
                    "sev-inject-launch-secret.\n\n"
                    "Each argument is one entry of the table that OVMF hands"
                    " to the guest, and may be\nwritten GUID:FILE as well, as"
                    " other tools have it.\n\n"
                    "The measurement goes into the packet's MAC and is not"
                    " checked: that takes the\nfirmware and the policy too,"
                    " and sev-psp measure does it. Seal nothing before it\n"
                    "said \"match: yes\". The guest's chip refuses a packet"
                    " made with another tik or\nmeasurement. Nobody notices"
                    " another tek: the guest then gets noise.\n\n"
                    "The IV is random. --iv is there to reproduce published"
                    " examples. An IV must\nnever be used twice with one tek:"
                    " two such packets tell how their secrets differ.\n\n"
                    "Example: sev-psp secret --tek launch/tek --tik"
                    " launch/tik --measurement \"$M\"\n"
                    "         736869e5-84f0-4973-92ec-06879ce3da0b=passphrase",
                    &argc, &argv, error) ||
        !tool_need(tek, "tek", error) || !tool_need(tik, "tik", error) ||
        !tool_need(measurement, "measurement", error) ||
        !tool_base64_exact(measurement, "the measurement", &measure,
                           sizeof(measure), error) ||
        (iv_text && !tool_hex_exact(iv_text, "--iv", iv, sizeof(iv), error))) {
        return TOOL_USAGE;
    }
    if (argc < 2) {
        tool_usage(error, "which secret? GUID=FILE or GUID:FILE");
        return TOOL_USAGE;
    }
    if (!iv_text) {
        psp_random(&tool_rng, iv, sizeof(iv));
    }
    ok = tool_read_exact(tek, keys.tek, 16, error) &&
         tool_read_exact(tik, keys.tik, 16, error) &&
         tool_secret_table(argv + 1, table, &len, error) &&
         tool_secret_seal(tool, &keys, measure.measure, iv, table, len);
    psp_wipe(&keys, sizeof(keys));
    psp_wipe(table, PSP_PACKET_MAX_LEN);
    return ok ? TOOL_OK : TOOL_FAILED;
}
