/*
 * The chip's keys and signatures by nettle and hogweed: P-384, and RSA for chains.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "crypto.h"

#include <gmp.h>
#include <nettle/bignum.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <nettle/rsa.h>
#include <string.h>

/* --- Big numbers --------------------------------------------------------- */

static void psp_nettle_random(void *opaque, size_t len, uint8_t *dst)
{
    psp_random(opaque, dst, len);
}

static void psp_mpz_from(mpz_t n, const uint8_t *bytes, size_t len)
{
    nettle_mpz_init_set_str_256_u(n, len, bytes);
}

/* Clear a number that was secret. */
static void psp_mpz_wipe(mpz_t n)
{
    size_t limbs = mpz_size(n);

    if (limbs) {
        psp_wipe(mpz_limbs_modify(n, limbs), limbs * sizeof(mp_limb_t));
        mpz_limbs_finish(n, 0);
    }
    mpz_clear(n);
}

/* --- P-384 --------------------------------------------------------------- */

/* Load a secret scalar; undo with psp_scalar_wipe(), also on failure. */
static bool psp_scalar_load(struct ecc_scalar *scalar,
                            const uint8_t d[PSP_P384_LEN])
{
    mpz_t n;
    bool ok;

    ecc_scalar_init(scalar, nettle_get_secp_384r1());
    psp_mpz_from(n, d, PSP_P384_LEN);
    ok = ecc_scalar_set(scalar, n);
    psp_mpz_wipe(n);
    return ok;
}

static void psp_scalar_wipe(struct ecc_scalar *scalar)
{
    mpz_t one;

    mpz_init_set_ui(one, 1);
    ecc_scalar_set(scalar, one);
    mpz_clear(one);
    ecc_scalar_clear(scalar);
}

/* Undo with ecc_point_clear(), also on failure. */
static bool psp_point_load(struct ecc_point *point, const PspEcPoint *from)
{
    mpz_t x, y;
    bool ok;

    ecc_point_init(point, nettle_get_secp_384r1());
    psp_mpz_from(x, from->x, sizeof(from->x));
    psp_mpz_from(y, from->y, sizeof(from->y));
    ok = ecc_point_set(point, x, y);
    mpz_clear(x);
    mpz_clear(y);
    return ok;
}

static void psp_point_store(const struct ecc_point *point, PspEcPoint *to)
{
    mpz_t x, y;

    mpz_init(x);
    mpz_init(y);
    ecc_point_get(point, x, y);
    nettle_mpz_get_str_256(sizeof(to->x), to->x, x);
    nettle_mpz_get_str_256(sizeof(to->y), to->y, y);
    psp_mpz_wipe(x);
    psp_mpz_wipe(y);
}

void psp_ec_generate(PspEcKey *key, const PspRng *rng)
{
    struct ecc_scalar d;
    mpz_t n;

    ecc_scalar_init(&d, nettle_get_secp_384r1());
    ecc_scalar_random(&d, (void *)rng, psp_nettle_random);
    mpz_init(n);
    ecc_scalar_get(&d, n);
    nettle_mpz_get_str_256(sizeof(key->d), key->d, n);
    psp_mpz_wipe(n);
    psp_scalar_wipe(&d);
    psp_ec_derive_pub(key);
}

bool psp_ec_derive_pub(PspEcKey *key)
{
    struct ecc_scalar d;
    struct ecc_point point;
    bool ok = psp_scalar_load(&d, key->d);

    if (ok) {
        ecc_point_init(&point, nettle_get_secp_384r1());
        ecc_point_mul_g(&point, &d);
        psp_point_store(&point, &key->pub);
        ecc_point_clear(&point);
    }
    psp_scalar_wipe(&d);
    return ok;
}

bool psp_ec_on_curve(const PspEcPoint *point)
{
    struct ecc_point p;
    bool ok = psp_point_load(&p, point);

    ecc_point_clear(&p);
    return ok;
}

bool psp_ecdh(const PspEcKey *key, const PspEcPoint *peer,
              uint8_t z[PSP_P384_LEN])
{
    struct ecc_point p, shared;
    struct ecc_scalar d;
    PspEcPoint result;
    bool ok = psp_point_load(&p, peer);

    ok = psp_scalar_load(&d, key->d) && ok;
    if (ok) {
        ecc_point_init(&shared, nettle_get_secp_384r1());
        ecc_point_mul(&shared, &d, &p);
        psp_point_store(&shared, &result);
        memcpy(z, result.x, PSP_P384_LEN);
        psp_wipe(&result, sizeof(result));
        /* What the library frees is overwritten first. */
        ecc_point_mul_g(&shared, &d);
        ecc_point_clear(&shared);
    }
    psp_scalar_wipe(&d);
    ecc_point_clear(&p);
    return ok;
}

void psp_ecdsa_sign(const PspEcKey *key, const PspRng *rng,
                    const uint8_t *digest, size_t len, PspEcdsa *sig)
{
    struct dsa_signature s;
    struct ecc_scalar d;

    dsa_signature_init(&s);
    memset(sig, 0, sizeof(*sig));
    if (psp_scalar_load(&d, key->d)) {
        ecdsa_sign(&d, (void *)rng, psp_nettle_random, len, digest, &s);
        nettle_mpz_get_str_256(sizeof(sig->r), sig->r, s.r);
        nettle_mpz_get_str_256(sizeof(sig->s), sig->s, s.s);
    }
    psp_scalar_wipe(&d);
    dsa_signature_clear(&s);
}

