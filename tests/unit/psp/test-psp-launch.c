/*
 * A guest's launch as its owner sees it: sessions, measurement, secrets,
 * attestation; and its life on an ASID.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"
#include "hw/psp/cert.h"
#include "hw/psp/measure.h"
#include "hw/psp/psp-chain.h"

#define LEN (3 * PSP_PAGE_SIZE)

static const PspTransportKeys keys = { .tek = "the owner's TEK",
                                       .tik = "the owner's TIK" };

static Chip *launched(uint32_t policy)
{
    Chip *chip = chip_new("launch");

    chip_init(chip, PSP_INIT_ES);
    chip_export(chip);
    chip_ok(chip_launch_owned(chip, policy, &keys));
    chip_ok(chip_activate(chip, 1));
    return chip;
}

/* What the owner expects LAUNCH_MEASURE to say */
static void owner_measure(const PspMeasure *got, uint32_t policy,
                          const void *data, size_t len, uint8_t want[32])
{
    PspMeasureInput in = {
        .api_major = 1, .api_minor = 55, .build = 1, .policy = policy,
    };
    PspHmac tik;

    psp_sha256(data, len, in.digest);
    memcpy(in.mnonce, got->mnonce, 16);
    psp_hmac_init(&tik, keys.tik, sizeof(keys.tik));
    psp_measure(&tik, &in, want);
}

static void test_measure(void)
{
    g_autoptr(Chip) chip = launched(0);
    uint8_t plain[LEN], want[32];
    PspLaunchMeasure query = { .handle = GUINT32_TO_LE(chip->handle) };
    PspMeasure got, wrong;

    chip_fill(chip, AT_PAGE, LEN);
    memcpy(plain, chip_at(chip, AT_PAGE), LEN);
    /* in pieces that are no pages */
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, 4096));
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE + 4096,
                        48));
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE + 4144,
                        LEN - 4144));
    g_assert_true(memcmp(plain, chip_at(chip, AT_PAGE), LEN) != 0);

    chip_is(psp_exec(chip->psp, PSP_CMD_LAUNCH_MEASURE, &query,
                     sizeof(query)), INVALID_LEN);
    g_assert_cmpuint(query.measure_len, ==, GUINT32_TO_LE(48));
    chip_is(psp_exec(chip->psp, PSP_CMD_LAUNCH_MEASURE, &query,
                     sizeof(query)), INVALID_ADDRESS);
    g_assert_cmpint(chip_guest_state(chip), ==, PSP_GUEST_LUPDATE);

    chip_ok(chip_measure(chip, &got));
    owner_measure(&got, 0, plain, LEN, want);
    g_assert_cmpmem(got.measure, 32, want, 32);
    wrong = got;
    owner_measure(&wrong, 1, plain, LEN, want);
    g_assert_true(memcmp(got.measure, want, 32) != 0);
    owner_measure(&wrong, 0, plain, LEN - 16, want);
    g_assert_true(memcmp(got.measure, want, 32) != 0);
    /* and the guest sees what was launched */
    chip_ok(chip_debug(chip, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_OUT, 4096));
    g_assert_cmpmem(chip_at(chip, AT_OUT), 4096, plain, 4096);
}

static void test_update_refused(void)
{
    g_autoptr(Chip) chip = launched(0);

    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, 0),
            INVALID_LEN);
    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, 24),
            INVALID_LEN);
    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE + 8, 16),
            INVALID_ADDRESS);
    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, 0, 16),
            INVALID_ADDRESS);
    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE,
                        0xfffffff0), INVALID_ADDRESS);
    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_VMSA, AT_PAGE, 4096),
            UNSUPPORTED);
    chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, 16),
            INACTIVE);
}

static void test_vmsa(void)
{
    g_autoptr(Chip) chip = launched(PSP_POLICY_ES);
    uint8_t plain[4096], want[32];
    PspMeasure got;

    chip_fill(chip, AT_PAGE, 4096);
    memcpy(plain, chip_at(chip, AT_PAGE), 4096);
    chip_is(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_VMSA, AT_PAGE, 16),
            INVALID_LEN);
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_VMSA, AT_PAGE, 4096));
    chip_ok(chip_measure(chip, &got));
    owner_measure(&got, PSP_POLICY_ES, plain, 4096, want);
    g_assert_cmpmem(got.measure, 32, want, 32);
}

