/*
 * sev-psp measure, secret: what a guest owner checks and sends after the
 * launch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/psp/measure.h"
#include "hw/psp/packet.h"
#include "measure-lane.h"
#include "tool.h"

/* --- The kernel-hashes table of QEMU and OVMF ----------------------------- */

#define GUID_TABLE      "9438d606-4f22-4cc9-b479-a793d411fd21"
#define GUID_KERNEL     "4de79437-abd2-427f-b835-d5b172d2045b"
#define GUID_INITRD     "44baf731-3a2f-4bd7-9af1-41e29169781d"
#define GUID_CMDLINE    "97d02dd8-bd20-4c94-aa78-e7714d36ab2a"

typedef struct PSP_PACKED ToolHash {
    uint8_t guid[16];
    uint16_t len;
    uint8_t hash[PSP_SHA256_LEN];
} ToolHash;

typedef struct PSP_PACKED ToolHashTable {
    uint8_t guid[16];
    uint16_t len;
    ToolHash cmdline;
    ToolHash initrd;
    ToolHash kernel;
    uint8_t padding[8];         /* to a multiple of 16 */
} ToolHashTable;
_Static_assert(sizeof(ToolHashTable) == 176, "kernel hashes");

static void tool_hash(ToolHash *entry, const char *guid, const void *data,
                      size_t len)
{
    tool_uuid_parse(guid, entry->guid, NULL);
    entry->len = GUINT16_TO_LE((uint16_t)sizeof(*entry));
    psp_sha256(data, len, entry->hash);
}

/* No initrd counts as an empty one, no command line as an empty string. */
static bool tool_hash_table(const char *kernel, const char *initrd,
                            const char *cmdline, ToolHashTable *table,
                            GError **error)
{
    g_autofree uint8_t *kernel_data = NULL;
    g_autofree uint8_t *initrd_data = NULL;
    size_t kernel_len, initrd_len = 0;

    if (!tool_read(kernel, &kernel_data, &kernel_len, error) ||
        (initrd && !tool_read(initrd, &initrd_data, &initrd_len, error))) {
        return false;
    }
    memset(table, 0, sizeof(*table));
    tool_uuid_parse(GUID_TABLE, table->guid, NULL);
    table->len = GUINT16_TO_LE((uint16_t)(sizeof(*table) -
                                          sizeof(table->padding)));
    cmdline = cmdline ? cmdline : "";
    tool_hash(&table->cmdline, GUID_CMDLINE, cmdline, strlen(cmdline) + 1);
    tool_hash(&table->initrd, GUID_INITRD, initrd_data, initrd_len);
    tool_hash(&table->kernel, GUID_KERNEL, kernel_data, kernel_len);
    return true;
}

/* --- measure ------------------------------------------------------------- */

typedef struct ToolMeasure {
    char *digest;               /* in place of all that was launched */
    char *firmware, *kernel, *initrd, *cmdline, *policy, *tik;
    char *measurement, *nonce;
    char **vmsas;
    ToolVcpus vcpus;
    char *lane;
    int cbitpos;
    int api_major, api_minor, build;
} ToolMeasure;

static bool tool_digest_file(PspSha256 *sha, const char *path,
                             GError **error)
{
    g_autofree uint8_t *data = NULL;
    size_t len;

    if (!tool_read(path, &data, &len, error)) {
        return false;
    }
    if (len % 16) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "'%s' has %zu bytes, which is not a multiple of 16", path,
                    len);
        return false;
    }
    psp_sha256_update(sha, data, len);
    return true;
}

/* Firmware, kernel hashes, lane, VMSAs: the order in which QEMU launches them */
static bool tool_measure_digest(const ToolMeasure *m,
                                uint8_t digest[PSP_SHA256_LEN],
                                GError **error)
{
    ToolHashTable table;
    PspSha256 sha;

    psp_sha256_init(&sha);
    if (!tool_digest_file(&sha, m->firmware, error)) {
        return false;
    }
    if (m->kernel) {
        if (!tool_hash_table(m->kernel, m->initrd, m->cmdline, &table,
                             error)) {
            return false;
        }
        psp_sha256_update(&sha, &table, sizeof(table));
    }
    if (m->lane && !tool_digest_lane(&sha, m->lane, m->cbitpos, error)) {
        return false;
    }
    for (char **vmsa = m->vmsas; vmsa && *vmsa; vmsa++) {
        if (!tool_digest_file(&sha, *vmsa, error)) {
            return false;
        }
    }
    if (m->vcpus.count &&
        !tool_vcpu_digest(&sha, &m->vcpus, m->firmware, error)) {
        return false;
    }
    psp_sha256_final(&sha, digest);
    return true;
}

