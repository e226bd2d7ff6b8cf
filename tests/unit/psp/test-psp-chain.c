/*
 * Whom does the chip believe?  Certificates of ours, tampered with; and AMD's
 * own roots.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "chip.h"
#include "hw/psp/cert.h"
#include "hw/psp/identity.h"

/* The certificates of a bench chip, to be tampered with */
typedef struct Set {
    uint8_t pdh[PSP_CERT_LEN];
    uint8_t plat[PSP_CHAIN_LEN];
    uint8_t amd[2 * PSP_AMD_CERT_LEN_2048];
    PspChain chain;
    PspRoots *roots;            /* with the chip's own ARK */
} Set;

static void set_point(Set *set)
{
    set->chain = (PspChain) {
        .pdh = set->pdh, .pdh_len = sizeof(set->pdh),
        .plat = set->plat, .plat_len = sizeof(set->plat),
        .amd = set->amd, .amd_len = sizeof(set->amd),
    };
}

static void set_up(Set *set, gconstpointer data)
{
    g_autoptr(Chip) chip = chip_new("chain");
    GError *error = NULL;

    chip_init(chip, 0);
    chip_export(chip);
    memcpy(set->pdh, chip_at(chip, AT_PDH), sizeof(set->pdh));
    memcpy(set->plat, chip_at(chip, AT_PLAT), sizeof(set->plat));
    memcpy(set->amd, chip_at(chip, AT_AMD), sizeof(set->amd));
    set_point(set);
    set->roots = psp_roots_new();
    psp_roots_add(set->roots, "bench", set->amd + 832, 832, &error);
    g_assert_no_error(error);
}

static void tear_down(Set *set, gconstpointer data)
{
    psp_roots_free(set->roots);
}

static void refused_as(Set *set, PspErrorCode code, const char *because)
{
    GError *error = NULL;
    char *name = NULL;

    g_assert_false(psp_chain_verify(&set->chain, set->roots, &name, &error));
    g_assert_error(error, PSP_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, because);
    g_assert_null(name);
    g_error_free(error);
}

static void refused(Set *set, const char *because)
{
    refused_as(set, PSP_ERROR_CERT, because);
}

static void lacks(Set *set, const char *what)
{
    refused_as(set, PSP_ERROR_LACKS, what);
}

static const char *const unknown_root =
    "the platform's ARK is not a root that is trusted here";

