/*
 * This platform's whole chain, and what certificates lack of one.
 *
 * A real chip exports its CEK without the signature of AMD's ASK, and knows
 * neither ASK nor ARK.  AMD publishes them; the operator keeps them in a file.
 * What the chip exports now wins over that file: it may have a new PDH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "target/i386/sev/backend/backend.h"
#include "hw/psp/psp-store.h"
#include "platform-chain.h"

/* One guest per process: the machine has one guest object. */
static char *chain_file;

static char *chain_path(void)
{
    g_autofree char *dir = NULL;

    if (chain_file) {
        return g_strdup(chain_file);
    }
    dir = sev_backend_config_dir();
    return g_build_filename(dir, PSP_CONFIG_CHAIN, NULL);
}

/* How the operator makes the file */
static const char *chain_command(void)
{
    return sev_backend_is_software() ? "sev-psp chain import"
                                     : "sev-psp --hardware chain import";
}

/* --- Parts ---------------------------------------------------------------- */

char *sev_certs_lack(const SevPlatformCerts *certs)
{
    PspChain chain = sev_certs_chain(certs);
    g_autoptr(GError) err = NULL;

    return psp_chain_whole(&chain, &err) ? NULL : g_strdup(err->message);
}

static bool fill(SevPlatformCerts *certs, const PspChain *from, GError **error)
{
    PspChain chain = sev_certs_chain(certs);

    if (!psp_chain_fill(&chain, certs->plat, from, error)) {
        return false;
    }
    if (chain.amd != certs->amd) {
        g_free(certs->amd);
        certs->amd = g_memdup2(chain.amd, chain.amd_len);
        certs->amd_len = chain.amd_len;
    }
    return true;
}

bool sev_certs_fill(SevPlatformCerts *certs, const SevPlatformCerts *known,
                    Error **errp)
{
    PspChain from = sev_certs_chain(known);
    g_autoptr(GError) err = NULL;

    if (!fill(certs, &from, &err)) {
        error_setg(errp, "%s", err->message);
        return false;
    }
    return true;
}

/* --- This platform -------------------------------------------------------- */

static bool fill_from_file(SevPlatformCerts *certs, const char *path,
                           GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    PspChain file, chain;

    if (!psp_chain_load(path, &bytes, &file, error)) {
        return false;
    }
    if (fill(certs, &file, error)) {
        chain = sev_certs_chain(certs);
        if (psp_chain_whole(&chain, error)) {
            return true;
        }
    }
    g_prefix_error(error, "'%s': ", path);
    return false;
}

/* As the chip exports them, when nobody has made a file yet. */
static bool complete(SevPlatformCerts *certs, Error **errp)
{
    g_autofree char *lack = sev_certs_lack(certs);
    g_autofree char *path = NULL;
    g_autoptr(GError) err = NULL;

    if (!lack) {
        return true;
    }
    path = chain_path();
    if (!chain_file && access(path, F_OK) < 0 && errno == ENOENT) {
        return true;
    }
    if (!fill_from_file(certs, path, &err)) {
        error_setg(errp, "SEV: the chain of this platform: %s; '%s' makes "
                   "another", err->message, chain_command());
        return false;
    }
    return true;
}

bool sev_platform_chain(SevPlatformCerts *certs, Error **errp)
{
    return sev_platform_certs(certs, errp) && complete(certs, errp);
}

bool sev_certs_complete_own(SevPlatformCerts *certs, Error **errp)
{
    g_autofree char *lack = NULL;
    g_autofree char *path = NULL;

    if (!complete(certs, errp)) {
        return false;
    }
    lack = sev_certs_lack(certs);
    if (lack) {
        path = chain_path();
        error_setg(errp, "SEV: a guest cannot be sealed to this platform as "
                   "its chip exports its certificates: %s; '%s' makes the whole "
                   "chain, '%s'", lack, chain_command(), path);
    }
    return !lack;
}

/* --- The property --------------------------------------------------------- */

static char *get_platform_chain(Object *obj, Error **errp)
{
    return g_strdup(chain_file ?: "");
}

static void set_platform_chain(Object *obj, const char *value, Error **errp)
{
    g_free(chain_file);
    chain_file = *value ? g_strdup(value) : NULL;
}

void sev_chain_class_init(ObjectClass *oc)
{
    object_class_property_add_str(oc, "platform-chain", get_platform_chain,
                                  set_platform_chain);
    object_class_property_set_description(oc, "platform-chain",
        "file with this platform's whole certificate chain");
}
