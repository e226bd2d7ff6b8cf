/*
 * The parts of a chain check that SEND_START needs one by one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_CHAIN_INT_H
#define PSP_CHAIN_INT_H

#include "cert.h"
#include "psp-chain.h"

/* Order in the platform chain */
enum {
    PSP_CHAIN_PEK,
    PSP_CHAIN_OCA,
    PSP_CHAIN_CEK,
};

/* A chain taken apart; *_bytes point into the caller's. */
typedef struct PspChainCerts {
    PspCert pdh;
    PspCert plat[3];
    PspAmdKey ask;
    PspAmdKey ark;
    const uint8_t *ask_bytes;
    const uint8_t *ark_bytes;
} PspChainCerts;

/* Copy and check the form of PDH, PEK, OCA, CEK. */
bool psp_chain_open(const PspChain *chain, PspChainCerts *certs,
                    GError **error);
/* The same of ASK and ARK; the error names what is not there. */
bool psp_chain_open_amd(const PspChain *chain, PspChainCerts *certs,
                        GError **error);
/* PDH <- PEK <- OCA, and nothing about AMD: policy bit DOMAIN. */
bool psp_chain_verify_owner(const PspChainCerts *certs, GError **error);

/* roots.c: the name under which this ARK is trusted, or NULL */
const char *psp_roots_find(const PspRoots *roots, const void *ark,
                           size_t len);

#endif /* PSP_CHAIN_INT_H */