/* --- Secrets ------------------------------------------------------------- */

static void test_secret(void)
{
    g_autoptr(Chip) chip = launched(0);
    uint8_t secret[64] = "the disk's passphrase", before[64];
    PspMeasure measure;

    chip_ok(chip_measure(chip, &measure));
    chip_seal(chip, &keys, PSP_PACKET_SECRET, &measure, secret, 64);
    memcpy(before, chip_at(chip, AT_PAGE), 64);
    for (size_t i = 0; i < sizeof(PspPacketHeader); i++) {
        *chip_at(chip, AT_HDR + i) ^= 0x10;
        chip_is(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE, 64),
                BAD_MEASUREMENT);
        *chip_at(chip, AT_HDR + i) ^= 0x10;
    }
    for (size_t i = 0; i < 64; i++) {
        *chip_at(chip, AT_TRANS + i) ^= 0x10;
        chip_is(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE, 64),
                BAD_MEASUREMENT);
        *chip_at(chip, AT_TRANS + i) ^= 0x10;
    }
    g_assert_cmpmem(before, 64, chip_at(chip, AT_PAGE), 64);
    chip_ok(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE, 64));
    chip_ok(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE + 64, 64));
    chip_ok(chip_debug(chip, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_OUT, 128));
    g_assert_cmpmem(chip_at(chip, AT_OUT), 64, secret, 64);
    g_assert_cmpmem(chip_at(chip, AT_OUT + 64), 64, secret, 64);

    /* a page packet is no secret, another launch's secret is not ours */
    chip_seal(chip, &keys, PSP_PACKET_DATA, NULL, secret, 64);
    chip_is(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE, 64),
            BAD_MEASUREMENT);
    measure.measure[0] ^= 1;
    chip_seal(chip, &keys, PSP_PACKET_SECRET, &measure, secret, 64);
    chip_is(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE, 64),
            BAD_MEASUREMENT);
}

/* Authentic, but compressed: we cannot, and we say so. */
static void test_secret_compressed(void)
{
    g_autoptr(Chip) chip = launched(0);
    struct PSP_PACKED {
        uint8_t type;
        uint32_t flags;
        uint8_t iv[16];
        uint32_t guest_len;
        uint32_t trans_len;
        uint8_t data[16];
        uint8_t measure[32];
    } mac_input = {
        .type = 1,
        .flags = GUINT32_TO_LE(PSP_PACKET_COMPRESSED),
        .guest_len = GUINT32_TO_LE(16),
        .trans_len = GUINT32_TO_LE(16),
    };
    PspPacketHeader hdr = { .flags = GUINT32_TO_LE(PSP_PACKET_COMPRESSED) };
    PspMeasure measure;

    chip_ok(chip_measure(chip, &measure));
    memcpy(mac_input.measure, measure.measure, 32);
    psp_hmac(keys.tik, 16, &mac_input, sizeof(mac_input), hdr.mac);
    memcpy(chip_at(chip, AT_HDR), &hdr, sizeof(hdr));
    memcpy(chip_at(chip, AT_TRANS), mac_input.data, 16);
    chip_is(chip_packet(chip, PSP_CMD_LAUNCH_SECRET, AT_PAGE, 16),
            UNSUPPORTED);
    g_assert_true(psp_is_zero(chip_at(chip, AT_PAGE), 16));
}

/* --- Attestation --------------------------------------------------------- */

