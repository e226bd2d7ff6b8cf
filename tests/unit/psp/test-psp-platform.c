/*
 * Identity and ownership: what INIT makes, what RESET and imports change, and
 * what happens when the host's storage fails.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"
#include "hw/psp/cert.h"

typedef struct Certs {
    PspCert pdh;
    PspCert pek;
    PspCert oca;
    PspCert cek;
} Certs;

static Certs certs_of(Chip *chip)
{
    Certs certs;

    chip_export(chip);
    memcpy(&certs.pdh, chip_at(chip, AT_PDH), PSP_CERT_LEN);
    memcpy(&certs.pek, chip_at(chip, AT_PLAT), PSP_CHAIN_LEN);
    return certs;
}

#define same(a, b, cert) (memcmp(&(a).cert, &(b).cert, PSP_CERT_LEN) == 0)

static PspStatus simple(Chip *chip, PspCommand cmd)
{
    return psp_exec(chip->psp, cmd, NULL, 0);
}

/* --- Status -------------------------------------------------------------- */

static void test_status(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    PspPlatformStatus s = chip_status(chip);

    g_assert_cmpuint(s.api_major, ==, 1);
    g_assert_cmpuint(s.api_minor, ==, 55);
    g_assert_cmpuint(s.build, ==, 1);
    g_assert_cmpuint(s.state, ==, 0);
    chip_init(chip, PSP_INIT_ES);
    s = chip_status(chip);
    g_assert_cmpuint(s.state, ==, 1);
    g_assert_cmpuint(s.owner, ==, 0);
    g_assert_cmpuint(s.config, ==, GUINT16_TO_LE(1));
    chip_launch(chip, 0, 1);
    chip_launch(chip, 0, 2);
    s = chip_status(chip);
    g_assert_cmpuint(s.state, ==, 2);
    g_assert_cmpuint(s.guest_count, ==, GUINT32_TO_LE(2));
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    s = chip_status(chip);
    g_assert_cmpuint(s.state, ==, 0);
    g_assert_cmpuint(s.config, ==, 0);
    g_assert_cmpuint(s.guest_count, ==, 0);
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
}

static void test_get_id(void)
{
    g_autoptr(Chip) chip = chip_new_blank("platform");
    PspGetId cmd = { .id_paddr = GUINT64_TO_LE(AT_OUT) };
    uint8_t id[PSP_ID_LEN];

    chip_is(psp_exec(chip->psp, PSP_CMD_GET_ID, &cmd, sizeof(cmd)),
            INVALID_LEN);
    g_assert_cmpuint(cmd.id_len, ==, GUINT32_TO_LE(64));
    chip_ok(psp_exec(chip->psp, PSP_CMD_GET_ID, &cmd, sizeof(cmd)));
    memcpy(id, chip_at(chip, AT_OUT), sizeof(id));
    g_assert_false(psp_is_zero(id, sizeof(id)));
    /* it made the identity that INIT then finds, and it is not state */
    g_assert_nonnull(chip->nv);
    g_assert_cmpuint(chip_status(chip).state, ==, 0);
    chip_init(chip, 0);
    memset(chip_at(chip, AT_OUT), 0, sizeof(id));
    chip_ok(psp_exec(chip->psp, PSP_CMD_GET_ID, &cmd, sizeof(cmd)));
    g_assert_cmpmem(id, sizeof(id), chip_at(chip, AT_OUT), sizeof(id));
    cmd.id_paddr = GUINT64_TO_LE(8);
    chip_is(psp_exec(chip->psp, PSP_CMD_GET_ID, &cmd, sizeof(cmd)),
            INVALID_ADDRESS);
}

/* --- Certificates -------------------------------------------------------- */

static void check_cert(const PspCert *cert, PspKeyUsage usage,
                       PspKeyAlgo algo, PspKeyUsage sig1, PspKeyUsage sig2)
{
    g_assert_cmpuint(psp_le32(cert->version), ==, 1);
    g_assert_cmpuint(cert->api_major, ==, 1);
    g_assert_cmpuint(cert->api_minor, ==, 55);
    g_assert_cmpuint(psp_le32(cert->pubkey_usage), ==, usage);
    g_assert_cmpuint(psp_le32(cert->pubkey_algo), ==, algo);
    g_assert_cmpuint(psp_le32(cert->sig[0].usage), ==, sig1);
    g_assert_cmpuint(psp_le32(cert->sig[1].usage), ==, sig2);
}

