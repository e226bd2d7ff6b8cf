/*
 * Platform certificate chains: parse, verify to pinned roots, fingerprint.
 *
 * SEV certificates and AMD certificates as in the SEV API, appendix C.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_CHAIN_H
#define PSP_CHAIN_H

#include "psp.h"

/*
 * The three pieces a platform hands out, all in firmware format.
 * Each is borrowed from the caller.
 */
typedef struct PspChain {
    const void *pdh;            /* PDH, PSP_CERT_LEN bytes */
    size_t pdh_len;
    const void *plat;           /* PEK, OCA, CEK: 3 * PSP_CERT_LEN bytes */
    size_t plat_len;
    const void *amd;            /* ASK, ARK: 2 * 832 or 2 * 1600 bytes */
    size_t amd_len;
} PspChain;

/* --- One file ------------------------------------------------------------ */

/*
 * All of a platform in one file: PDH, PEK, OCA, CEK, ASK, ARK, one behind the
 * other.  @chain points into @data.
 */
bool psp_chain_parse(const void *data, size_t len, PspChain *chain,
                     GError **error);
/* The same from a file; @chain points into *@bytes, a new reference. */
bool psp_chain_load(const char *path, GBytes **bytes, PspChain *chain,
                    GError **error);

/*
 * Has @chain what AMD publishes of a chip: a CEK signed by the ASK, an ASK
 * signed by the ARK?  PSP_ERROR_LACKS when something is not there, which the
 * error names.  Whether anybody trusts that ARK is another question.
 */
bool psp_chain_whole(const PspChain *chain, GError **error);

/*
 * Give @chain what it lacks and @from has: the signed CEK, if it is of the same
 * chip (the same key), and ASK and ARK.  PDH, PEK and OCA stay: a chip may have
 * made new ones.  The CEK is copied to @plat, which is @chain's, PSP_CHAIN_LEN
 * bytes; ASK and ARK are borrowed from @from.  False for another chip's CEK.
 */
bool psp_chain_fill(PspChain *chain, void *plat, const PspChain *from,
                    GError **error);

/* --- Trust --------------------------------------------------------------- */

/* A set of trusted ARKs. */
typedef struct PspRoots PspRoots;
PspRoots *psp_roots_new(void);          /* AMD's own, by SHA-256 of the ARK */
PspRoots *psp_roots_new_empty(void);
void psp_roots_free(PspRoots *roots);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PspRoots, psp_roots_free)
bool psp_roots_add(PspRoots *roots, const char *name, const void *ark,
                   size_t ark_len, GError **error);
/* Every *.cert file of a folder; a folder that does not exist adds nothing. */
bool psp_roots_add_dir(PspRoots *roots, const char *dir, GError **error);
size_t psp_roots_count(const PspRoots *roots);

/*
 * Verify PDH <- PEK <- (OCA and CEK), CEK <- ASK <- ARK, ARK in @roots.
 * The error names the link that failed in one sentence ("the CEK is not
 * signed by the ASK"); its code tells what is not there (PSP_ERROR_LACKS) and
 * a root that is not in @roots (PSP_ERROR_ROOT) from what is wrong
 * (PSP_ERROR_CERT).  *@root_name (may be NULL) gets the name of the root, to
 * be freed by the caller.
 */
bool psp_chain_verify(const PspChain *chain, const PspRoots *roots,
                      char **root_name, GError **error);
/*
 * The roots whose platforms SEND_START takes for authentic (policy bit SEV),
 * besides the chip's own ARK.  Until this is called, AMD's own.  Takes over
 * @roots; NULL stands for none.  A real chip has AMD's root in its ROM.
 */
void psp_platform_trust(PspPlatform *psp, PspRoots *roots);

/*
 * Is each piece that @chain has (the others are NULL) well formed: lengths,
 * kinds of certificates, keys?  No signature is checked.  The error names the
 * piece, and the length it should have.
 */
bool psp_chain_formed(const PspChain *chain, GError **error);

/* Do both platforms have the same owner (OCA public key)? */
bool psp_chain_same_owner(const PspChain *a, const PspChain *b);
/* The API version the platform's PEK carries. */
bool psp_chain_api(const PspChain *chain, uint8_t *major, uint8_t *minor);

/*
 * The same, link by link, for people: calls @report for each of the seven
 * links, in the order root to PDH, and goes on after a failure.  Returns
 * whether all are good.
 */
typedef void (*PspChainReport)(const char *link, bool ok, void *opaque);
bool psp_chain_explain(const PspChain *chain, const PspRoots *roots,
                       PspChainReport report, void *opaque);

/*
 * Is @report, of ATTESTATION, of a guest with @policy, signed by the PEK of
 * @chain, and an answer to @mnonce?  The chain itself is not verified.  The
 * launch digest in it is not looked at: what a received guest has there is not
 * public.
 */
bool psp_report_verify(const PspChain *chain, const void *report, size_t len,
                       const uint8_t mnonce[PSP_MNONCE_LEN], uint32_t policy,
                       GError **error);

/* SHA-256 of the PDH certificate's public key, 64 hex digits; caller frees. */
char *psp_fingerprint(const void *cert, size_t len, GError **error);
/* The same of the CEK in the platform chain: the chip, whatever its owner. */
char *psp_chain_chip(const PspChain *chain, GError **error);

#endif /* PSP_CHAIN_H */