static void check_report(Chip *chip, const void *data, size_t len)
{
    PspAttestation cmd = {
        .handle = GUINT32_TO_LE(chip->handle),
        .report_paddr = GUINT64_TO_LE(AT_OUT),
        .mnonce = "fresh and random",
    };
    PspReport report;
    uint8_t digest[32];
    PspEcPoint pek;
    PspEcdsa sig;

    chip_is(psp_exec(chip->psp, PSP_CMD_ATTESTATION, &cmd, sizeof(cmd)),
            INVALID_LEN);
    g_assert_cmpuint(cmd.report_len, ==, GUINT32_TO_LE(208));
    chip_ok(psp_exec(chip->psp, PSP_CMD_ATTESTATION, &cmd, sizeof(cmd)));
    memcpy(&report, chip_at(chip, AT_OUT), sizeof(report));
    g_assert_cmpmem(report.mnonce, 16, "fresh and random", 16);
    psp_sha256(data, len, digest);
    g_assert_cmpmem(report.digest, 32, digest, 32);
    g_assert_cmpuint(report.sig_usage, ==, GUINT32_TO_LE(0x1002));
    g_assert_cmpuint(report.sig_algo, ==, GUINT32_TO_LE(2));
    psp_reverse(sig.r, report.sig_r, 48);
    psp_reverse(sig.s, report.sig_s, 48);
    g_assert_true(psp_cert_pub((PspCert *)chip_at(chip, AT_PLAT), &pek));
    psp_sha256(&report, 52, digest);
    g_assert_true(psp_ecdsa_verify(&pek, digest, 32, &sig));
    cmd.report_paddr = 0;
    chip_is(psp_exec(chip->psp, PSP_CMD_ATTESTATION, &cmd, sizeof(cmd)),
            INVALID_ADDRESS);
}

static void test_attestation(void)
{
    g_autoptr(Chip) chip = launched(0);
    uint8_t plain[4096];
    PspMeasure measure;

    chip_fill(chip, AT_PAGE, 4096);
    memcpy(plain, chip_at(chip, AT_PAGE), 4096);
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, 4096));
    chip_ok(chip_measure(chip, &measure));
    check_report(chip, plain, 4096);
    chip_ok(chip_simple(chip, PSP_CMD_LAUNCH_FINISH));
    check_report(chip, plain, 4096);
}

/* The one who reads it: every byte that is signed, and each that must fit. */
static void test_report(void)
{
    g_autoptr(Chip) chip = launched(0x3);
    PspAttestation cmd = {
        .handle = GUINT32_TO_LE(chip->handle),
        .report_paddr = GUINT64_TO_LE(AT_OUT),
        .report_len = GUINT32_TO_LE(PSP_REPORT_LEN),
        .mnonce = "fresh and random",
    };
    const uint8_t *nonce = (const uint8_t *)"fresh and random";
    PspChain chain = {
        .pdh = chip_at(chip, AT_PDH), .pdh_len = PSP_CERT_LEN,
        .plat = chip_at(chip, AT_PLAT), .plat_len = PSP_CHAIN_LEN,
    };
    g_autoptr(GError) err = NULL;
    PspMeasure measure;
    uint8_t *report = chip_at(chip, AT_OUT);

    chip_fill(chip, AT_PAGE, 4096);
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, 4096));
    chip_ok(chip_measure(chip, &measure));
    chip_ok(chip_simple(chip, PSP_CMD_LAUNCH_FINISH));
    chip_ok(psp_exec(chip->psp, PSP_CMD_ATTESTATION, &cmd, sizeof(cmd)));
    g_assert_true(psp_report_verify(&chain, report, PSP_REPORT_LEN, nonce,
                                    0x3, &err));
    g_assert_no_error(err);
    for (size_t len = 0; len < PSP_REPORT_LEN + 2; len++) {
        g_assert_true(psp_report_verify(&chain, report, len, nonce, 0x3, NULL)
                      == (len == PSP_REPORT_LEN));
    }
    for (size_t i = 0; i < PSP_REPORT_LEN; i++) {
        bool unused = i >= G_STRUCT_OFFSET(PspReport, rsvd) &&
                      i < G_STRUCT_OFFSET(PspReport, sig_r);

        report[i] ^= 0x10;
        g_assert_true(psp_report_verify(&chain, report, PSP_REPORT_LEN, nonce,
                                        0x3, NULL) == unused);
        report[i] ^= 0x10;
    }
    g_assert_false(psp_report_verify(&chain, report, PSP_REPORT_LEN, nonce,
                                     0x1, &err));
    g_assert_nonnull(strstr(err->message, "policy 0x3, not 0x1"));
    g_clear_error(&err);
    g_assert_false(psp_report_verify(&chain, report, PSP_REPORT_LEN,
                                     (const uint8_t *)"old and repeated",
                                     0x3, &err));
    g_assert_nonnull(strstr(err->message, "another question"));
}

/* --- LAUNCH_START refuses ------------------------------------------------ */

