/*
 * An identity at rest: one versioned blob of blocks.
 *
 *   "SEVPSPNV"  u32 version  u32 length of the whole
 *   blocks: u16 type  u16 flags  u32 length  bytes
 *   SHA-256 of everything before
 *
 * A reader skips blocks it does not know, unless PSP_NV_MUST is set.  A new
 * version number means that old readers must refuse.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "identity.h"

#include <string.h>

#include "psp.h"

#define PSP_NV_MAGIC    "SEVPSPNV"
#define PSP_NV_VERSION  1
#define PSP_NV_HEAD     16
#define PSP_NV_MAX      16384

#define PSP_NV_MUST     (1u << 0)

typedef enum PspNvType {
    PSP_NV_CHIP_ID = 1,
    PSP_NV_ARK = 2,             /* p, q */
    PSP_NV_ASK = 3,             /* p, q */
    PSP_NV_CEK = 4,             /* d, as all that follow */
    PSP_NV_ARK_CERT = 5,
    PSP_NV_ASK_CERT = 6,
    PSP_NV_CEK_CERT = 7,
    PSP_NV_SILICON = 8,         /* there only when it is set */
    PSP_NV_OCA = 16,            /* none when the owner is external */
    PSP_NV_PEK = 17,
    PSP_NV_PDH = 18,
    PSP_NV_OCA_CERT = 19,
    PSP_NV_PEK_CERT = 20,
    PSP_NV_PDH_CERT = 21,
} PspNvType;

/* Where a block lives in PspIdentity; the two primes are adjacent there. */
typedef struct PspNvBlock {
    PspNvType type;
    size_t offset;
    size_t len;
} PspNvBlock;

#define PSP_NV_FIELD(type, field) \
    { type, offsetof(PspIdentity, field), \
      sizeof(((PspIdentity *)NULL)->field) }

static const PspNvBlock psp_nv_chip[] = {
    PSP_NV_FIELD(PSP_NV_CHIP_ID, chip_id),
    { PSP_NV_ARK, offsetof(PspIdentity, ark.p), PSP_RSA_BITS / 8 },
    { PSP_NV_ASK, offsetof(PspIdentity, ask.p), PSP_RSA_BITS / 8 },
    PSP_NV_FIELD(PSP_NV_CEK, cek.d),
    PSP_NV_FIELD(PSP_NV_ARK_CERT, ark_cert),
    PSP_NV_FIELD(PSP_NV_ASK_CERT, ask_cert),
    PSP_NV_FIELD(PSP_NV_CEK_CERT, cek_cert),
};
_Static_assert(offsetof(PspRsaKey, q) == PSP_RSA_BITS / 16, "p, q");

static const PspNvBlock psp_nv_silicon = PSP_NV_FIELD(PSP_NV_SILICON, silicon);

static const PspNvBlock psp_nv_owner[] = {
    PSP_NV_FIELD(PSP_NV_PEK, pek.d),
    PSP_NV_FIELD(PSP_NV_PDH, pdh.d),
    PSP_NV_FIELD(PSP_NV_OCA_CERT, oca_cert),
    PSP_NV_FIELD(PSP_NV_PEK_CERT, pek_cert),
    PSP_NV_FIELD(PSP_NV_PDH_CERT, pdh_cert),
};
static const PspNvBlock psp_nv_oca = PSP_NV_FIELD(PSP_NV_OCA, oca.d);

static void psp_nv_write(PspWriter *w, const PspIdentity *id,
                         const PspNvBlock *block)
{
    psp_write_u16(w, block->type);
    psp_write_u16(w, PSP_NV_MUST);
    psp_write_u32(w, block->len);
    psp_write_bytes(w, (const uint8_t *)id + block->offset, block->len);
}

void psp_identity_write_owner(PspWriter *w, const PspIdentity *id)
{
    for (size_t i = 0; i < G_N_ELEMENTS(psp_nv_owner); i++) {
        psp_nv_write(w, id, &psp_nv_owner[i]);
    }
    if (!id->external) {
        psp_nv_write(w, id, &psp_nv_oca);
    }
}

GBytes *psp_identity_encode(const PspIdentity *id)
{
    uint8_t *buf = g_malloc0(PSP_NV_MAX);
    uint8_t digest[PSP_SHA256_LEN];
    uint32_t total;
    PspWriter w;

    psp_writer_init(&w, buf, PSP_NV_MAX);
    psp_write_bytes(&w, PSP_NV_MAGIC, 8);
    psp_write_u32(&w, PSP_NV_VERSION);
    psp_write_u32(&w, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(psp_nv_chip); i++) {
        psp_nv_write(&w, id, &psp_nv_chip[i]);
    }
    if (id->silicon) {
        psp_nv_write(&w, id, &psp_nv_silicon);
    }
    if (id->provisioned) {
        psp_identity_write_owner(&w, id);
    }
    total = GUINT32_TO_LE((uint32_t)(w.len + sizeof(digest)));
    memcpy(buf + 12, &total, sizeof(total));
    psp_sha256(buf, w.len, digest);
    psp_write_bytes(&w, digest, sizeof(digest));
    g_assert(!w.failed);
    return psp_secret_bytes(buf, w.len);
}