/* Section 2.4 of the facts: what real parts hand out */
static void test_certs(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    Certs c;

    chip_init(chip, 0);
    c = certs_of(chip);
    check_cert(&c.oca, 0x1001, 2, 0x1001, 0x1000);
    check_cert(&c.pek, 0x1002, 2, 0x1001, 0x1004);
    check_cert(&c.pdh, 0x1003, 3, 0x1002, 0x1000);
    check_cert(&c.cek, 0x1004, 2, 0x0013, 0x1000);
    g_assert_cmpuint(psp_le32(c.cek.sig[0].algo), ==, 1);
    g_assert_cmpuint(psp_le32(c.pek.sig[1].algo), ==, 2);
}

static void test_export_query(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    PspPdhCertExport cmd = { 0 };

    chip_init(chip, 0);
    chip_is(psp_exec(chip->psp, PSP_CMD_PDH_CERT_EXPORT, &cmd, sizeof(cmd)),
            INVALID_LEN);
    g_assert_cmpuint(cmd.pdh_len, ==, GUINT32_TO_LE(0x824));
    g_assert_cmpuint(cmd.chain_len, ==, GUINT32_TO_LE(0x186c));
    chip_is(psp_exec(chip->psp, PSP_CMD_PDH_CERT_EXPORT, &cmd, sizeof(cmd)),
            INVALID_ADDRESS);
    cmd.pdh_paddr = GUINT64_TO_LE(AT_PDH);
    chip_is(psp_exec(chip->psp, PSP_CMD_PDH_CERT_EXPORT, &cmd, sizeof(cmd)),
            INVALID_ADDRESS);
}

/* --- What changes, what stays -------------------------------------------- */

static void test_persistent(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    Certs before, after;

    chip_init(chip, 0);
    before = certs_of(chip);
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    chip_init(chip, 0);
    after = certs_of(chip);
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
}

static void test_pdh_gen(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    Certs before, after;

    chip_init(chip, 0);
    before = certs_of(chip);
    chip_ok(simple(chip, PSP_CMD_PDH_GEN));
    after = certs_of(chip);
    g_assert_false(same(before, after, pdh));
    g_assert_true(same(before, after, pek));
    g_assert_true(psp_cert_signed_by(&after.pdh, &after.pek));
    /* and it is the one that the next start finds */
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    chip_init(chip, 0);
    before = certs_of(chip);
    g_assert_true(same(before, after, pdh));
}

static void check_new_owner(const Certs *before, const Certs *after)
{
    g_assert_false(same(*before, *after, pdh));
    g_assert_false(same(*before, *after, pek));
    g_assert_false(same(*before, *after, oca));
    g_assert_true(same(*before, *after, cek));
    g_assert_true(psp_cert_signed_by(&after->pek, &after->cek));
    g_assert_true(psp_cert_signed_by(&after->pek, &after->oca));
}

static void test_pek_gen(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    Certs before, after;

    chip_init(chip, 0);
    before = certs_of(chip);
    chip_ok(simple(chip, PSP_CMD_PEK_GEN));
    after = certs_of(chip);
    check_new_owner(&before, &after);
}

static void test_reset(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    Certs before, after;

    chip_init(chip, 0);
    before = certs_of(chip);
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    chip_ok(simple(chip, PSP_CMD_PLATFORM_RESET));
    chip_init(chip, 0);
    after = certs_of(chip);
    check_new_owner(&before, &after);
}

/* --- An external owner --------------------------------------------------- */

#define AT_PEK_IN (AT_OUT + 0x2000)
#define AT_OCA_IN (AT_OUT + 0x3000)

/* A CSR signed by a fresh OCA, at AT_PEK_IN and AT_OCA_IN */
static void owner_sign(Chip *chip)
{
    PspPekCsr cmd = { .csr_paddr = GUINT64_TO_LE(AT_PEK_IN) };
    PspRng rng = { chip_random, chip };
    PspCert *pek = (PspCert *)chip_at(chip, AT_PEK_IN);
    PspCert *oca = (PspCert *)chip_at(chip, AT_OCA_IN);
    PspEcKey key;

    chip_is(psp_exec(chip->psp, PSP_CMD_PEK_CSR, &cmd, sizeof(cmd)),
            INVALID_LEN);
    g_assert_cmpuint(cmd.csr_len, ==, GUINT32_TO_LE(PSP_CERT_LEN));
    chip_ok(psp_exec(chip->psp, PSP_CMD_PEK_CSR, &cmd, sizeof(cmd)));
    check_cert(pek, 0x1002, 2, 0x1000, 0x1000);
    g_assert_true(psp_is_zero(pek->sig[0].rsa, 512));

    psp_ec_generate(&key, &rng);
    psp_cert_init(oca, PSP_USAGE_OCA, &key.pub);
    psp_cert_sign(oca, 0, PSP_USAGE_OCA, &key, &rng);
    psp_cert_sign(pek, 1, PSP_USAGE_OCA, &key, &rng);
}

