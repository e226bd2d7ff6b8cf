/*
 * Platform certificates: ours, and whether another platform's are good.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/psp-sev.h>
#include "qemu/error-report.h"
#include "cpu.h"
#include "target/i386/sev.h"
#include "target/i386/sev/backend/backend.h"
#include "hw/psp/psp-store.h"
#include "platform-chain.h"
#include "sev-guest.h"
#include "trace.h"

/* A blob of the firmware's is not longer (Linux: SEV_FW_BLOB_MAX_SIZE). */
#define CERTS_MAX 16384

void sev_platform_certs_clear(SevPlatformCerts *certs)
{
    g_clear_pointer(&certs->pdh, g_free);
    g_clear_pointer(&certs->plat, g_free);
    g_clear_pointer(&certs->amd, g_free);
    certs->pdh_len = certs->plat_len = certs->amd_len = 0;
}

bool sev_platform_certs(SevPlatformCerts *certs, Error **errp)
{
    struct sev_user_data_pdh_cert_export export = {};
    g_auto(SevPlatformFd) platform = { .fd = -1 };
    int fw_error = 0;

    sev_platform_certs_clear(certs);
    if (!sev_platform_open(&platform, errp)) {
        return false;
    }
    /* Buffers of no length: the answer is an error, and their lengths */
    if (sev_platform_cmd(&platform, SEV_PDH_CERT_EXPORT, &export, &fw_error) &&
        fw_error != SEV_RET_INVALID_LEN) {
        sev_fw_failed(errp, "PDH_CERT_EXPORT", errno, fw_error);
        return false;
    }
    if (!export.pdh_cert_len || export.pdh_cert_len > CERTS_MAX ||
        !export.cert_chain_len || export.cert_chain_len > CERTS_MAX) {
        error_setg(errp, "SEV: PDH_CERT_EXPORT offers certificates of %u and "
                   "%u bytes, not 1 to %d", export.pdh_cert_len,
                   export.cert_chain_len, CERTS_MAX);
        return false;
    }
    certs->pdh_len = export.pdh_cert_len;
    certs->pdh = g_malloc(certs->pdh_len);
    certs->plat_len = export.cert_chain_len;
    certs->plat = g_malloc(certs->plat_len);
    export.pdh_cert_address = (uintptr_t)certs->pdh;
    export.cert_chain_address = (uintptr_t)certs->plat;
    if (sev_platform_cmd(&platform, SEV_PDH_CERT_EXPORT, &export, &fw_error)) {
        sev_fw_failed(errp, "PDH_CERT_EXPORT", errno, fw_error);
        return false;
    }
    return sev_backend_amd_chain(&certs->amd, &certs->amd_len, errp);
}

bool sev_certs_check(SevCertPart part, const uint8_t *data, size_t len,
                     Error **errp)
{
    PspChain chain = {
        .pdh = part == SEV_CERT_PDH ? data : NULL, .pdh_len = len,
        .plat = part == SEV_CERT_PLAT ? data : NULL, .plat_len = len,
        .amd = part == SEV_CERT_AMD ? data : NULL, .amd_len = len,
    };
    g_autoptr(GError) err = NULL;

    if (!psp_chain_formed(&chain, &err)) {
        error_setg(errp, "%s", err->message);
        return false;
    }
    return true;
}

char *sev_certs_fingerprint(const SevPlatformCerts *certs, Error **errp)
{
    g_autoptr(GError) err = NULL;
    char *hex = psp_fingerprint(certs->pdh, certs->pdh_len, &err);

    if (!hex) {
        error_setg(errp, "SEV: PDH certificate: %s", err->message);
    }
    return hex;
}

PspChain sev_certs_chain(const SevPlatformCerts *c)
{
    return (PspChain) {
        .pdh = c->pdh, .pdh_len = c->pdh_len,
        .plat = c->plat, .plat_len = c->plat_len,
        .amd = c->amd, .amd_len = c->amd_len,
    };
}

