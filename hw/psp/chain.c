/*
 * Platform certificate chains: what is in one, and the names of its keys.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chain.h"

#include <string.h>

bool psp_chain_open(const PspChain *chain, PspChainCerts *certs,
                    GError **error)
{
    memset(certs, 0, sizeof(*certs));
    if (chain->pdh_len != PSP_CERT_LEN || chain->plat_len != PSP_CHAIN_LEN) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "a PDH of %zu and a platform chain of %zu bytes, not %d"
                    " and %d", chain->pdh_len, chain->plat_len,
                    PSP_CERT_LEN, PSP_CHAIN_LEN);
        return false;
    }
    memcpy(&certs->pdh, chain->pdh, PSP_CERT_LEN);
    memcpy(certs->plat, chain->plat, PSP_CHAIN_LEN);
    if (!psp_cert_valid(&certs->pdh, PSP_USAGE_PDH) ||
        !psp_cert_valid(&certs->plat[PSP_CHAIN_PEK], PSP_USAGE_PEK) ||
        !psp_cert_valid(&certs->plat[PSP_CHAIN_OCA], PSP_USAGE_OCA) ||
        !psp_cert_valid(&certs->plat[PSP_CHAIN_CEK], PSP_USAGE_CEK)) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "the platform's PDH, PEK, OCA or CEK is malformed");
        return false;
    }
    return true;
}

bool psp_chain_open_amd(const PspChain *chain, PspChainCerts *certs,
                        GError **error)
{
    const uint8_t *amd = chain->amd;
    const char *malformed = NULL, *lacks = NULL;

    if (!amd || !chain->amd_len) {
        lacks = "ASK and no ARK";
    } else if (!psp_amd_cert_parse(amd, chain->amd_len, &certs->ask)) {
        malformed = "ASK";
    } else if (certs->ask.usage == PSP_USAGE_ARK) {
        lacks = "ASK: an ARK is in its place";
    } else if (certs->ask.usage != PSP_USAGE_ASK) {
        malformed = "ASK";
    } else if (certs->ask.total == chain->amd_len) {
        lacks = "ARK";
    } else if (!psp_amd_cert_parse(amd + certs->ask.total,
                                   chain->amd_len - certs->ask.total,
                                   &certs->ark) ||
               certs->ark.usage != PSP_USAGE_ARK ||
               certs->ask.total + certs->ark.total != chain->amd_len) {
        malformed = "ARK";
    }
    if (lacks) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_LACKS,
                    "the chain has no %s", lacks);
        return false;
    }
    if (malformed) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "the chain's %s is malformed or cut short", malformed);
        return false;
    }
    certs->ask_bytes = amd;
    certs->ark_bytes = amd + certs->ask.total;
    return true;
}

static bool psp_piece(size_t len, size_t want, const char *what,
                      GError **error)
{
    if (len != want) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT, "%zu bytes, %s %zu",
                    len, what, want);
    }
    return len == want;
}

static bool psp_piece_cert(const void *bytes, PspKeyUsage usage,
                           const char *name, GError **error)
{
    PspCert cert;

    memcpy(&cert, bytes, sizeof(cert));
    if (!psp_cert_valid(&cert, usage)) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "where the %s should be is no %s certificate", name, name);
        return false;
    }
    return true;
}

bool psp_chain_formed(const PspChain *chain, GError **error)
{
    const uint8_t *plat = chain->plat;
    PspChainCerts certs;

    if (chain->pdh &&
        (!psp_piece(chain->pdh_len, PSP_CERT_LEN, "a PDH certificate has",
                    error) ||
         !psp_piece_cert(chain->pdh, PSP_USAGE_PDH, "PDH", error))) {
        return false;
    }
    if (plat &&
        (!psp_piece(chain->plat_len, PSP_CHAIN_LEN,
                    "PEK, OCA and CEK together have", error) ||
         !psp_piece_cert(plat, PSP_USAGE_PEK, "PEK", error) ||
         !psp_piece_cert(plat + PSP_CERT_LEN, PSP_USAGE_OCA, "OCA", error) ||
         !psp_piece_cert(plat + 2 * PSP_CERT_LEN, PSP_USAGE_CEK, "CEK",
                         error))) {
        return false;
    }
    return !chain->amd || psp_chain_open_amd(chain, &certs, error);
}

bool psp_chain_same_owner(const PspChain *a, const PspChain *b)
{
    const PspCert *oca_a = (const PspCert *)a->plat + PSP_CHAIN_OCA;
    const PspCert *oca_b = (const PspCert *)b->plat + PSP_CHAIN_OCA;

    return a->plat_len == PSP_CHAIN_LEN && b->plat_len == PSP_CHAIN_LEN &&
           psp_cert_same_key(oca_a, oca_b);
}

bool psp_chain_api(const PspChain *chain, uint8_t *major, uint8_t *minor)
{
    const PspCert *pek = chain->plat;

    if (chain->plat_len != PSP_CHAIN_LEN) {
        return false;
    }
    *major = pek[PSP_CHAIN_PEK].api_major;
    *minor = pek[PSP_CHAIN_PEK].api_minor;
    return true;
}

char *psp_fingerprint(const void *cert, size_t len, GError **error)
{
    const PspCert *c = cert;
    uint8_t digest[PSP_SHA256_LEN];
    GString *hex;

    if (len != PSP_CERT_LEN ||
        psp_le32(c->version) != PSP_CERT_VERSION) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "not a SEV certificate of %d bytes", PSP_CERT_LEN);
        return NULL;
    }
    psp_sha256(&c->pubkey, sizeof(c->pubkey), digest);
    hex = g_string_sized_new(2 * sizeof(digest));
    for (size_t i = 0; i < sizeof(digest); i++) {
        g_string_append_printf(hex, "%02x", digest[i]);
    }
    return g_string_free(hex, false);
}

char *psp_chain_chip(const PspChain *chain, GError **error)
{
    const uint8_t *plat = chain->plat;

    if (chain->plat_len != PSP_CHAIN_LEN) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "PEK, OCA and CEK together have %d bytes, not %zu",
                    PSP_CHAIN_LEN, chain->plat_len);
        return NULL;
    }
    return psp_fingerprint(plat + PSP_CHAIN_CEK * PSP_CERT_LEN, PSP_CERT_LEN,
                           error);
}