static PspStatus owner_import(Chip *chip, uint32_t pek_len, uint32_t oca_len)
{
    PspPekCertImport cmd = {
        .pek_paddr = GUINT64_TO_LE(AT_PEK_IN),
        .pek_len = GUINT32_TO_LE(pek_len),
        .oca_paddr = GUINT64_TO_LE(AT_OCA_IN),
        .oca_len = GUINT32_TO_LE(oca_len),
    };

    return psp_exec(chip->psp, PSP_CMD_PEK_CERT_IMPORT, &cmd, sizeof(cmd));
}

static void test_import(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    Certs before, after;
    PspChain chain;
    PspRoots *roots = psp_roots_new_empty();
    GError *error = NULL;

    chip_init(chip, 0);
    before = certs_of(chip);
    owner_sign(chip);
    chip_ok(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN));
    g_assert_cmpuint(chip_status(chip).owner, ==, 1);
    after = certs_of(chip);
    g_assert_false(same(before, after, pdh));
    g_assert_false(same(before, after, oca));
    g_assert_true(psp_cert_same_key(&before.pek, &after.pek));
    g_assert_cmpmem(&after.oca, PSP_CERT_LEN, chip_at(chip, AT_OCA_IN),
                    PSP_CERT_LEN);

    chain = chip_chain(chip);
    psp_roots_add(roots, "ours", chip_at(chip, AT_AMD) + 832, 832, &error);
    g_assert_no_error(error);
    psp_chain_verify(&chain, roots, NULL, &error);
    g_assert_no_error(error);
    psp_roots_free(roots);

    /* once */
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN), ALREADY_OWNED);
    /* it lasts */
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    chip_init(chip, 0);
    g_assert_cmpuint(chip_status(chip).owner, ==, 1);
    before = certs_of(chip);
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
    /* until we own ourselves again */
    chip_ok(simple(chip, PSP_CMD_PEK_GEN));
    g_assert_cmpuint(chip_status(chip).owner, ==, 0);
}

static void test_import_refused(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    PspCert *pek = (PspCert *)chip_at(chip, AT_PEK_IN);
    PspCert *oca = (PspCert *)chip_at(chip, AT_OCA_IN);

    chip_init(chip, 0);
    owner_sign(chip);
    chip_is(owner_import(chip, PSP_CERT_LEN - 1, PSP_CERT_LEN), INVALID_LEN);
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN + 1), INVALID_LEN);
    chip->hole = AT_OCA_IN + 9;
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN), INVALID_ADDRESS);
    chip->hole = 0;
    pek->sig[1].ec.r[3] ^= 1;
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN), BAD_SIGNATURE);
    pek->sig[1].ec.r[3] ^= 1;
    oca->sig[0].ec.s[3] ^= 1;
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN), BAD_SIGNATURE);
    oca->sig[0].ec.s[3] ^= 1;
    oca->version = GUINT32_TO_LE(2);
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN),
            INVALID_CERTIFICATE);
    oca->version = GUINT32_TO_LE(1);
    oca->pubkey_algo = GUINT32_TO_LE(PSP_ALGO_RSA_SHA256);
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN),
            INVALID_CERTIFICATE);
    oca->pubkey_algo = GUINT32_TO_LE(PSP_ALGO_ECDSA_SHA256);
    pek->pubkey = oca->pubkey;
    chip_is(owner_import(chip, PSP_CERT_LEN, PSP_CERT_LEN),
            INVALID_CERTIFICATE);
    g_assert_cmpuint(chip_status(chip).owner, ==, 0);
}

/* --- INIT_EX ------------------------------------------------------------- */

#define AT_NV (CHIP_BASE + 0x80000)

static PspStatus init_ex(Chip *chip, uint32_t length, uint32_t nv_len)
{
    PspInitEx cmd = {
        .length = GUINT32_TO_LE(length),
        .flags = GUINT32_TO_LE(PSP_INIT_ES),
        .nv_paddr = GUINT64_TO_LE(AT_NV),
        .nv_len = GUINT32_TO_LE(nv_len),
    };

    return psp_exec(chip->psp, PSP_CMD_INIT_EX, &cmd, sizeof(cmd));
}