static int tool_measure(Tool *tool, const ToolMeasure *m, GError **error)
{
    PspMeasureInput in = {
        .api_major = m->api_major, .api_minor = m->api_minor,
        .build = m->build,
    };
    PspMeasure got = { 0 }, want;
    uint8_t tik[16];
    PspHmac hmac;
    bool match;

    if (!tool_policy_parse(m->policy, &in.policy, error) ||
        (m->digest && !tool_hex_exact(m->digest, "--launch-digest", in.digest,
                                      sizeof(in.digest), error)) ||
        (m->measurement &&
         !tool_base64_exact(m->measurement, "the measurement", &got,
                            sizeof(got), error)) ||
        (m->nonce && !tool_base64_exact(m->nonce, "the nonce", got.mnonce,
                                        sizeof(got.mnonce), error))) {
        return TOOL_USAGE;
    }
    if ((!m->digest && !tool_measure_digest(m, in.digest, error)) ||
        !tool_read_exact(m->tik, tik, sizeof(tik), error)) {
        return TOOL_FAILED;
    }
    want = got;
    memcpy(in.mnonce, got.mnonce, sizeof(in.mnonce));
    psp_hmac_init(&hmac, tik, sizeof(tik));
    psp_measure(&hmac, &in, want.measure);
    psp_wipe(&hmac, sizeof(hmac));
    psp_wipe(tik, sizeof(tik));

    match = psp_equal(want.measure, got.measure, sizeof(want.measure));
    tool_hex(tool, "digest", in.digest, sizeof(in.digest));
    tool_base64(tool, "measurement", &want, sizeof(want));
    if (m->measurement) {
        tool_bool(tool, "match", match);
    }
    return m->measurement && !match ? TOOL_NO : TOOL_OK;
}

/* --launch-digest is of everything launched, so nothing launched is named. */
static bool tool_measure_launched(const ToolMeasure *m, GError **error)
{
    const struct {
        const char *name;
        bool given;
    } launched[] = {
        { "firmware", m->firmware }, { "kernel", m->kernel },
        { "initrd", m->initrd }, { "cmdline", m->cmdline },
        { "vmsa", m->vmsas }, { "vcpus", m->vcpus.count },
        { "cpu", m->vcpus.cpu }, { "init2", m->vcpus.init2 },
        { "lane", m->lane }, { "cbitpos", m->cbitpos },
    };

    if (!m->digest) {
        return m->firmware ||
               tool_usage(error, "--firmware or --launch-digest is missing");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(launched); i++) {
        if (launched[i].given) {
            return tool_usage(error, "--launch-digest stands for everything"
                              " that was launched: --%s cannot be given with"
                              " it", launched[i].name);
        }
    }
    return true;
}

/* A measurement has one byte for each part of the API's version. */
static bool tool_measure_version(const char *name, int value, GError **error)
{
    return (value >= 0 && value <= UINT8_MAX) ||
           tool_usage(error, "--%s %d is not in the range of 0 to %d", name,
                      value, UINT8_MAX);
}

/* Do the options fit together? */
static bool tool_measure_complete(const ToolMeasure *m, GError **error)
{
    if (!tool_measure_launched(m, error) ||
        !tool_need(m->policy, "policy", error) ||
        !tool_need(m->tik, "tik", error) ||
        !tool_measure_version("api-major", m->api_major, error) ||
        !tool_measure_version("api-minor", m->api_minor, error) ||
        !tool_measure_version("build-id", m->build, error)) {
        return false;
    }
    if (!m->kernel && (m->initrd || m->cmdline)) {
        return tool_usage(error, "--initrd and --cmdline need --kernel");
    }
    if (m->vcpus.count < 0 || m->vcpus.count > 4096) {
        return tool_usage(error, "--vcpus %d is not in the range of 1 to 4096",
                          m->vcpus.count);
    }
    if (!m->vcpus.count != !m->vcpus.cpu) {
        return tool_usage(error, "--vcpus and --cpu need each other");
    }
    if (m->vcpus.count && m->vmsas) {
        return tool_usage(error, "--vmsa, or --vcpus?");
    }
    if (!m->lane != !m->cbitpos) {
        return tool_usage(error,
                          "--lane needs --cbitpos, and the other way round");
    }
    if (m->lane && (m->cbitpos < 32 || m->cbitpos > 62)) {
        return tool_usage(error, "--cbitpos %d is not in the range of 32 to 62",
                          m->cbitpos);
    }
    if (!m->measurement == !m->nonce) {
        return tool_usage(error, "--measurement, or --nonce?");
    }
    return true;
}