/* Header and checksum; leaves @r at the first block. */
static bool psp_nv_open(GBytes *blob, PspReader *r, GError **error)
{
    uint8_t digest[PSP_SHA256_LEN];
    const uint8_t *data, *magic;
    size_t len;
    uint32_t version, total;

    data = g_bytes_get_data(blob, &len);
    psp_reader_init(r, data, len);
    magic = psp_read_bytes(r, 8);
    version = psp_read_u32(r);
    total = psp_read_u32(r);
    if (!magic || memcmp(magic, PSP_NV_MAGIC, 8) != 0) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                    "the persistent area does not hold a chip's identity");
        return false;
    }
    if (version != PSP_NV_VERSION) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                    "the persistent area has format version %u, this program"
                    " reads version %d", version, PSP_NV_VERSION);
        return false;
    }
    if (r->failed || total != len || r->left < sizeof(digest)) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                    "the persistent area is truncated: %zu bytes of %u",
                    len, total);
        return false;
    }
    psp_sha256(data, len - sizeof(digest), digest);
    if (!psp_equal(digest, data + len - sizeof(digest), sizeof(digest))) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                    "the persistent area is damaged: wrong checksum");
        return false;
    }
    r->left -= sizeof(digest);
    return true;
}

static const PspNvBlock *psp_nv_find(uint16_t type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(psp_nv_chip); i++) {
        if (psp_nv_chip[i].type == type) {
            return &psp_nv_chip[i];
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(psp_nv_owner); i++) {
        if (psp_nv_owner[i].type == type) {
            return &psp_nv_owner[i];
        }
    }
    return type == psp_nv_oca.type ? &psp_nv_oca :
           type == psp_nv_silicon.type ? &psp_nv_silicon : NULL;
}

/* Copy every known block to its place; *@seen gets a bit per type. */
static bool psp_nv_read(PspReader *r, PspIdentity *id, uint32_t *seen,
                        GError **error)
{
    while (r->left) {
        uint16_t type = psp_read_u16(r);
        uint16_t flags = psp_read_u16(r);
        uint32_t len = psp_read_u32(r);
        const uint8_t *bytes = psp_read_bytes(r, len);
        const PspNvBlock *block = psp_nv_find(type);

        if (!bytes || (block && len != block->len) ||
            (!block && (flags & PSP_NV_MUST))) {
            g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                        "the persistent area has a block of type %u and"
                        " length %u that this program cannot read",
                        type, len);
            return false;
        }
        if (block) {
            memcpy((uint8_t *)id + block->offset, bytes, len);
            *seen |= 1u << type;
        }
    }
    return true;
}

static bool psp_nv_seen(uint32_t seen, const PspNvBlock *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(seen & 1u << blocks[i].type)) {
            return false;
        }
    }
    return true;
}

/* Compute a key's public half, which is not stored; is it the cert's? */
static bool psp_nv_match(PspEcKey *key, const PspCert *cert)
{
    PspEcPoint pub;

    return psp_ec_derive_pub(key) && psp_cert_pub(cert, &pub) &&
           psp_equal(&pub, &key->pub, sizeof(pub));
}

static bool psp_nv_complete_chip(PspIdentity *id, uint32_t seen)
{
    return psp_nv_seen(seen, psp_nv_chip, G_N_ELEMENTS(psp_nv_chip)) &&
           psp_rsa_derive_pub(&id->ark) && psp_rsa_derive_pub(&id->ask) &&
           psp_nv_match(&id->cek, &id->cek_cert);
}

static bool psp_nv_complete_owner(PspIdentity *id, uint32_t seen)
{
    id->provisioned = psp_nv_seen(seen, psp_nv_owner,
                                  G_N_ELEMENTS(psp_nv_owner));
    if (!id->provisioned) {
        psp_identity_deprovision(id);
        return true;
    }
    id->external = !psp_nv_seen(seen, &psp_nv_oca, 1);
    return (id->external || psp_nv_match(&id->oca, &id->oca_cert)) &&
           psp_nv_match(&id->pek, &id->pek_cert) &&
           psp_nv_match(&id->pdh, &id->pdh_cert);
}

bool psp_identity_read_owner(PspReader *r, PspIdentity *id)
{
    uint32_t seen = 0;

    psp_identity_deprovision(id);
    return psp_nv_read(r, id, &seen, NULL) &&
           psp_nv_complete_owner(id, seen) && id->provisioned;
}

PspIdentity *psp_identity_decode(GBytes *blob, GError **error)
{
    PspIdentity *id = g_new0(PspIdentity, 1);
    uint32_t seen = 0;
    PspReader r;

    if (!psp_nv_open(blob, &r, error) ||
        !psp_nv_read(&r, id, &seen, error)) {
        psp_identity_free(id);
        return NULL;
    }
    if (!psp_nv_complete_chip(id, seen) || !psp_nv_complete_owner(id, seen)) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_FORMAT,
                    "the persistent area is inconsistent: a key is missing"
                    " or does not belong to its certificate");
        psp_identity_free(id);
        return NULL;
    }
    return id;
}

bool psp_identity_check(GBytes *blob, GError **error)
{
    PspReader r;

    return psp_nv_open(blob, &r, error);
}

const uint8_t *psp_identity_find_ark(GBytes *blob)
{
    PspReader r;

    if (!psp_nv_open(blob, &r, NULL)) {
        return NULL;
    }
    while (r.left && !r.failed) {
        const uint8_t *bytes;
        uint16_t type = psp_read_u16(&r);
        uint32_t len;

        psp_read_u16(&r);
        len = psp_read_u32(&r);
        bytes = psp_read_bytes(&r, len);
        if (bytes && type == PSP_NV_ARK_CERT &&
            len == PSP_AMD_CERT_LEN_2048) {
            return bytes;
        }
    }
    return NULL;
}