static void test_init_ex(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    Certs own, before, after;

    chip_init(chip, 0);
    own = certs_of(chip);
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));

    memset(chip_at(chip, AT_NV), 0xff, PSP_NV_LEN);
    chip_is(init_ex(chip, 32, PSP_NV_LEN), INVALID_LEN);
    chip_is(init_ex(chip, 36, 4096), INVALID_LEN);
    chip_ok(init_ex(chip, 36, PSP_NV_LEN));
    g_assert_cmpuint(chip_status(chip).config, ==, GUINT16_TO_LE(1));
    before = certs_of(chip);
    check_new_owner(&own, &before);     /* same chip, another owner */

    /* commands that change keys change the host's copy */
    chip_ok(simple(chip, PSP_CMD_PDH_GEN));
    before = certs_of(chip);
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    chip_ok(init_ex(chip, 36, PSP_NV_LEN));
    after = certs_of(chip);
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));

    /* a damaged copy is wiped; the second try starts afresh */
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    *chip_at(chip, AT_NV + 200) ^= 1;
    chip_is(init_ex(chip, 36, PSP_NV_LEN), SECURE_DATA_INVALID);
    g_assert_cmpuint(chip_status(chip).state, ==, 0);
    chip_ok(init_ex(chip, 36, PSP_NV_LEN));
    after = certs_of(chip);
    check_new_owner(&before, &after);

    /* without it, the chip is who it was */
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    chip_init(chip, 0);
    after = certs_of(chip);
    g_assert_cmpmem(&own, sizeof(own), &after, sizeof(after));
}

static void test_init_ex_not_memory(void)
{
    g_autoptr(Chip) chip = chip_new("platform");

    chip->hole = AT_NV + 32767;
    chip_is(init_ex(chip, 36, PSP_NV_LEN), INVALID_ADDRESS);
    g_assert_cmpuint(chip_status(chip).state, ==, 0);
}

/* --- A host that breaks -------------------------------------------------- */

static void test_broken_store(void)
{
    g_autoptr(Chip) chip = chip_new_blank("platform");
    PspInit cmd = { 0 };
    g_autoptr(GBytes) before = NULL;

    chip->fail_nv = 1;
    chip_is(psp_exec(chip->psp, PSP_CMD_INIT, &cmd, sizeof(cmd)),
            SECURE_DATA_INVALID);
    g_assert_cmpstr(psp_last_error(), ==, "the disk is full");
    chip->fail_nv = 2;
    chip_is(psp_exec(chip->psp, PSP_CMD_INIT, &cmd, sizeof(cmd)),
            HWERROR_PLATFORM);
    g_assert_cmpstr(psp_last_error(), ==, "the disk is full");
    g_assert_cmpuint(chip_status(chip).state, ==, 0);
    g_assert_null(psp_last_error());
    chip_init(chip, 0);
    before = g_bytes_ref(chip->nv);
    chip->fail_nv = 2;
    chip_is(simple(chip, PSP_CMD_PDH_GEN), HWERROR_PLATFORM);
    g_assert_true(g_bytes_equal(before, chip->nv));
}

/* No bit of the area can change unnoticed. */
static void test_damaged_area(void)
{
    g_autoptr(Chip) chip = chip_new("platform");
    PspInit cmd = { 0 };
    g_autofree uint8_t *blob = NULL;
    size_t len;

    chip_init(chip, 0);
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    blob = g_memdup2(g_bytes_get_data(chip->nv, &len),
                     g_bytes_get_size(chip->nv));
    for (size_t i = 0; i < len; i += 5) {
        blob[i] ^= 1u << i % 8;
        g_bytes_unref(chip->nv);
        chip->nv = g_bytes_new(blob, len);
        chip_is(psp_exec(chip->psp, PSP_CMD_INIT, &cmd, sizeof(cmd)),
                SECURE_DATA_INVALID);
        g_assert_nonnull(psp_last_error());
        blob[i] ^= 1u << i % 8;
    }
    for (size_t n = 0; n < len; n += 99) {
        g_bytes_unref(chip->nv);
        chip->nv = g_bytes_new(blob, n);
        chip_is(psp_exec(chip->psp, PSP_CMD_INIT, &cmd, sizeof(cmd)),
                SECURE_DATA_INVALID);
    }
    g_bytes_unref(chip->nv);
    chip->nv = g_bytes_new(blob, len);
    chip_init(chip, 0);
}

