/*
 * Does our cryptography agree with OpenSSL's?  Frozen results of OpenSSL are
 * checked by us; fresh results of ours are checked by the openssl program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "chip.h"
#include "hw/psp/crypto.h"
#include "hw/psp/memory.h"

/* --- openssl.txt --------------------------------------------------------- */

static char *data_text;

/* The bytes of line @name; @len must be their number. */
static void data_get(const char *name, void *out, size_t len)
{
    g_autofree char *key = g_strconcat(name, " ", NULL);
    g_autofree char *hex = NULL;
    const char *line = data_text;

    while (line && !g_str_has_prefix(line, key)) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    g_assert_nonnull(line);
    line += strlen(key);
    g_assert_cmpuint(strcspn(line, "\n"), ==, 2 * len);
    hex = g_strndup(line, 2 * len);
    hex_to(out, len, hex);
}

static PspEcPoint data_point(const char *name)
{
    g_autofree char *x = g_strconcat(name, "-x", NULL);
    g_autofree char *y = g_strconcat(name, "-y", NULL);
    PspEcPoint point;

    data_get(x, point.x, sizeof(point.x));
    data_get(y, point.y, sizeof(point.y));
    return point;
}

/* --- Theirs, checked by us ----------------------------------------------- */

/* A random source whose next bytes are known */
static void known_fill(void *opaque, void *dst, size_t len)
{
    memcpy(dst, opaque, len);
}

static void test_xts(void)
{
    g_autofree uint8_t *plain = g_malloc(4096);
    g_autofree uint8_t *cipher = g_malloc(4096);
    g_autofree uint8_t *out = g_malloc(4096);
    g_autoptr(PspMemKey) key = NULL;
    uint8_t bytes[32];
    uint64_t page, paddr;
    PspRng rng = { known_fill, bytes };

    data_get("xts-key", bytes, sizeof(bytes));
    data_get("xts-page", &page, sizeof(page));
    data_get("xts-plain", plain, 4096);
    data_get("xts-cipher", cipher, 4096);
    paddr = GUINT64_FROM_BE(page) * PSP_PAGE_SIZE;
    key = psp_mem_key_new(&rng);

    psp_mem_encrypt(key, paddr, plain, out, 4096);
    g_assert_cmpmem(out, 4096, cipher, 4096);
    psp_mem_decrypt(key, paddr, cipher, out, 4096);
    g_assert_cmpmem(out, 4096, plain, 4096);
}

static void test_ecdh(void)
{
    PspEcPoint a = data_point("ecdh-a"), b = data_point("ecdh-b");
    PspEcKey key;
    uint8_t want[48], z[48];

    data_get("ecdh-a-d", key.d, sizeof(key.d));
    data_get("ecdh-z", want, sizeof(want));
    g_assert_true(psp_ec_derive_pub(&key));
    g_assert_cmpmem(&key.pub, sizeof(a), &a, sizeof(a));
    g_assert_true(psp_ecdh(&key, &b, z));
    g_assert_cmpmem(z, sizeof(z), want, sizeof(want));
}

static void check_ecdsa(const char *name, const char *message,
                        size_t hash_len)
{
    g_autofree char *r = g_strconcat(name, "-r", NULL);
    g_autofree char *s = g_strconcat(name, "-s", NULL);
    PspEcPoint pub = data_point(name);
    uint8_t digest[48];
    PspEcdsa sig;

    data_get(r, sig.r, sizeof(sig.r));
    data_get(s, sig.s, sizeof(sig.s));
    if (hash_len == 48) {
        psp_sha384(message, strlen(message), digest);
    } else {
        psp_sha256(message, strlen(message), digest);
    }
    g_assert_true(psp_ecdsa_verify(&pub, digest, hash_len, &sig));
    sig.s[47] ^= 1;
    g_assert_false(psp_ecdsa_verify(&pub, digest, hash_len, &sig));
    memset(&sig, 0, sizeof(sig));
    g_assert_false(psp_ecdsa_verify(&pub, digest, hash_len, &sig));
}

static void test_ecdsa(void)
{
    check_ecdsa("ecdsa256", "signed by OpenSSL with ecdsa256", 32);
    check_ecdsa("ecdsa384", "signed by OpenSSL with ecdsa384", 48);
}

static void check_rsa(const char *name, const char *message, size_t size,
                      size_t hash_len)
{
    g_autofree char *n_name = g_strconcat(name, "-n", NULL);
    g_autofree char *sig_name = g_strconcat(name, "-sig", NULL);
    uint8_t n[512], sig[512], digest[48];
    static const uint8_t e[3] = { 1, 0, 1 };

    data_get(n_name, n, size);
    data_get(sig_name, sig, size);
    if (hash_len == 48) {
        psp_sha384(message, strlen(message), digest);
    } else {
        psp_sha256(message, strlen(message), digest);
    }
    g_assert_true(psp_rsa_pss_verify(n, size, e, 3, digest, hash_len, sig));
    g_assert_false(psp_rsa_pss_verify(n, size, e, 3, digest, 20, sig));
    sig[7] ^= 1;
    g_assert_false(psp_rsa_pss_verify(n, size, e, 3, digest, hash_len, sig));
    memset(sig, 0xff, size);
    g_assert_false(psp_rsa_pss_verify(n, size, e, 3, digest, hash_len, sig));
    memset(n, 0, size);
    g_assert_false(psp_rsa_pss_verify(n, size, e, 3, digest, hash_len, sig));
}

static void test_rsa(void)
{
    check_rsa("rsa2048", "signed by OpenSSL with rsa2048", 256, 32);
    check_rsa("rsa4096", "signed by OpenSSL with rsa4096", 512, 48);
}