int tool_cmd_measure(Tool *tool, int argc, char **argv, GError **error)
{
    ToolMeasure m = {
        .api_major = PSP_API_MAJOR, .api_minor = PSP_API_MINOR,
        .build = PSP_BUILD,
    };
    const GOptionEntry entries[] = {
        { "firmware", 0, 0, G_OPTION_ARG_FILENAME, &m.firmware,
          "What -bios or the first pflash holds", "FILE" },
        { "kernel", 0, 0, G_OPTION_ARG_FILENAME, &m.kernel,
          "With kernel-hashes=on: what -kernel holds", "FILE" },
        { "initrd", 0, 0, G_OPTION_ARG_FILENAME, &m.initrd,
          "... and -initrd", "FILE" },
        { "cmdline", 0, 0, G_OPTION_ARG_STRING, &m.cmdline,
          "... and -append", "TEXT" },
        { "vmsa", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &m.vmsas,
          "SEV-ES: a vCPU's initial VMSA; may be repeated", "FILE" },
        { "vcpus", 0, 0, G_OPTION_ARG_INT, &m.vcpus.count,
          "... or as many vCPUs as -smp says, of model --cpu", "N" },
        { "cpu", 0, 0, G_OPTION_ARG_STRING, &m.vcpus.cpu,
          "-cpu (EPYC, EPYC-Rome, EPYC-Milan, EPYC-Genoa), or CPUID leaf 1"
          " EAX", "MODEL" },
        { "init2", 0, 0, G_OPTION_ARG_NONE, &m.vcpus.init2,
          "With legacy-vm-type=off: the VMSAs have FPU state", NULL },
        { "lane", 0, 0, G_OPTION_ARG_FILENAME, &m.lane,
          "With lane=on: the program, sev-lane.bin", "FILE" },
        { "cbitpos", 0, 0, G_OPTION_ARG_INT, &m.cbitpos,
          "... and the position of the C-bit, as sev-guest has it", "N" },
        { "launch-digest", 0, 0, G_OPTION_ARG_STRING, &m.digest,
          "Instead of all these: their SHA-256, in 64 hex digits", "HEX" },
        { "policy", 'p', 0, G_OPTION_ARG_STRING, &m.policy,
          "The guest's policy", "POLICY" },
        { "tik", 0, 0, G_OPTION_ARG_FILENAME, &m.tik,
          "From sev-psp session", "FILE" },
        { "measurement", 'm', 0, G_OPTION_ARG_STRING, &m.measurement,
          "Check this one, from query-sev-launch-measure", "BASE64" },
        { "nonce", 0, 0, G_OPTION_ARG_STRING, &m.nonce,
          "Compute it for this nonce", "BASE64" },
        { "api-major", 0, 0, G_OPTION_ARG_INT, &m.api_major,
          "From query-sev (default: this software's)", "N" },
        { "api-minor", 0, 0, G_OPTION_ARG_INT, &m.api_minor, "", "N" },
        { "build-id", 0, 0, G_OPTION_ARG_INT, &m.build, "", "N" },
        { 0 },
    };
    int code = TOOL_USAGE;

    if (tool_parse(entries, NULL,
                   "Compute the launch measurement that a guest must have,"
                   " or check the one it has.\nExit code 3 when it does not"
                   " match.\n\n"
                   "With --launch-digest nothing of the guest is read: it is"
                   " for measurements of\nother tools. Who takes the digest"
                   " from the host has checked nothing of what was\n"
                   "launched.\n\n"
                   "Example: sev-psp measure --firmware OVMF.fd --policy 0x1"
                   " --tik launch/tik\n         --measurement"
                   " \"$(qmp query-sev-launch-measure)\"", &argc, &argv,
                   error) &&
        tool_measure_complete(&m, error)) {
        code = tool_measure(tool, &m, error);
    }
    g_free(m.digest);
    g_free(m.firmware);
    g_free(m.kernel);
    g_free(m.initrd);
    g_free(m.cmdline);
    g_free(m.policy);
    g_free(m.tik);
    g_free(m.lane);
    g_free(m.measurement);
    g_free(m.nonce);
    g_strfreev(m.vmsas);
    g_free(m.vcpus.cpu);
    return code;
}