char *sev_certs_chip(const SevPlatformCerts *certs, Error **errp)
{
    PspChain chain = sev_certs_chain(certs);
    g_autoptr(GError) err = NULL;
    char *hex = psp_chain_chip(&chain, &err);

    if (!hex) {
        error_setg(errp, "SEV: CEK certificate: %s", err->message);
    }
    return hex;
}

static bool refused(const char *reason)
{
    trace_sev_certs_refused(reason);
    return false;
}

/* What is wrong, and what helps with that */
static void untrusted(Error **errp, const GError *err, const char *dir,
                      size_t roots)
{
    if (g_error_matches(err, PSP_ERROR, PSP_ERROR_ROOT)) {
        error_setg(errp, "SEV: the target platform is not trusted: %s; trusted "
                   "are AMD's roots and the certificates in '%s' (%zu roots in "
                   "all), where 'sev-psp%s root trust' puts them",
                   err->message, dir, roots,
                   sev_backend_is_software() ? "" : " --hardware");
    } else if (g_error_matches(err, PSP_ERROR, PSP_ERROR_LACKS)) {
        error_setg(errp, "SEV: the target platform cannot be checked: %s; "
                   "'sev-psp chain import' on the target makes its chain whole, "
                   "or migration parameters sev-pdh, sev-plat-cert and "
                   "sev-amd-cert here name all of it", err->message);
    } else {
        error_setg(errp, "SEV: the target platform is not trusted: %s",
                   err->message);
    }
}

/* A root that the operator, or this host's own chip, put there. */
static bool chain_trusted(const PspChain *chain, Error **errp)
{
    g_autofree char *config = sev_backend_config_dir();
    g_autofree char *dir = g_build_filename(config, PSP_CONFIG_ROOTS, NULL);
    g_autoptr(PspRoots) roots = psp_roots_new();
    g_autoptr(GError) err = NULL;

    if (!psp_roots_add_dir(roots, dir, &err)) {
        error_setg(errp, "SEV: trusted roots: %s", err->message);
        return refused("roots");
    }
    if (!psp_chain_verify(chain, roots, NULL, &err)) {
        untrusted(errp, err, dir, psp_roots_count(roots));
        return refused("chain");
    }
    return true;
}

static bool chain_fits_policy(const PspChain *chain, Error **errp)
{
    g_auto(SevGuestIdentity) id = {};
    g_auto(SevPlatformCerts) own = {};
    PspChain own_chain;
    uint8_t major, minor;

    sev_guest_identity(&id);
    if (!psp_chain_api(chain, &major, &minor)) {
        error_setg(errp, "SEV: the target's PEK certificate names no API");
        return refused("api");
    }
    if (major < PSP_POLICY_API_MAJOR(id.policy) ||
        (major == PSP_POLICY_API_MAJOR(id.policy) &&
         minor < PSP_POLICY_API_MINOR(id.policy))) {
        error_setg(errp, "SEV: the guest's policy asks for API %u.%u or newer,"
                   " the target has %u.%u", PSP_POLICY_API_MAJOR(id.policy),
                   PSP_POLICY_API_MINOR(id.policy), major, minor);
        return refused("api");
    }
    if (!(id.policy & SEV_POLICY_DOMAIN)) {
        return true;
    }
    if (!sev_platform_certs(&own, errp)) {
        return false;
    }
    own_chain = sev_certs_chain(&own);
    if (!psp_chain_same_owner(chain, &own_chain)) {
        error_setg(errp, "SEV: the guest's policy keeps it in its owner's "
                   "domain (DOMAIN), the target has another owner (OCA; "
                   "'sev-psp owner' changes it)");
        return refused("domain");
    }
    return true;
}

bool sev_certs_trusted(const SevPlatformCerts *target, Error **errp)
{
    PspChain chain = sev_certs_chain(target);
    g_auto(SevGuestIdentity) id = {};

    sev_guest_identity(&id);
    if (!(id.policy & SEV_POLICY_SEV)) {
        warn_report_once("The policy 0x%x of this SEV guest lacks bit 5 (SEV):"
                         " the secure processor would seal it to anybody, only"
                         " QEMU checks the target's certificates", id.policy);
    }
    return chain_trusted(&chain, errp) && chain_fits_policy(&chain, errp);
}