static PspStatus start(Chip *chip, uint32_t handle, uint32_t policy)
{
    PspLaunchStart cmd = {
        .handle = GUINT32_TO_LE(handle),
        .policy = GUINT32_TO_LE(policy),
    };
    PspStatus status = psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &cmd,
                                sizeof(cmd));

    if (status == PSP_SUCCESS) {
        chip->handle = GUINT32_FROM_LE(cmd.handle);
    }
    return status;
}

static void test_policy(void)
{
    g_autoptr(Chip) chip = chip_new("launch");

    chip_init(chip, 0);
    for (unsigned bit = 6; bit < 16; bit++) {
        chip_is(start(chip, 0, 1u << bit), POLICY_FAILURE);
    }
    chip_ok(start(chip, 0, 1 << 16 | 55u << 24));
    chip_is(start(chip, 0, 1 << 16 | 56u << 24), POLICY_FAILURE);
    chip_is(start(chip, 0, 2 << 16), POLICY_FAILURE);
    chip_ok(start(chip, 0, 0 << 16 | 255u << 24));
    chip_is(start(chip, 0, PSP_POLICY_ES), UNSUPPORTED);
    chip_ok(psp_exec(chip->psp, PSP_CMD_SHUTDOWN, NULL, 0));
    chip_init(chip, PSP_INIT_ES);
    chip_ok(start(chip, 0, PSP_POLICY_ES));
}

static void test_shared_key(void)
{
    g_autoptr(Chip) chip = chip_new("launch");
    g_autoptr(PspMemKey) first = NULL;
    g_autoptr(PspMemKey) second = NULL;
    uint8_t plain[16] = { 0 }, a[16], b[16];
    uint32_t owner;

    chip_init(chip, 0);
    chip_launch(chip, PSP_POLICY_NODBG, 1);
    owner = chip->handle;
    chip_is(start(chip, owner + 9, PSP_POLICY_NODBG), INVALID_GUEST);
    chip_is(start(chip, owner, 0), POLICY_FAILURE);
    chip_ok(start(chip, owner, PSP_POLICY_NODBG));
    g_assert_cmpuint(chip->handle, !=, owner);
    chip_is(chip_activate(chip, 1), ASID_OWNED);
    chip_ok(chip_activate(chip, 2));
    first = psp_mem_key_get(chip->psp, 1);
    second = psp_mem_key_get(chip->psp, 2);
    psp_mem_encrypt(first, 0, plain, a, 16);
    psp_mem_encrypt(second, 0, plain, b, 16);
    g_assert_cmpmem(a, 16, b, 16);

    chip_launch(chip, PSP_POLICY_NOKS, 3);
    chip_is(start(chip, chip->handle, PSP_POLICY_NOKS), POLICY_FAILURE);
}

static void test_session_refused(void)
{
    g_autoptr(Chip) chip = chip_new("launch");
    PspLaunchStart cmd = {
        .dh_cert_paddr = GUINT64_TO_LE(AT_OUT + 0x1000),
        .dh_cert_len = GUINT32_TO_LE(PSP_CERT_LEN),
        .session_paddr = GUINT64_TO_LE(AT_SESSION),
        .session_len = GUINT32_TO_LE(PSP_SESSION_LEN),
    }, bad;
    PspCert *cert = (PspCert *)chip_at(chip, AT_OUT + 0x1000);

    chip_init(chip, 0);
    chip_export(chip);
    chip_ok(chip_launch_owned(chip, 0, &keys));     /* leaves its blobs */
    bad = cmd;
    bad.dh_cert_len--;
    chip_is(psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &bad, sizeof(bad)),
            INVALID_LEN);
    bad = cmd;
    bad.session_len = 0;
    chip_is(psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &bad, sizeof(bad)),
            INVALID_LEN);
    bad = cmd;
    bad.session_paddr = 0;
    chip_is(psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &bad, sizeof(bad)),
            INVALID_ADDRESS);
    bad = cmd;
    bad.dh_cert_paddr = GUINT64_TO_LE(4);
    chip_is(psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &bad, sizeof(bad)),
            INVALID_ADDRESS);
    cert->pubkey_usage = GUINT32_TO_LE(PSP_USAGE_PEK);
    bad = cmd;
    chip_is(psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &bad, sizeof(bad)),
            INVALID_CERTIFICATE);
    cert->pubkey_usage = GUINT32_TO_LE(PSP_USAGE_PDH);
    /* whoever says there is no owner gets no check, nor a secret */
    bad = cmd;
    bad.dh_cert_paddr = 0;
    bad.session_len = GUINT32_TO_LE(3);
    chip_ok(psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &bad, sizeof(bad)));
    /* RECEIVE_START cannot say so */
    bad.handle = 0;
    chip_is(psp_exec(chip->psp, PSP_CMD_RECEIVE_START, &bad, sizeof(bad)),
            INVALID_LEN);
    bad.session_len = GUINT32_TO_LE(PSP_SESSION_LEN);
    chip_is(psp_exec(chip->psp, PSP_CMD_RECEIVE_START, &bad, sizeof(bad)),
            INVALID_ADDRESS);
}

