/*
 * Who a chip is: its keys, its certificates, and their form at rest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_IDENTITY_H
#define PSP_IDENTITY_H

#include "cert.h"
#include "crypto.h"
#include "psp-abi.h"

/* Ids of the software root: nobody takes them for AMD's. */
#define PSP_SOFTWARE_ARK_ID "SOFTWARE-PSP-ARK"
#define PSP_SOFTWARE_ASK_ID "SOFTWARE-PSP-ASK"

typedef struct PspIdentity {
    /* What a real chip has in its fuses, and AMD in its vault */
    uint8_t chip_id[PSP_ID_LEN];
    PspRsaKey ark;
    PspRsaKey ask;
    PspEcKey cek;
    uint8_t ark_cert[PSP_AMD_CERT_LEN_2048];
    uint8_t ask_cert[PSP_AMD_CERT_LEN_2048];
    PspCert cek_cert;
    uint8_t silicon;            /* hand out no more of these than silicon */

    /* The persistent set: what PLATFORM_RESET deletes */
    bool provisioned;           /* is there one? */
    bool external;              /* the OCA is somebody else's */
    PspEcKey oca;               /* all zeros when external */
    PspEcKey pek;
    PspEcKey pdh;
    PspCert oca_cert;
    PspCert pek_cert;
    PspCert pdh_cert;
} PspIdentity;

/* A new chip; takes most of a second.  NULL only when RSA fails. */
PspIdentity *psp_identity_new(const PspRng *rng);
/* Wipes. */
void psp_identity_free(PspIdentity *id);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PspIdentity, psp_identity_free)

/* New self-signed OCA, new PEK, new PDH: a self-owned platform. */
void psp_identity_provision(PspIdentity *id, const PspRng *rng);
void psp_identity_deprovision(PspIdentity *id);
void psp_identity_new_pdh(PspIdentity *id, const PspRng *rng);
/* PEK_CERT_IMPORT: the OCA of @oca becomes the owner, the PDH is new. */
void psp_identity_adopt(PspIdentity *id, const PspCert *pek,
                        const PspCert *oca, const PspRng *rng);

/* PEK, OCA, CEK as PDH_CERT_EXPORT writes them: @silicon's CEK unsigned */
void psp_identity_chain(const PspIdentity *id, PspCert chain[3]);

/* At rest: nv.c */
GBytes *psp_identity_encode(const PspIdentity *id);
PspIdentity *psp_identity_decode(GBytes *blob, GError **error);
/* Is it an identity, whole and of a version we read? */
bool psp_identity_check(GBytes *blob, GError **error);
/* The blocks of the persistent set alone; false if not all are there. */
void psp_identity_write_owner(PspWriter *w, const PspIdentity *id);
bool psp_identity_read_owner(PspReader *r, PspIdentity *id);
/* Just the ARK certificate of an encoded identity; NULL if it is none. */
const uint8_t *psp_identity_find_ark(GBytes *blob);

/*
 * The persistent set in the host's memory (INIT_EX), readable and writable by
 * this chip alone: nv-ex.c.  @area has PSP_NV_LEN bytes.
 */
void psp_identity_seal_owner(const PspIdentity *id, const PspRng *rng,
                             uint8_t *area);
/* False, and @id without a persistent set, when the area is not ours. */
bool psp_identity_open_owner(PspIdentity *id, const uint8_t *area);

#endif /* PSP_IDENTITY_H */
