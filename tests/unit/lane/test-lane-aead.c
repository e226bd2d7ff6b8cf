/*
 * Does AES-256-GCM of the lane agree with OpenSSL's and with nettle's?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <nettle/gcm.h>
#include <string.h>
#include "lanehost.h"
#include "openssl-gcm.h"

typedef void Seal(const AeadKey *, const uint8_t *, const uint8_t *, const void *,
                  void *, uint8_t *);
typedef int Open(const AeadKey *, const uint8_t *, const uint8_t *, const void *,
                 void *, const uint8_t *);

static const struct Path {
    const char *name;
    Seal *seal;
    Open *open;
} paths[] = {
    { "aesni", aead_seal_aesni, aead_open_aesni },
    { "vaes256", aead_seal_vaes256, aead_open_vaes256 },
    { "vaes512", aead_seal_vaes512, aead_open_vaes512 },
};

typedef struct Case {
    uint8_t secret[AEAD_KEY];
    uint8_t nonce[AEAD_NONCE];
    uint8_t aad[AEAD_BLOCK];
    uint8_t page[LANE_PAGE + 1];    /* for one that is not aligned */
    uint8_t sealed[LANE_PAGE];
    uint8_t tag[AEAD_BLOCK];
    AeadKey key;
} Case;

static void case_init(Case *c)
{
    for (size_t i = 0; i < offsetof(Case, sealed); i++) {
        ((uint8_t *)c)[i] = g_random_int();
    }
    aead_expand(&c->key, c->secret);
}

static void nettle_seal(const Case *c, const uint8_t *page, uint8_t *out,
                        uint8_t *tag)
{
    struct gcm_aes256_ctx gcm;

    gcm_aes256_set_key(&gcm, c->secret);
    gcm_aes256_set_iv(&gcm, AEAD_NONCE, c->nonce);
    gcm_aes256_update(&gcm, AEAD_BLOCK, c->aad);
    gcm_aes256_encrypt(&gcm, LANE_PAGE, out, page);
    gcm_aes256_digest(&gcm, AEAD_BLOCK, tag);
}

static gboolean path_missing(const struct Path *path)
{
    if (host_has_aes() && (uint32_t)(path - paths) <= lane_best_path()) {
        return FALSE;
    }
    g_test_skip("this CPU has no such instructions");
    return TRUE;
}

static void test_same(gconstpointer data)
{
    const struct Path *path = data;
    uint8_t out[LANE_PAGE], tag[AEAD_BLOCK];

    if (path_missing(path)) {
        return;
    }
    for (int i = 0; i < 500; i++) {
        Case *c = g_aligned_alloc0(1, sizeof(Case), 64);
        uint8_t *page;

        case_init(c);
        page = c->page + i % 2;
        path->seal(&c->key, c->nonce, c->aad, page, c->sealed, c->tag);
        openssl_seal(c->secret, c->nonce, c->aad, page, out, tag);
        g_assert_cmpmem(c->sealed, LANE_PAGE, out, LANE_PAGE);
        g_assert_cmpmem(c->tag, AEAD_BLOCK, tag, AEAD_BLOCK);
        nettle_seal(c, page, out, tag);
        g_assert_cmpmem(c->sealed, LANE_PAGE, out, LANE_PAGE);
        g_assert_cmpmem(c->tag, AEAD_BLOCK, tag, AEAD_BLOCK);
        g_assert_true(path->open(&c->key, c->nonce, c->aad, c->sealed, out, tag));
        g_assert_cmpmem(out, LANE_PAGE, page, LANE_PAGE);
        /* In place, which is how nothing but a test uses it */
        g_assert_true(path->open(&c->key, c->nonce, c->aad, c->sealed, c->sealed,
                                 tag));
        g_assert_cmpmem(c->sealed, LANE_PAGE, page, LANE_PAGE);
        g_aligned_free(c);
    }
}

/* Every bit of all that the tag is about */
static void test_refused(gconstpointer data)
{
    const struct Path *path = data;
    Case *c = g_aligned_alloc0(1, sizeof(Case), 64);
    const struct { uint8_t *at; size_t bytes; } parts[] = {
        { c->nonce, AEAD_NONCE }, { c->aad, AEAD_BLOCK },
        { c->sealed, LANE_PAGE }, { c->tag, AEAD_BLOCK },
    };
    uint8_t out[LANE_PAGE];

    if (path_missing(path)) {
        g_aligned_free(c);
        return;
    }
    case_init(c);
    path->seal(&c->key, c->nonce, c->aad, c->page, c->sealed, c->tag);
    for (size_t p = 0; p < G_N_ELEMENTS(parts); p++) {
        for (size_t bit = 0; bit < parts[p].bytes * 8; bit++) {
            parts[p].at[bit / 8] ^= 1 << bit % 8;
            g_assert_false(path->open(&c->key, c->nonce, c->aad, c->sealed, out,
                                      c->tag));
            parts[p].at[bit / 8] ^= 1 << bit % 8;
        }
    }
    g_assert_true(path->open(&c->key, c->nonce, c->aad, c->sealed, out, c->tag));
    g_aligned_free(c);
}

/* GHASH of a table: nettle's tag without the encrypted counter, no data */
static void test_hash(void)
{
    static const uint8_t zero[AEAD_BLOCK];
    Case *c = g_aligned_alloc0(1, sizeof(Case), 64);
    uint8_t sum[AEAD_BLOCK], bits[AEAD_BLOCK], tag[AEAD_BLOCK], mask[AEAD_BLOCK];
    uint8_t first[AEAD_BLOCK] = { 0 };
    struct aes256_ctx aes;

    if (path_missing(&paths[0])) {
        g_aligned_free(c);
        return;
    }
    case_init(c);
    aes256_set_encrypt_key(&aes, c->secret);
    for (size_t bytes = 16; bytes <= LANE_PAGE; bytes += 16) {
        g_autofree uint32_t *table = g_memdup2(c->page, bytes + 16);
        struct gcm_aes256_ctx gcm;

        gcm_aes256_set_key(&gcm, c->secret);
        gcm_aes256_set_iv(&gcm, AEAD_NONCE, zero);
        gcm_aes256_update(&gcm, bytes, c->page);
        gcm_aes256_digest(&gcm, AEAD_BLOCK, tag);

        /* Ours works on reversed blocks, and leaves out the length. */
        for (size_t i = 0; i < bytes; i++) {
            ((uint8_t *)table)[i] = c->page[i / 16 * 16 + 15 - i % 16];
        }
        memset(bits, 0, sizeof(bits));
        for (int i = 0; i < 8; i++) {
            bits[8 + i] = (uint64_t)bytes * 8 >> 8 * i;
        }
        memcpy((uint8_t *)table + bytes, bits, 16);
        aead_hash(&c->key, table, bytes + 16, sum);
        first[AEAD_BLOCK - 1] = 1;
        aes256_encrypt(&aes, AEAD_BLOCK, mask, first);
        for (int i = 0; i < AEAD_BLOCK; i++) {
            g_assert_cmphex(sum[15 - i] ^ mask[i], ==, tag[i]);
        }
    }
    g_aligned_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *same = g_strdup_printf("/lane/aead/%s/same", paths[i].name);
        g_autofree char *refused = g_strdup_printf("/lane/aead/%s/refused",
                                                   paths[i].name);

        g_test_add_data_func(same, &paths[i], test_same);
        g_test_add_data_func(refused, &paths[i], test_refused);
    }
    g_test_add_func("/lane/aead/hash", test_hash);
    return g_test_run();
}