static void test_many_guests(void)
{
    g_autoptr(Chip) chip = chip_new("launch");

    chip_init(chip, 0);
    for (unsigned i = 0; i < 1024; i++) {
        chip_ok(start(chip, 0, 0));
    }
    chip_is(start(chip, 0, 0), RESOURCE_LIMIT);
    chip_ok(chip_simple(chip, PSP_CMD_DECOMMISSION));
    chip_ok(start(chip, 0, 0));
}

/* --- ASIDs --------------------------------------------------------------- */

static PspStatus activate_ex(Chip *chip, uint32_t length, uint32_t asid)
{
    PspActivateEx cmd = {
        .length = GUINT32_TO_LE(length),
        .handle = GUINT32_TO_LE(chip->handle),
        .asid = GUINT32_TO_LE(asid),
    };

    return psp_exec(chip->psp, PSP_CMD_ACTIVATE_EX, &cmd, sizeof(cmd));
}

static void test_asids(void)
{
    g_autoptr(Chip) chip = chip_new("launch");
    PspGuestStatus status;

    chip_init(chip, 0);
    chip_ok(start(chip, 0, PSP_POLICY_NODBG));
    chip_is(chip_activate(chip, 0), INVALID_ASID);
    chip_is(chip_activate(chip, PSP_ASID_MAX + 1), INVALID_ASID);
    chip_is(chip_simple(chip, PSP_CMD_DEACTIVATE), INACTIVE);
    chip_ok(chip_activate(chip, PSP_ASID_MAX));
    chip_is(chip_activate(chip, 2), ACTIVE);
    chip_is(chip_simple(chip, PSP_CMD_DECOMMISSION), ACTIVE);
    status.handle = GUINT32_TO_LE(chip->handle);
    chip_ok(psp_exec(chip->psp, PSP_CMD_GUEST_STATUS, &status,
                     sizeof(status)));
    g_assert_cmpuint(status.asid, ==, GUINT32_TO_LE(PSP_ASID_MAX));
    g_assert_cmpuint(status.policy, ==, GUINT32_TO_LE(PSP_POLICY_NODBG));
    g_assert_cmpuint(status.state, ==, PSP_GUEST_LUPDATE);
    chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
    chip_is(chip_activate(chip, PSP_ASID_MAX), DFFLUSH_REQUIRED);
    chip_ok(psp_exec(chip->psp, PSP_CMD_DF_FLUSH, NULL, 0));
    chip_is(activate_ex(chip, 20, PSP_ASID_MAX), INVALID_LEN);
    chip_ok(activate_ex(chip, 24, PSP_ASID_MAX));
    chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
    chip_ok(chip_simple(chip, PSP_CMD_DECOMMISSION));
    chip_is(chip_simple(chip, PSP_CMD_DECOMMISSION), INVALID_PLATFORM_STATE);
}

/* --- Debug and copy ------------------------------------------------------ */

static PspStatus copy(Chip *chip, uint64_t src, uint64_t dst, uint32_t len)
{
    PspCopy cmd = {
        .handle = GUINT32_TO_LE(chip->handle),
        .len = GUINT32_TO_LE(len),
        .src_paddr = GUINT64_TO_LE(src),
        .dst_paddr = GUINT64_TO_LE(dst),
    };

    return psp_exec(chip->psp, PSP_CMD_COPY, &cmd, sizeof(cmd));
}

