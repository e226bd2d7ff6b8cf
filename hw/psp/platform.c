/*
 * The platform: created, initialised from its persistent area, shut down.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"

#include <string.h>

G_DEFINE_QUARK(psp-error-quark, psp_error)

/* --- Last error ---------------------------------------------------------- */

static GPrivate psp_last_error_key = G_PRIVATE_INIT(g_free);

void psp_set_last_error(GError *error)
{
    g_private_replace(&psp_last_error_key,
                      error ? g_strdup(error->message) : NULL);
    g_clear_error(&error);
}

const char *psp_last_error(void)
{
    return g_private_get(&psp_last_error_key);
}

/* --- Life ---------------------------------------------------------------- */

/* Does the crypto library do all we need?  Some policies forbid ciphers. */
static bool psp_crypto_works(void)
{
    const uint8_t key[PSP_XTS_KEY_LEN] = { 1 };
    PspXts *xts = psp_xts_new(key);

    psp_xts_free(xts);
    return xts != NULL;
}

PspPlatform *psp_platform_new(const PspHost *host, void *opaque,
                              GError **error)
{
    PspPlatform *psp;

    if (!psp_crypto_works()) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CRYPTO,
                    "libgcrypt does not offer AES-128-XTS");
        return NULL;
    }
    psp_packet_provider();              /* loads its library now, not later */
    psp = g_new0(PspPlatform, 1);
    psp->host = host;
    psp->opaque = opaque;
    psp->rng.fill = host->random;
    psp->rng.opaque = opaque;
    psp->roots = psp_roots_new();
    psp->guests = g_hash_table_new_full(NULL, NULL, NULL,
                                        (GDestroyNotify)psp_guest_free);
    psp_rw_init(&psp->lock);
    return psp;
}

void psp_platform_free(PspPlatform *psp)
{
    if (psp) {
        psp_platform_shutdown(psp);
        g_hash_table_unref(psp->guests);
        psp_roots_free(psp->roots);
        psp_rw_clear(&psp->lock);
        g_free(psp);
    }
}

void psp_platform_shutdown(PspPlatform *psp)
{
    g_hash_table_remove_all(psp->guests);
    for (unsigned asid = 0; asid <= PSP_ASID_MAX; asid++) {
        g_clear_pointer(&psp->asids[asid].key, psp_mem_key_unref);
        psp->asids[asid].dirty = false;
    }
    g_clear_pointer(&psp->identity, psp_identity_free);
    psp->es = false;
    psp->nv_paddr = 0;
    psp->state = PSP_PLATFORM_UNINIT;
}

/* --- Trust --------------------------------------------------------------- */

static void psp_platform_trust_self(PspPlatform *psp)
{
    if (psp->identity) {
        psp_roots_add(psp->roots, "this platform", psp->identity->ark_cert,
                      sizeof(psp->identity->ark_cert), NULL);
    }
}

void psp_platform_trust(PspPlatform *psp, PspRoots *roots)
{
    psp_rw_write_lock(&psp->lock);
    psp_roots_free(psp->roots);
    psp->roots = roots ? roots : psp_roots_new_empty();
    psp_platform_trust_self(psp);
    psp_rw_write_unlock(&psp->lock);
}

/* --- Identity ------------------------------------------------------------ */

static PspStatus psp_platform_save(PspPlatform *psp, const PspIdentity *id)
{
    g_autoptr(GBytes) blob = psp_identity_encode(id);
    GError *error = NULL;

    if (!psp->host->nv_store(psp->opaque, blob, &error)) {
        psp_set_last_error(error);
        return PSP_HWERROR_PLATFORM;
    }
    return PSP_SUCCESS;
}

