/*
 * What a chip hands out of its upper certificates, and what its maker's web
 * service has of them.
 *
 * A real chip exports its CEK without the ASK's signature and knows neither
 * ASK nor ARK.  This one knows all of them; it hands them out unless it was
 * told to behave as silicon.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "platform.h"

/*
 * Use the identity for a moment, made if there is none, whatever state the
 * platform is in.
 */
static bool psp_identity_borrow(PspPlatform *psp, GError **error)
{
    PspStatus status = PSP_SUCCESS;

    psp_set_last_error(NULL);
    psp_rw_write_lock(&psp->lock);
    if (!psp->identity) {
        status = psp_platform_update(psp, NULL, NULL);
    }
    if (status == PSP_SUCCESS) {
        return true;
    }
    psp_rw_write_unlock(&psp->lock);
    g_set_error(error, PSP_ERROR, PSP_ERROR_STORE, "%s",
                psp_last_error() ?: psp_status_name(status));
    return false;
}

static void psp_identity_give_back(PspPlatform *psp)
{
    if (psp->state == PSP_PLATFORM_UNINIT) {
        g_clear_pointer(&psp->identity, psp_identity_free);
    }
    psp_rw_write_unlock(&psp->lock);
}

static GBytes *psp_identity_amd(const PspIdentity *id)
{
    uint8_t amd[2 * PSP_AMD_CERT_LEN_2048];

    memcpy(amd, id->ask_cert, sizeof(id->ask_cert));
    memcpy(amd + sizeof(id->ask_cert), id->ark_cert, sizeof(id->ark_cert));
    return g_bytes_new(amd, sizeof(amd));
}

bool psp_platform_amd_chain(PspPlatform *psp, GBytes **amd, GError **error)
{
    if (!psp_identity_borrow(psp, error)) {
        return false;
    }
    *amd = psp->identity->silicon ? g_bytes_new(NULL, 0)
                                  : psp_identity_amd(psp->identity);
    psp_identity_give_back(psp);
    return true;
}

bool psp_platform_published(PspPlatform *psp, GBytes **cek, GBytes **amd,
                            GError **error)
{
    if (!psp_identity_borrow(psp, error)) {
        return false;
    }
    *cek = g_bytes_new(&psp->identity->cek_cert, PSP_CERT_LEN);
    *amd = psp_identity_amd(psp->identity);
    psp_identity_give_back(psp);
    return true;
}

static PspStatus psp_change_silicon(PspPlatform *psp, PspIdentity *id,
                                    void *opaque)
{
    id->silicon = *(bool *)opaque;
    return PSP_SUCCESS;
}

bool psp_platform_set_silicon(PspPlatform *psp, bool silicon, GError **error)
{
    PspStatus status = PSP_INVALID_PLATFORM_STATE;

    psp_set_last_error(NULL);
    psp_rw_write_lock(&psp->lock);
    if (psp->state == PSP_PLATFORM_UNINIT) {
        status = psp_platform_update(psp, psp_change_silicon, &silicon);
        g_clear_pointer(&psp->identity, psp_identity_free);
    }
    psp_rw_write_unlock(&psp->lock);
    if (status != PSP_SUCCESS) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_STORE, "%s",
                    psp_last_error() ?: psp_status_name(status));
    }
    return status == PSP_SUCCESS;
}