static void test_amd_chain(void)
{
    g_autoptr(Chip) chip = chip_new_blank("platform");
    g_autoptr(GBytes) amd = NULL, again = NULL;
    GError *error = NULL;

    chip->fail_nv = 1;
    g_assert_false(psp_platform_amd_chain(chip->psp, &amd, &error));
    g_assert_error(error, PSP_ERROR, PSP_ERROR_STORE);
    g_clear_error(&error);
    g_assert_true(psp_platform_amd_chain(chip->psp, &amd, &error));
    g_assert_cmpuint(g_bytes_get_size(amd), ==, 2 * 832);
    chip_init(chip, 0);
    g_assert_true(psp_platform_amd_chain(chip->psp, &again, &error));
    g_assert_true(g_bytes_equal(amd, again));
    g_assert_cmpmem((uint8_t *)g_bytes_get_data(amd, NULL) + 832 + 4, 16,
                    "SOFTWARE-PSP-ARK", 16);
}

static PspCert exported_cek(Chip *chip)
{
    PspCert cek;

    chip_export_bare(chip);
    memcpy(&cek, chip_at(chip, AT_PLAT) + 2 * PSP_CERT_LEN, sizeof(cek));
    return cek;
}

/* Behaving as silicon is the chip's for life; its keys stay what they are. */
static void test_silicon(void)
{
    g_autoptr(Chip) chip = chip_new_blank("platform");
    g_autoptr(GBytes) amd = NULL, none = NULL, cek = NULL, same = NULL;
    GError *error = NULL;
    PspCert bare, full;

    g_assert_true(psp_platform_amd_chain(chip->psp, &amd, &error));
    chip_init(chip, 0);
    full = exported_cek(chip);
    g_assert_false(psp_platform_set_silicon(chip->psp, true, &error));
    g_assert_cmpstr(error->message, ==, "INVALID_PLATFORM_STATE");
    g_clear_error(&error);
    chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
    chip->fail_nv = 1;
    g_assert_false(psp_platform_set_silicon(chip->psp, true, &error));
    g_assert_cmpstr(error->message, ==, "the disk is full");
    g_clear_error(&error);

    chip_set_silicon(chip);
    for (int again = 0; again < 3; again++) {
        chip_init(chip, 0);
        bare = exported_cek(chip);
        g_assert_cmpmem(&bare, 0x414, &full, 0x414);
        g_assert_cmpuint(bare.sig[0].usage, ==, GUINT32_TO_LE(0x1000));
        g_assert_cmpuint(bare.sig[0].algo, ==, 0);
        g_assert_cmpuint(bare.sig[0].rsa[0], ==, 0);
        chip_ok(simple(chip, PSP_CMD_SHUTDOWN));
        chip_ok(simple(chip, PSP_CMD_PLATFORM_RESET));
    }
    g_assert_true(psp_platform_amd_chain(chip->psp, &none, &error));
    g_assert_cmpuint(g_bytes_get_size(none), ==, 0);
    g_assert_true(psp_platform_published(chip->psp, &cek, &same, &error));
    g_assert_true(g_bytes_equal(amd, same));
    g_assert_cmpmem(g_bytes_get_data(cek, NULL), g_bytes_get_size(cek), &full,
                    sizeof(full));

    psp_platform_set_silicon(chip->psp, false, &error);
    g_assert_no_error(error);
    chip_init(chip, 0);
    bare = exported_cek(chip);
    g_assert_cmpmem(&bare, sizeof(bare), &full, sizeof(full));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/psp/platform/status", test_status);
    g_test_add_func("/psp/platform/get-id", test_get_id);
    g_test_add_func("/psp/platform/certs", test_certs);
    g_test_add_func("/psp/platform/export-query", test_export_query);
    g_test_add_func("/psp/platform/persistent", test_persistent);
    g_test_add_func("/psp/platform/pdh-gen", test_pdh_gen);
    g_test_add_func("/psp/platform/pek-gen", test_pek_gen);
    g_test_add_func("/psp/platform/reset", test_reset);
    g_test_add_func("/psp/platform/import", test_import);
    g_test_add_func("/psp/platform/import-refused", test_import_refused);
    g_test_add_func("/psp/platform/init-ex", test_init_ex);
    g_test_add_func("/psp/platform/init-ex-not-memory",
                    test_init_ex_not_memory);
    g_test_add_func("/psp/platform/broken-store", test_broken_store);
    g_test_add_func("/psp/platform/damaged-area", test_damaged_area);
    g_test_add_func("/psp/platform/amd-chain", test_amd_chain);
    g_test_add_func("/psp/platform/silicon", test_silicon);
    return g_test_run();
}