/* --- Ours, checked by them ----------------------------------------------- */

static const char message[] = "signed by the software secure processor";

/* openssl dgst -verify; the key is a DER SubjectPublicKeyInfo. */
static void openssl_verify(const GByteArray *key, const GByteArray *sig,
                           const char *options)
{
    g_autofree char *dir = g_dir_make_tmp("psp-openssl-XXXXXX", NULL);
    g_autofree char *key_file = g_build_filename(dir, "key", NULL);
    g_autofree char *sig_file = g_build_filename(dir, "sig", NULL);
    g_autofree char *msg_file = g_build_filename(dir, "message", NULL);
    g_autofree char *command = g_strdup_printf(
        "openssl dgst -sha256 -keyform DER -verify %s %s -signature %s %s",
        key_file, options, sig_file, msg_file);
    g_autofree char *out = NULL;
    int status;

    g_file_set_contents(key_file, (char *)key->data, key->len, NULL);
    g_file_set_contents(sig_file, (char *)sig->data, sig->len, NULL);
    g_file_set_contents(msg_file, message, strlen(message), NULL);
    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, &status,
                                            NULL));
    g_assert_cmpstr(out, ==, "Verified OK\n");
    g_assert_cmpint(status, ==, 0);
    g_remove(key_file);
    g_remove(sig_file);
    g_remove(msg_file);
    g_rmdir(dir);
}

static bool openssl_missing(void)
{
    g_autofree char *path = g_find_program_in_path("openssl");

    if (!path) {
        g_test_skip("there is no openssl program");
    }
    return !path;
}

static void der_hex(GByteArray *der, const char *hex)
{
    size_t len = strlen(hex) / 2;
    g_autofree uint8_t *bytes = g_malloc(len);

    hex_to(bytes, len, hex);
    g_byte_array_append(der, bytes, len);
}

/* An INTEGER, as short as DER wants it */
static void der_integer(GByteArray *der, const uint8_t *n, size_t len)
{
    uint8_t head[3];

    while (len > 1 && !n[0]) {
        n++;
        len--;
    }
    head[0] = 2;
    head[1] = len + (n[0] >> 7);
    head[2] = 0;
    g_byte_array_append(der, head, n[0] >> 7 ? 3 : 2);
    g_byte_array_append(der, n, len);
}

static void test_ecdsa_by_openssl(void)
{
    g_autoptr(Chip) chip = chip_new("signer");
    PspRng rng = { chip_random, chip };

    if (openssl_missing()) {
        return;
    }
    for (int i = 0; i < 8; i++) {
        g_autoptr(GByteArray) spki = g_byte_array_new();
        g_autoptr(GByteArray) body = g_byte_array_new();
        g_autoptr(GByteArray) sig = g_byte_array_new();
        uint8_t digest[32], head[2] = { 0x30 };
        PspEcdsa ecdsa;
        PspEcKey key;

        psp_ec_generate(&key, &rng);
        psp_sha256(message, strlen(message), digest);
        psp_ecdsa_sign(&key, &rng, digest, sizeof(digest), &ecdsa);
        der_hex(spki, "3076301006072a8648ce3d020106052b81040022036200" "04");
        g_byte_array_append(spki, (uint8_t *)&key.pub, sizeof(key.pub));
        der_integer(body, ecdsa.r, 48);
        der_integer(body, ecdsa.s, 48);
        head[1] = body->len;
        g_byte_array_append(sig, head, 2);
        g_byte_array_append(sig, body->data, body->len);
        openssl_verify(spki, sig, "");
    }
}

static void test_rsa_by_openssl(void)
{
    g_autoptr(Chip) chip = chip_new("signer");
    g_autoptr(GByteArray) spki = g_byte_array_new();
    g_autoptr(GByteArray) sig = g_byte_array_new();
    PspRng rng = { chip_random, chip };
    uint8_t digest[32], bytes[256];
    PspRsaKey key;

    if (openssl_missing()) {
        return;
    }
    g_assert_true(psp_rsa_generate(&key, &rng));
    psp_sha256(message, strlen(message), digest);
    g_assert_true(psp_rsa_pss_sign(&key, &rng, digest, bytes));
    g_byte_array_append(sig, bytes, sizeof(bytes));
    der_hex(spki, "30820122300d06092a864886f70d01010105000382010f00"
                  "3082010a0282010100");
    g_byte_array_append(spki, key.n, sizeof(key.n));
    der_hex(spki, "0203010001");
    openssl_verify(spki, sig, "-sigopt rsa_padding_mode:pss"
                              " -sigopt rsa_pss_saltlen:32");
}

int main(int argc, char **argv)
{
    const char *dir = g_getenv("PSP_DATA");
    g_autofree char *path = g_build_filename(dir ? dir : ".", "openssl.txt",
                                             NULL);

    g_test_init(&argc, &argv, NULL);
    if (!g_file_get_contents(path, &data_text, NULL, NULL)) {
        g_printerr("PSP_DATA must name tests/data/psp\n");
        return 1;
    }
    g_test_add_func("/psp/openssl/xts", test_xts);
    g_test_add_func("/psp/openssl/ecdh", test_ecdh);
    g_test_add_func("/psp/openssl/ecdsa", test_ecdsa);
    g_test_add_func("/psp/openssl/rsa", test_rsa);
    g_test_add_func("/psp/openssl/ecdsa-by-openssl", test_ecdsa_by_openssl);
    g_test_add_func("/psp/openssl/rsa-by-openssl", test_rsa_by_openssl);
    return g_test_run();
}
