/*
 * Platform certificate chains: verified to pinned roots, link by link.
 *
 *   ARK (in a list of roots) -> ASK -> CEK -> PEK -> PDH
 *                               OCA (signs itself) ---^
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chain.h"

/* A link is good when it is signed, and by nobody we did not check. */
static bool psp_link_pdh(const PspChainCerts *c)
{
    return psp_cert_slots_used(&c->pdh, 1) &&
           psp_cert_signed_by(&c->pdh, &c->plat[PSP_CHAIN_PEK]);
}

static bool psp_link_pek_oca(const PspChainCerts *c)
{
    return psp_cert_slots_used(&c->plat[PSP_CHAIN_PEK], 2) &&
           psp_cert_signed_by(&c->plat[PSP_CHAIN_PEK],
                              &c->plat[PSP_CHAIN_OCA]);
}

static bool psp_link_oca(const PspChainCerts *c)
{
    return psp_cert_slots_used(&c->plat[PSP_CHAIN_OCA], 1) &&
           psp_cert_signed_by(&c->plat[PSP_CHAIN_OCA],
                              &c->plat[PSP_CHAIN_OCA]);
}

static bool psp_link_pek_cek(const PspChainCerts *c)
{
    return psp_cert_signed_by(&c->plat[PSP_CHAIN_PEK],
                              &c->plat[PSP_CHAIN_CEK]);
}

static bool psp_link_cek(const PspChainCerts *c)
{
    return psp_cert_slots_used(&c->plat[PSP_CHAIN_CEK], 1) &&
           psp_cert_signed_by_ask(&c->plat[PSP_CHAIN_CEK], &c->ask);
}

static bool psp_link_ask(const PspChainCerts *c)
{
    return psp_amd_cert_signed_by(c->ask_bytes, &c->ask, &c->ark);
}

static bool psp_link_ark(const PspChainCerts *c)
{
    return !c->ark.sig ||
           psp_amd_cert_signed_by(c->ark_bytes, &c->ark, &c->ark);
}

typedef struct PspLink {
    const char *name;           /* "the X is signed by Y" */
    const char *broken;
    bool (*check)(const PspChainCerts *certs);
} PspLink;

/* From the root down, so that no unverified key does work for us. */
static const PspLink psp_amd_links[] = {
    { "ARK signed by itself", "the ARK is not signed by itself",
      psp_link_ark },
    { "ASK signed by the ARK", "the ASK is not signed by the ARK",
      psp_link_ask },
    { "CEK signed by the ASK", "the CEK is not signed by the ASK",
      psp_link_cek },
};
static const PspLink psp_chip_links[] = {
    { "PEK signed by the CEK", "the PEK is not signed by the CEK",
      psp_link_pek_cek },
};
static const PspLink psp_owner_links[] = {
    { "OCA signed by itself", "the OCA is not signed by itself",
      psp_link_oca },
    { "PEK signed by the OCA", "the PEK is not signed by the OCA",
      psp_link_pek_oca },
    { "PDH signed by the PEK", "the PDH is not signed by the PEK",
      psp_link_pdh },
};

static bool psp_links_verify(const PspChainCerts *certs, const PspLink *links,
                             size_t n, GError **error)
{
    for (size_t i = 0; i < n; i++) {
        if (!links[i].check(certs)) {
            g_set_error(error, PSP_ERROR, PSP_ERROR_CERT, "%s",
                        links[i].broken);
            return false;
        }
    }
    return true;
}

/* All that there has to be, signatures not checked yet */
static bool psp_chain_open_whole(const PspChain *chain, PspChainCerts *certs,
                                 GError **error)
{
    if (!psp_chain_open(chain, certs, error) ||
        !psp_chain_open_amd(chain, certs, error)) {
        return false;
    }
    if (!psp_cert_has_signature(&certs->plat[PSP_CHAIN_CEK], PSP_USAGE_ASK)) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_LACKS, "the CEK is not signed"
                    " by an ASK, it is as a chip exports it");
        return false;
    }
    return true;
}

bool psp_chain_whole(const PspChain *chain, GError **error)
{
    PspChainCerts certs;

    return psp_chain_open_whole(chain, &certs, error) &&
           psp_links_verify(&certs, psp_amd_links,
                            G_N_ELEMENTS(psp_amd_links), error);
}

bool psp_chain_verify_owner(const PspChainCerts *certs, GError **error)
{
    return psp_links_verify(certs, psp_owner_links,
                            G_N_ELEMENTS(psp_owner_links), error);
}

bool psp_chain_verify(const PspChain *chain, const PspRoots *roots,
                      char **root_name, GError **error)
{
    PspChainCerts certs;
    const char *name;

    if (!psp_chain_open_whole(chain, &certs, error)) {
        return false;
    }
    name = psp_roots_find(roots, certs.ark_bytes, certs.ark.total);
    if (!name) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_ROOT,
                    "the platform's ARK is not a root that is trusted here");
        return false;
    }
    if (!psp_links_verify(&certs, psp_amd_links,
                          G_N_ELEMENTS(psp_amd_links), error) ||
        !psp_links_verify(&certs, psp_chip_links,
                          G_N_ELEMENTS(psp_chip_links), error) ||
        !psp_chain_verify_owner(&certs, error)) {
        return false;
    }
    if (root_name) {
        *root_name = g_strdup(name);
    }
    return true;
}

static bool psp_links_explain(const PspChainCerts *certs,
                              const PspLink *links, size_t n,
                              PspChainReport report, void *opaque)
{
    bool all = true;

    for (size_t i = 0; i < n; i++) {
        bool ok = links[i].check(certs);

        report(links[i].name, ok, opaque);
        all = all && ok;
    }
    return all;
}

bool psp_chain_explain(const PspChain *chain, const PspRoots *roots,
                       PspChainReport report, void *opaque)
{
    PspChainCerts certs;
    bool ok, all;

    all = psp_chain_open(chain, &certs, NULL);
    report("PDH, PEK, OCA and CEK well formed", all, opaque);
    if (!all) {
        return false;
    }
    ok = psp_chain_open_amd(chain, &certs, NULL);
    report("ASK and ARK well formed", ok, opaque);
    if (ok) {
        all = psp_roots_find(roots, certs.ark_bytes, certs.ark.total) != NULL;
        report("ARK trusted here", all, opaque);
        ok = psp_links_explain(&certs, psp_amd_links,
                               G_N_ELEMENTS(psp_amd_links), report, opaque);
        all = all && ok;
    } else {
        all = false;
    }
    ok = psp_links_explain(&certs, psp_chip_links,
                           G_N_ELEMENTS(psp_chip_links), report, opaque);
    all = all && ok;
    ok = psp_links_explain(&certs, psp_owner_links,
                           G_N_ELEMENTS(psp_owner_links), report, opaque);
    return all && ok;
}
