/*
 * query-sev-platform-certs, what a source must know of this platform, and
 * x-query-sev-page-map.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-sev-overlay.h"
#include "qapi/qapi-commands-sev-overlay-target.h"
#include "target/i386/sev/transfer.h"

SevPageMapInfo *qmp_x_query_sev_page_map(Error **errp)
{
    return sev_page_map_compare(errp);
}

SevPlatformCertificates *qmp_query_sev_platform_certs(Error **errp)
{
    g_auto(SevPlatformCerts) own = { 0 };
    g_autofree char *fingerprint = NULL;
    SevPlatformCertificates *out;

    if (!sev_platform_chain(&own, errp)) {
        return NULL;
    }
    fingerprint = sev_certs_fingerprint(&own, errp);
    if (!fingerprint) {
        return NULL;
    }
    out = g_new0(SevPlatformCertificates, 1);
    out->fingerprint = g_steal_pointer(&fingerprint);
    out->sev_pdh = g_base64_encode(own.pdh, own.pdh_len);
    out->sev_plat_cert = g_base64_encode(own.plat, own.plat_len);
    out->sev_amd_cert = g_base64_encode(own.amd, own.amd_len);
    out->missing = sev_certs_lack(&own);
    return out;
}