static void test_debug(void)
{
    g_autoptr(Chip) chip = launched(0);
    uint8_t text[32] = "what the host wants to see";

    memcpy(chip_at(chip, AT_OUT), text, 32);
    chip_ok(chip_debug(chip, PSP_CMD_DBG_ENCRYPT, AT_OUT, AT_PAGE + 16, 32));
    g_assert_true(memcmp(chip_at(chip, AT_PAGE + 16), text, 32) != 0);
    chip_ok(copy(chip, AT_PAGE + 16, AT_PAGE + 4080, 32));
    chip_ok(chip_debug(chip, PSP_CMD_DBG_DECRYPT, AT_PAGE + 4080,
                       AT_OUT + 64, 32));
    g_assert_cmpmem(chip_at(chip, AT_OUT + 64), 32, text, 32);
    /* in place */
    chip_ok(chip_debug(chip, PSP_CMD_DBG_DECRYPT, AT_PAGE + 16, AT_PAGE + 16,
                       32));
    g_assert_cmpmem(chip_at(chip, AT_PAGE + 16), 32, text, 32);
}

static void test_debug_refused(void)
{
    g_autoptr(Chip) chip = launched(0);
    PspCommand cmd = PSP_CMD_DBG_DECRYPT;

    chip_is(chip_debug(chip, cmd, AT_PAGE, AT_OUT, 0), INVALID_LEN);
    chip_is(chip_debug(chip, cmd, AT_PAGE, AT_OUT, 8), INVALID_LEN);
    chip_is(chip_debug(chip, cmd, AT_PAGE + 4, AT_OUT, 16), INVALID_ADDRESS);
    chip_is(chip_debug(chip, cmd, AT_PAGE, AT_OUT + 1, 16), INVALID_ADDRESS);
    chip_is(chip_debug(chip, cmd, 0, AT_OUT, 16), INVALID_ADDRESS);
    chip_is(chip_debug(chip, cmd, AT_PAGE, 0, 16), INVALID_ADDRESS);
    chip_is(copy(chip, AT_PAGE, AT_PAGE, 16), INVALID_PARAM);
    chip_is(copy(chip, AT_PAGE, AT_PAGE + 16, 32), INVALID_PARAM);
    chip_is(copy(chip, AT_PAGE + 16, AT_PAGE, 32), INVALID_PARAM);
    chip_is(copy(chip, AT_PAGE, 0, 32), INVALID_ADDRESS);
    chip_is(copy(chip, AT_PAGE, AT_OUT, 0), INVALID_LEN);
    chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
    chip_is(chip_debug(chip, cmd, AT_PAGE, AT_OUT, 16), INACTIVE);
    chip_is(copy(chip, AT_PAGE, AT_OUT, 16), INACTIVE);
}

static void test_nodbg(void)
{
    g_autoptr(Chip) chip = launched(PSP_POLICY_NODBG);

    chip_is(chip_debug(chip, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_OUT, 16),
            POLICY_FAILURE);
    chip_is(chip_debug(chip, PSP_CMD_DBG_ENCRYPT, AT_OUT, AT_PAGE, 16),
            POLICY_FAILURE);
    chip_ok(copy(chip, AT_PAGE, AT_PAGE + 4096, 4096));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/psp/launch/measure", test_measure);
    g_test_add_func("/psp/launch/update-refused", test_update_refused);
    g_test_add_func("/psp/launch/vmsa", test_vmsa);
    g_test_add_func("/psp/launch/secret", test_secret);
    g_test_add_func("/psp/launch/secret-compressed", test_secret_compressed);
    g_test_add_func("/psp/launch/attestation", test_attestation);
    g_test_add_func("/psp/launch/report", test_report);
    g_test_add_func("/psp/launch/policy", test_policy);
    g_test_add_func("/psp/launch/shared-key", test_shared_key);
    g_test_add_func("/psp/launch/session-refused", test_session_refused);
    g_test_add_func("/psp/launch/many-guests", test_many_guests);
    g_test_add_func("/psp/launch/asids", test_asids);
    g_test_add_func("/psp/launch/debug", test_debug);
    g_test_add_func("/psp/launch/debug-refused", test_debug_refused);
    g_test_add_func("/psp/launch/nodbg", test_nodbg);
    return g_test_run();
}