/* The identity at rest, or a new one; *@changed when it must be saved */
static PspStatus psp_platform_load(PspPlatform *psp, PspIdentity **id,
                                   bool *changed)
{
    g_autoptr(GBytes) blob = NULL;
    GError *error = NULL;

    *changed = false;
    blob = psp->host->nv_load(psp->opaque, &error);
    if (blob) {
        *id = psp_identity_decode(blob, &error);
    } else if (!error) {
        *id = psp_identity_new(&psp->rng);
        *changed = true;
        if (!*id) {
            return PSP_HWERROR_PLATFORM;
        }
    }
    if (error) {
        psp_set_last_error(error);
        return PSP_SECURE_DATA_INVALID;
    }
    if (!(*id)->provisioned) {
        psp_identity_provision(*id, &psp->rng);
        *changed = true;
    }
    return PSP_SUCCESS;
}

/* Has the host just made the area?  It fills files with ones. */
static bool psp_nv_ex_is_blank(const uint8_t *area)
{
    for (size_t i = 1; i < PSP_NV_LEN; i++) {
        if (area[i] != area[0]) {
            return false;
        }
    }
    return area[0] == 0xff || area[0] == 0;
}

/* INIT_EX: the persistent set is not ours to keep but the host's. */
static PspStatus psp_platform_load_ex(PspPlatform *psp, PspIdentity *id,
                                      bool *changed)
{
    g_autofree uint8_t *area = g_malloc(PSP_NV_LEN);

    *changed = false;
    if (!psp_copy_in(psp, psp->nv_paddr, area, PSP_NV_LEN)) {
        return PSP_INVALID_ADDRESS;
    }
    if (psp_nv_ex_is_blank(area)) {
        psp_identity_provision(id, &psp->rng);
        *changed = true;
        return PSP_SUCCESS;
    }
    if (psp_identity_open_owner(id, area)) {
        return PSP_SUCCESS;
    }
    /* The next INIT_EX starts afresh: hosts try twice. */
    memset(area, 0xff, PSP_NV_LEN);
    psp_copy_out(psp, psp->nv_paddr, area, PSP_NV_LEN);
    return PSP_SECURE_DATA_INVALID;
}

static PspStatus psp_platform_save_ex(PspPlatform *psp,
                                      const PspIdentity *id)
{
    g_autofree uint8_t *area = g_malloc(PSP_NV_LEN);

    psp_identity_seal_owner(id, &psp->rng, area);
    return psp_copy_out(psp, psp->nv_paddr, area, PSP_NV_LEN)
           ? PSP_SUCCESS : PSP_INVALID_ADDRESS;
}

/* psp_platform_update() under the lock of the persistent area */
static PspStatus psp_platform_update_locked(PspPlatform *psp,
                                            PspIdentityChange change,
                                            void *opaque, PspIdentity **id)
{
    bool changed;
    PspStatus status = psp_platform_load(psp, id, &changed);

    if (status == PSP_SUCCESS && psp->nv_paddr) {
        if (changed) {
            status = psp_platform_save(psp, *id);
        }
        if (status == PSP_SUCCESS) {
            status = psp_platform_load_ex(psp, *id, &changed);
        }
    }
    if (status == PSP_SUCCESS && change) {
        status = change(psp, *id, opaque);
        changed = true;
    }
    if (status == PSP_SUCCESS && changed) {
        status = psp->nv_paddr ? psp_platform_save_ex(psp, *id)
                               : psp_platform_save(psp, *id);
    }
    return status;
}

PspStatus psp_platform_update(PspPlatform *psp, PspIdentityChange change,
                              void *opaque)
{
    g_autoptr(PspIdentity) id = NULL;
    GError *error = NULL;
    PspStatus status;

    if (!psp->host->nv_lock(psp->opaque, &error)) {
        psp_set_last_error(error);
        return PSP_HWERROR_PLATFORM;
    }
    status = psp_platform_update_locked(psp, change, opaque, &id);
    psp->host->nv_unlock(psp->opaque);
    if (status == PSP_SUCCESS) {
        psp_identity_free(psp->identity);
        psp->identity = g_steal_pointer(&id);
        psp_platform_trust_self(psp);
    }
    return status;
}