bool psp_ecdsa_verify(const PspEcPoint *pub, const uint8_t *digest,
                      size_t len, const PspEcdsa *sig)
{
    struct dsa_signature s;
    struct ecc_point p;
    bool ok = psp_point_load(&p, pub);

    psp_mpz_from(s.r, sig->r, sizeof(sig->r));
    psp_mpz_from(s.s, sig->s, sizeof(sig->s));
    ok = ok && ecdsa_verify(&p, len, digest, &s);
    dsa_signature_clear(&s);
    ecc_point_clear(&p);
    return ok;
}

/* --- RSA-PSS ------------------------------------------------------------- */

static void psp_rsa_wipe(struct rsa_private_key *key)
{
    psp_mpz_wipe(key->d);
    psp_mpz_wipe(key->p);
    psp_mpz_wipe(key->q);
    psp_mpz_wipe(key->a);
    psp_mpz_wipe(key->b);
    psp_mpz_wipe(key->c);
}

bool psp_rsa_generate(PspRsaKey *key, const PspRng *rng)
{
    struct rsa_public_key pub;
    struct rsa_private_key priv;
    bool ok;

    rsa_public_key_init(&pub);
    rsa_private_key_init(&priv);
    mpz_set_ui(pub.e, 65537);
    ok = rsa_generate_keypair(&pub, &priv, (void *)rng, psp_nettle_random,
                              NULL, NULL, PSP_RSA_BITS, 0);
    if (ok) {
        nettle_mpz_get_str_256(sizeof(key->p), key->p, priv.p);
        nettle_mpz_get_str_256(sizeof(key->q), key->q, priv.q);
        nettle_mpz_get_str_256(sizeof(key->n), key->n, pub.n);
    }
    rsa_public_key_clear(&pub);
    psp_rsa_wipe(&priv);
    return ok;
}

/*
 * Rebuild all a private key needs from its two primes.  Undo with
 * psp_rsa_wipe() and rsa_public_key_clear(), also on failure.
 */
static bool psp_rsa_load(const PspRsaKey *key, struct rsa_public_key *pub,
                         struct rsa_private_key *priv)
{
    mpz_t p1, q1;
    bool ok;

    rsa_public_key_init(pub);
    rsa_private_key_init(priv);
    mpz_init(p1);
    mpz_init(q1);
    nettle_mpz_set_str_256_u(priv->p, sizeof(key->p), key->p);
    nettle_mpz_set_str_256_u(priv->q, sizeof(key->q), key->q);
    mpz_set_ui(pub->e, 65537);
    mpz_mul(pub->n, priv->p, priv->q);
    ok = mpz_odd_p(pub->n) && mpz_sizeinbase(pub->n, 2) == PSP_RSA_BITS;
    if (ok) {
        mpz_sub_ui(p1, priv->p, 1);
        mpz_sub_ui(q1, priv->q, 1);
        ok = mpz_invert(priv->a, pub->e, p1) &&
             mpz_invert(priv->b, pub->e, q1) &&
             mpz_invert(priv->c, priv->q, priv->p) &&
             rsa_public_key_prepare(pub) && rsa_private_key_prepare(priv);
    }
    psp_mpz_wipe(p1);
    psp_mpz_wipe(q1);
    return ok;
}

bool psp_rsa_derive_pub(PspRsaKey *key)
{
    struct rsa_public_key pub;
    struct rsa_private_key priv;
    bool ok = psp_rsa_load(key, &pub, &priv);

    if (ok) {
        nettle_mpz_get_str_256(sizeof(key->n), key->n, pub.n);
    }
    rsa_public_key_clear(&pub);
    psp_rsa_wipe(&priv);
    return ok;
}

bool psp_rsa_pss_sign(const PspRsaKey *key, const PspRng *rng,
                      const uint8_t digest[PSP_SHA256_LEN],
                      uint8_t sig[PSP_RSA_BITS / 8])
{
    struct rsa_public_key pub;
    struct rsa_private_key priv;
    uint8_t salt[PSP_SHA256_LEN];
    mpz_t s;
    bool ok = psp_rsa_load(key, &pub, &priv);

    mpz_init(s);
    psp_random(rng, salt, sizeof(salt));
    ok = ok && rsa_pss_sha256_sign_digest_tr(&pub, &priv, (void *)rng,
                                             psp_nettle_random, sizeof(salt),
                                             salt, digest, s);
    if (ok) {
        nettle_mpz_get_str_256(PSP_RSA_BITS / 8, sig, s);
    }
    mpz_clear(s);
    rsa_public_key_clear(&pub);
    psp_rsa_wipe(&priv);
    return ok;
}

bool psp_rsa_pss_verify(const uint8_t *n, size_t n_len,
                        const uint8_t *e, size_t e_len,
                        const uint8_t *digest, size_t hash_len,
                        const uint8_t *sig)
{
    struct rsa_public_key pub;
    mpz_t s;
    bool ok;

    rsa_public_key_init(&pub);
    nettle_mpz_set_str_256_u(pub.n, n_len, n);
    nettle_mpz_set_str_256_u(pub.e, e_len, e);
    psp_mpz_from(s, sig, n_len);
    ok = mpz_odd_p(pub.n) && mpz_odd_p(pub.e) &&
         mpz_sizeinbase(pub.n, 2) == n_len * 8 &&
         rsa_public_key_prepare(&pub);
    if (ok && hash_len == PSP_SHA256_LEN) {
        ok = rsa_pss_sha256_verify_digest(&pub, hash_len, digest, s);
    } else if (ok && hash_len == PSP_SHA384_LEN) {
        ok = rsa_pss_sha384_verify_digest(&pub, hash_len, digest, s);
    } else {
        ok = false;
    }
    mpz_clear(s);
    rsa_public_key_clear(&pub);
    return ok;
}