static void accepted(Set *set)
{
    GError *error = NULL;
    char *name = NULL;

    psp_chain_verify(&set->chain, set->roots, &name, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(name, ==, "bench");
    g_free(name);
}

/* --- Links --------------------------------------------------------------- */

static void test_good(Set *set, gconstpointer data)
{
    accepted(set);
}

/* A bit of a signature's first number: the link it is on is named. */
static void test_broken_links(Set *set, gconstpointer data)
{
    const size_t sig1 = 0x41c + 4, sig2 = 0x624 + 4;
    struct {
        uint8_t *byte;
        const char *because;
    } links[] = {
        { set->pdh + sig1, "the PDH is not signed by the PEK" },
        { set->plat + sig1, "the PEK is not signed by the OCA" },
        { set->plat + sig2, "the PEK is not signed by the CEK" },
        { set->plat + 2084 + sig1, "the OCA is not signed by itself" },
        { set->plat + 2 * 2084 + sig1, "the CEK is not signed by the ASK" },
        { set->amd + 700, "the ASK is not signed by the ARK" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
        *links[i].byte ^= 0x20;
        refused(set, links[i].because);
        *links[i].byte ^= 0x20;
    }
    set->amd[832 + 700] ^= 0x20;
    refused_as(set, PSP_ERROR_ROOT, unknown_root);
    set->amd[832 + 700] ^= 0x20;
    accepted(set);
}

static void test_malformed(Set *set, gconstpointer data)
{
    const char *form = "the platform's PDH, PEK, OCA or CEK is malformed";
    const char *ask = "the chain's ASK is malformed or cut short";

    set->pdh[0] = 2;
    refused(set, form);
    set->pdh[0] = 1;
    set->plat[8] = 3;                   /* a PEK that says it is a PDH */
    refused(set, form);
    set->plat[8] = 2;
    set->plat[2084 + 0x10] = 1;         /* an OCA on P-256 */
    refused(set, form);
    set->plat[2084 + 0x10] = 2;
    set->amd[0x3d] = 4;                 /* an ASK of 1024 bits */
    refused(set, ask);
    set->amd[0x3d] = 8;
    set->amd[0x24] = 0x14;              /* neither */
    refused(set, ask);
    set->amd[0x24] = 0;                 /* an ASK that says it is an ARK */
    lacks(set, "the chain has no ASK: an ARK is in its place");
    set->amd[0x24] = 0x13;
    set->amd[832 + 0x24] = 0x13;
    refused(set, "the chain's ARK is malformed or cut short");
    set->amd[832 + 0x24] = 0;
    accepted(set);
}

static void test_lengths(Set *set, gconstpointer data)
{
    set->chain.pdh_len--;
    refused(set, "a PDH of 2083 and a platform chain of 6252 bytes, not 2084"
                 " and 6252");
    set_point(set);
    set->chain.plat_len = 0;
    refused(set, "a PDH of 2084 and a platform chain of 0 bytes, not 2084"
                 " and 6252");
    for (size_t len = 0; len < sizeof(set->amd); len += 13) {
        if (len == 832 + 576) {
            continue;
        }
        set_point(set);
        set->chain.amd_len = len;
        if (!len) {
            lacks(set, "the chain has no ASK and no ARK");
        } else if (len == 832) {
            lacks(set, "the chain has no ARK");
        } else {
            refused(set, len < 832 ?
                    "the chain's ASK is malformed or cut short" :
                    "the chain's ARK is malformed or cut short");
        }
    }
    set_point(set);
    set->chain.amd = NULL;
    lacks(set, "the chain has no ASK and no ARK");
    set_point(set);
    set->chain.amd = set->amd + 832;
    set->chain.amd_len = 832;
    lacks(set, "the chain has no ASK: an ARK is in its place");
}

/* What silicon exports, and how an operator makes it whole */
static void test_silicon(Set *set, gconstpointer data)
{
    g_autoptr(Chip) chip = chip_new("chain");
    g_autoptr(Chip) other = chip_new("impostor");
    uint8_t plat[PSP_CHAIN_LEN];
    GError *error = NULL;
    PspChain whole, foreign;
    PspCert *cek = (PspCert *)plat + 2;

    chip_set_silicon(chip);
    chip_init(chip, 0);
    g_assert_cmpuint(chip_export_bare(chip), ==, 0);
    memcpy(plat, chip_at(chip, AT_PLAT), sizeof(plat));
    g_assert_cmpuint(cek->sig[0].usage, ==, GUINT32_TO_LE(PSP_USAGE_NONE));
    g_assert_true(psp_cert_slots_used(cek, 0));
    g_assert_cmpmem(cek, 0x414, set->plat + 2 * PSP_CERT_LEN, 0x414);
    whole = set->chain;
    set->chain.plat = plat;
    lacks(set, "the CEK is not signed by an ASK, it is as a chip exports it");
    set->chain.amd_len = 0;
    lacks(set, "the chain has no ASK and no ARK");
    g_assert_false(psp_chain_whole(&set->chain, &error));
    g_assert_error(error, PSP_ERROR, PSP_ERROR_LACKS);
    g_clear_error(&error);

    chip_init(other, 0);
    chip_export(other);
    foreign = chip_chain(other);
    g_assert_false(psp_chain_fill(&set->chain, plat, &foreign, &error));
    g_assert_error(error, PSP_ERROR, PSP_ERROR_CERT);
    g_assert_true(g_str_has_prefix(error->message,
                                   "this CEK is of another chip: its key is "));
    g_clear_error(&error);
    g_assert_cmpuint(set->chain.amd_len, ==, 0);

    g_assert_true(psp_chain_fill(&set->chain, plat, &whole, &error));
    g_assert_cmpmem(plat, sizeof(plat), set->plat, sizeof(set->plat));
    g_assert_true(psp_chain_whole(&set->chain, &error));
    accepted(set);
    /* Nothing is taken that is there already. */
    g_assert_true(psp_chain_fill(&set->chain, plat, &foreign, &error));
    accepted(set);
}

/* AMD's part of another platform is not taken for ours. */
static void test_whole(Set *set, gconstpointer data)
{
    g_autoptr(Chip) other = chip_new("impostor");
    GError *error = NULL;

    g_assert_true(psp_chain_whole(&set->chain, &error));
    chip_init(other, 0);
    chip_export(other);
    set->chain.amd = chip_at(other, AT_AMD);
    g_assert_false(psp_chain_whole(&set->chain, &error));
    g_assert_error(error, PSP_ERROR, PSP_ERROR_CERT);
    g_assert_cmpstr(error->message, ==, "the CEK is not signed by the ASK");
    g_clear_error(&error);
}

/* --- One file ------------------------------------------------------------ */

static void file_refused(const char *path, const char *because)
{
    g_autoptr(GBytes) bytes = NULL;
    GError *error = NULL;
    PspChain chain;

    g_assert_false(psp_chain_load(path, &bytes, &chain, &error));
    g_assert_null(bytes);
    g_assert_nonnull(strstr(error->message, path));
    if (!strstr(error->message, because)) {
        g_error("'%s' does not say '%s'", error->message, because);
    }
    g_error_free(error);
}

static void test_file(Set *set, gconstpointer data)
{
    g_autofree char *dir = g_dir_make_tmp("psp-chain-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "chain.cert", NULL);
    g_autofree uint8_t *all = g_malloc0(20000);
    g_autoptr(GBytes) bytes = NULL;
    GError *error = NULL;
    size_t len = 4 * 2084 + 2 * 832;
    PspChain chain;

    memcpy(all, set->pdh, 2084);
    memcpy(all + 2084, set->plat, 3 * 2084);
    memcpy(all + 4 * 2084, set->amd, 2 * 832);
    file_refused(path, "cannot open");
    g_file_set_contents(path, (char *)all, len, NULL);
    psp_chain_load(path, &bytes, &chain, &error);
    g_assert_no_error(error);
    set->chain = chain;
    accepted(set);
    g_file_set_contents(path, (char *)all, 20000, NULL);
    file_refused(path, "11537 bytes; PDH, PEK, OCA, CEK, ASK and ARK together"
                 " have 9744 to 11536");
    g_file_set_contents(path, (char *)all, 0, NULL);
    file_refused(path, "0 bytes; ");
    g_file_set_contents(path, (char *)all, 4 * 2084, NULL);
    file_refused(path, "the chain has no ASK and no ARK");
    g_file_set_contents(path, (char *)all, 4 * 2084 + 832, NULL);
    file_refused(path, "the chain has no ARK");
    g_file_set_contents(path, (char *)all, len - 1, NULL);
    file_refused(path, "the chain's ARK is malformed or cut short");
    g_file_set_contents(path, (char *)all + 2084, len, NULL);
    file_refused(path, "is no PDH certificate");
    file_refused(dir, "not a regular file");
    g_remove(path);
    g_rmdir(dir);
}

/* A second, unknown signature is not "also signed", it is suspicious. */
static void test_extra_signature(Set *set, gconstpointer data)
{
    PspCert *pdh = (PspCert *)set->pdh;

    pdh->sig[1].usage = GUINT32_TO_LE(PSP_USAGE_OCA);
    refused(set, "the PDH is not signed by the PEK");
    pdh->sig[1].usage = GUINT32_TO_LE(PSP_USAGE_NONE);
    pdh->sig[1].rsa[511] = 1;
    refused(set, "the PDH is not signed by the PEK");
}

/* Somebody else's root of the same name */
static void test_impostor(Set *set, gconstpointer data)
{
    g_autoptr(Chip) other = chip_new("impostor");

    chip_init(other, 0);
    chip_export(other);
    set->chain = chip_chain(other);
    refused_as(set, PSP_ERROR_ROOT, unknown_root);
    /* its parts do not help either */
    set_point(set);
    set->chain.pdh = chip_at(other, AT_PDH);
    refused(set, "the PDH is not signed by the PEK");
    set_point(set);
    set->chain.plat = chip_at(other, AT_PLAT);
    refused(set, "the CEK is not signed by the ASK");
}

/* PEK and CEK of a part whose firmware is older than the policy wants */
static void test_old_api(void)
{
    g_autoptr(Chip) a = chip_new("chain");
    PspRng rng = { chip_random, a };
    g_autoptr(PspIdentity) id = NULL;
    GError *error = NULL;
    PspSession session;
    PspCert *pek;

    chip_init(a, 0);
    chip_export(a);
    id = psp_identity_decode(a->nv, &error);
    g_assert_no_error(error);
    pek = (PspCert *)chip_at(a, AT_PLAT);
    pek->api_minor = 16;
    psp_cert_sign(pek, 0, PSP_USAGE_OCA, &id->oca, &rng);
    psp_cert_sign(pek, 1, PSP_USAGE_CEK, &id->cek, &rng);
    chip_run(a, PSP_POLICY_SEV | 1 << 16 | 17 << 24, 1, 4096);
    chip_is(chip_send_start(a, a, &session), POLICY_FAILURE);
    pek->api_minor = 17;
    psp_cert_sign(pek, 0, PSP_USAGE_OCA, &id->oca, &rng);
    psp_cert_sign(pek, 1, PSP_USAGE_CEK, &id->cek, &rng);
    chip_ok(chip_send_start(a, a, &session));
}

/* --- Explained ----------------------------------------------------------- */

static void count_links(const char *link, bool ok, void *opaque)
{
    unsigned *counts = opaque;

    g_test_message("%s: %s", link, ok ? "yes" : "no");
    counts[ok]++;
}

static void test_explain(Set *set, gconstpointer data)
{
    unsigned counts[2] = { 0 };

    g_assert_true(psp_chain_explain(&set->chain, set->roots, count_links,
                                    counts));
    g_assert_cmpuint(counts[0], ==, 0);
    g_assert_cmpuint(counts[1], ==, 10);

    counts[0] = counts[1] = 0;
    set->plat[0x420] ^= 1;
    g_assert_false(psp_chain_explain(&set->chain, NULL, count_links,
                                     counts));
    g_assert_cmpuint(counts[0], ==, 2);         /* root, PEK by OCA */

    counts[0] = counts[1] = 0;
    set->chain.amd_len = 3;
    g_assert_false(psp_chain_explain(&set->chain, set->roots, count_links,
                                     counts));
    g_assert_cmpuint(counts[0], ==, 2);         /* AMD's part, PEK by OCA */
    set->chain.plat_len = 3;
    g_assert_false(psp_chain_explain(&set->chain, set->roots, count_links,
                                     counts));
}

static void test_owner(Set *set, gconstpointer data)
{
    g_autoptr(Chip) other = chip_new("impostor");
    PspChain chain;

    chip_init(other, 0);
    chip_export(other);
    chain = chip_chain(other);
    g_assert_true(psp_chain_same_owner(&set->chain, &set->chain));
    g_assert_false(psp_chain_same_owner(&set->chain, &chain));
    chain.plat_len = 0;
    g_assert_false(psp_chain_same_owner(&set->chain, &chain));
}

static void test_fingerprint(Set *set, gconstpointer data)
{
    GError *error = NULL;
    g_autofree char *name = psp_fingerprint(set->pdh, sizeof(set->pdh),
                                            &error);
    g_autofree char *want = g_compute_checksum_for_data(
        G_CHECKSUM_SHA256, set->pdh + 0x10, 0x404);

    g_assert_no_error(error);
    g_assert_cmpstr(name, ==, want);
    g_assert_null(psp_fingerprint(set->pdh, 100, &error));
    g_assert_error(error, PSP_ERROR, PSP_ERROR_CERT);
    g_error_free(error);
}

/* --- Roots --------------------------------------------------------------- */

static void test_roots(Set *set, gconstpointer data)
{
    size_t count = psp_roots_count(set->roots);
    GError *error = NULL;

    g_assert_cmpuint(count, ==, 5 + 1);
    psp_roots_add(set->roots, "again", set->amd + 832, 832, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(psp_roots_count(set->roots), ==, count);

    g_assert_false(psp_roots_add(set->roots, "an ASK", set->amd, 832,
                                 &error));
    g_assert_cmpstr(error->message, ==, "'an ASK' is not an ARK certificate");
    g_clear_error(&error);
    set->amd[832 + 800] ^= 1;
    g_assert_false(psp_roots_add(set->roots, "x", set->amd + 832, 832,
                                 &error));
    g_assert_cmpstr(error->message, ==, "the ARK 'x' is not signed by itself");
    g_clear_error(&error);
    g_assert_cmpuint(psp_roots_count(set->roots), ==, count);
}

static void test_roots_dir(Set *set, gconstpointer data)
{
    g_autofree char *dir = g_dir_make_tmp("psp-roots-XXXXXX", NULL);
    g_autofree char *good = g_build_filename(dir, "a.cert", NULL);
    g_autofree char *other = g_build_filename(dir, "b.pem", NULL);
    PspRoots *roots = psp_roots_new_empty();
    GError *error = NULL;

    g_assert_true(psp_roots_add_dir(roots, "/does/not/exist", &error));
    g_file_set_contents(good, (char *)set->amd + 832, 832, NULL);
    g_file_set_contents(other, "no", 2, NULL);
    g_assert_true(psp_roots_add_dir(roots, dir, &error));
    g_assert_cmpuint(psp_roots_count(roots), ==, 1);
    g_file_set_contents(good, "no", 2, NULL);
    g_assert_false(psp_roots_add_dir(roots, dir, &error));
    g_assert_nonnull(strstr(error->message, good));
    g_clear_error(&error);
    g_assert_false(psp_roots_add_dir(roots, good, &error));
    g_clear_error(&error);
    g_remove(good);
    g_remove(other);
    g_rmdir(dir);
    psp_roots_free(roots);
}

/* --- AMD's own ----------------------------------------------------------- */

static char *read_cert(const char *dir, const char *part, const char *which,
                       size_t *len)
{
    g_autofree char *file = g_strdup_printf("%s/%s-%s.cert", dir, part,
                                            which);
    char *data = NULL;
    GError *error = NULL;

    g_file_get_contents(file, &data, len, &error);
    g_assert_no_error(error);
    return data;
}

static void test_amd(void)
{
    static const char *const parts[] = {
        "naples", "rome", "milan", "genoa", "turin",
    };
    const char *dir = g_getenv("SEV_AMD_ROOTS");
    PspRoots *roots = psp_roots_new();

    if (!dir) {
        g_test_skip("SEV_AMD_ROOTS does not name a folder with AMD's roots");
        psp_roots_free(roots);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        size_t ark_len, ask_len;
        g_autofree char *ark = read_cert(dir, parts[i], "ark", &ark_len);
        g_autofree char *ask = read_cert(dir, parts[i], "ask", &ask_len);
        PspAmdKey ark_key, ask_key;
        GError *error = NULL;

        g_assert_true(psp_amd_cert_parse(ark, ark_len, &ark_key));
        g_assert_true(psp_amd_cert_parse(ask, ask_len, &ask_key));
        g_assert_true(psp_amd_cert_signed_by(ark, &ark_key, &ark_key));
        g_assert_true(psp_amd_cert_signed_by(ask, &ask_key, &ark_key));
        g_assert_false(psp_amd_cert_signed_by(ark, &ark_key, &ask_key));
        ask[100] ^= 1;
        g_assert_false(psp_amd_cert_signed_by(ask, &ask_key, &ark_key));
        /* pinned already: adding it makes no new one */
        g_assert_true(psp_roots_add(roots, parts[i], ark, ark_len, &error));
        g_assert_cmpuint(psp_roots_count(roots), ==, 5);
    }
    psp_roots_free(roots);
}

static void add(const char *name, void (*test)(Set *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/psp/chain/", name, NULL);

    g_test_add(path, Set, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("good", test_good);
    add("broken-links", test_broken_links);
    add("malformed", test_malformed);
    add("lengths", test_lengths);
    add("silicon", test_silicon);
    add("whole", test_whole);
    add("file", test_file);
    add("extra-signature", test_extra_signature);
    add("impostor", test_impostor);
    g_test_add_func("/psp/chain/old-api", test_old_api);
    add("explain", test_explain);
    add("owner", test_owner);
    add("fingerprint", test_fingerprint);
    add("roots", test_roots);
    add("roots-dir", test_roots_dir);
    g_test_add_func("/psp/chain/amd", test_amd);
    return g_test_run();
}
