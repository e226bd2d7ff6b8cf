/*
 * Migration parameters of an SEV guest: whom it may be sealed to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/base64.h"
#include "monitor/monitor.h"
#include "qapi/util.h"
#include "params.h"
#include "migration/sev/wire/record.h"
#include "sev.h"

static struct {
    SevPlatformCerts certs;
    GPtrArray *allowed;         /* of fingerprints; NULL: every platform */
    GPtrArray *sources;         /* the same, of those that may send */
    bool refuse_replay, has_refuse_replay;
    SevTemplateOpen template_open;
    bool has_template_open;     /* it was set */
    SevAcknowledgement acknowledgement;
    bool has_acknowledgement;   /* it was set */
    SevSealMethod method;
    bool has_method;            /* it was set */
} params;

/* --- Values from outside ---------------------------------------------------- */

typedef struct NewCert {
    const char *field;
    SevCertPart part;
    const char *text;           /* NULL: leave as it is; "": clear */
    uint8_t **slot;             /* in params.certs */
    size_t *slot_len;
    uint8_t *data;
    size_t len;
} NewCert;

static bool cert_decode(NewCert *new, Error **errp)
{
    ERRP_GUARD();

    if (!new->text || !*new->text) {
        return true;
    }
    new->data = qbase64_decode(new->text, -1, &new->len, errp);
    if (new->data && sev_certs_check(new->part, new->data, new->len, errp)) {
        return true;
    }
    error_prepend(errp, "SEV: migration parameter '%s': ", new->field);
    return false;
}

static void cert_apply(NewCert *new)
{
    if (new->text) {
        g_free(*new->slot);
        *new->slot = g_steal_pointer(&new->data);
        *new->slot_len = new->len;
    }
}

static bool platforms_decode(const char *field, const strList *list,
                             GPtrArray **allowed, Error **errp)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);

    for (; list; list = list->next) {
        size_t len = strspn(list->value, "0123456789abcdefABCDEF");

        if (len != SEV_RECORD_FINGERPRINT_LEN || list->value[len]) {
            error_setg(errp, "SEV: migration parameter '%s': '%.80s' is not a "
                       "fingerprint of %d hex digits", field, list->value,
                       SEV_RECORD_FINGERPRINT_LEN);
            return false;
        }
        if (out->len == SEV_PARAMS_PLATFORMS_MAX) {
            error_setg(errp, "SEV: migration parameter '%s': more than %d "
                       "platforms", field, SEV_PARAMS_PLATFORMS_MAX);
            return false;
        }
        g_ptr_array_add(out, g_ascii_strdown(list->value, -1));
    }
    *allowed = out->len ? g_steal_pointer(&out) : NULL;
    return true;
}

/* Takes over what @new has. */
static void platforms_apply(GPtrArray **list, GPtrArray **new)
{
    g_clear_pointer(list, g_ptr_array_unref);
    *list = g_steal_pointer(new);
}

bool sev_params_set(const SevMigrationParameters *p, Error **errp)
{
    SevPlatformCerts *certs = &params.certs;
    NewCert new[] = {
        { "sev-pdh", SEV_CERT_PDH, p->sev_pdh, &certs->pdh, &certs->pdh_len },
        { "sev-plat-cert", SEV_CERT_PLAT, p->sev_plat_cert, &certs->plat,
          &certs->plat_len },
        { "sev-amd-cert", SEV_CERT_AMD, p->sev_amd_cert, &certs->amd,
          &certs->amd_len },
    };
    g_autoptr(GPtrArray) allowed = NULL;
    g_autoptr(GPtrArray) sources = NULL;
    bool good = true;

    for (size_t i = 0; good && i < ARRAY_SIZE(new); i++) {
        good = cert_decode(&new[i], errp);
    }
    good = good && platforms_decode("sev-allowed-platforms",
                                    p->sev_allowed_platforms, &allowed, errp);
    good = good && platforms_decode("sev-allowed-sources",
                                    p->sev_allowed_sources, &sources, errp);
    for (size_t i = 0; i < ARRAY_SIZE(new); i++) {
        if (good) {
            cert_apply(&new[i]);
        }
        g_free(new[i].data);
    }
    if (good && p->has_sev_allowed_platforms) {
        platforms_apply(&params.allowed, &allowed);
    }
    if (good && p->has_sev_allowed_sources) {
        platforms_apply(&params.sources, &sources);
    }
    if (good && p->has_sev_refuse_replay) {
        params.refuse_replay = p->sev_refuse_replay;
        params.has_refuse_replay = true;
    }
    if (good && p->has_sev_template_open) {
        params.template_open = p->sev_template_open;
        params.has_template_open = true;
    }
    if (good && p->has_sev_acknowledgement) {
        params.acknowledgement = p->sev_acknowledgement;
        params.has_acknowledgement = true;
    }
    if (good && p->has_sev_method) {
        params.method = p->sev_method;
        params.has_method = true;
    }
    return good;
}

static strList *platforms_list(const GPtrArray *platforms)
{
    strList *list = NULL, **tail = &list;

    for (guint i = 0; platforms && i < platforms->len; i++) {
        QAPI_LIST_APPEND(tail, g_strdup(platforms->pdata[i]));
    }
    return list;
}

void sev_params_query(SevMigrationParameters *p)
{
    const SevPlatformCerts *c = &params.certs;

    p->sev_pdh = c->pdh ? g_base64_encode(c->pdh, c->pdh_len) : NULL;
    p->sev_plat_cert = c->plat ? g_base64_encode(c->plat, c->plat_len) : NULL;
    p->sev_amd_cert = c->amd ? g_base64_encode(c->amd, c->amd_len) : NULL;
    p->has_sev_template_open = params.has_template_open;
    p->sev_template_open = params.template_open;
    p->has_sev_acknowledgement = params.has_acknowledgement;
    p->sev_acknowledgement = params.acknowledgement;
    p->has_sev_method = params.has_method;
    p->sev_method = params.method;
    p->has_sev_allowed_platforms = params.allowed;
    p->sev_allowed_platforms = platforms_list(params.allowed);
    p->has_sev_allowed_sources = params.sources;
    p->sev_allowed_sources = platforms_list(params.sources);
    p->has_sev_refuse_replay = params.has_refuse_replay;
    p->sev_refuse_replay = params.refuse_replay;
}

/* --- Who receives ------------------------------------------------------------ */

bool sev_params_certs(const SevPlatformCerts **certs, Error **errp)
{
    const SevPlatformCerts *c = &params.certs;

    if (!c->pdh && !c->plat && !c->amd) {
        return false;
    }
    if (!c->pdh || !c->plat || !c->amd) {
        error_setg(errp, "SEV: migration parameter '%s' is not set: the "
                   "target's certificates are sev-pdh, sev-plat-cert and "
                   "sev-amd-cert, all three; query-sev-platform-certs on the "
                   "target tells them, the last one after 'sev-psp chain "
                   "import' there if it is a real chip's", !c->pdh ? "sev-pdh" :
                   !c->plat ? "sev-plat-cert" : "sev-amd-cert");
        return false;
    }
    *certs = c;
    return true;
}

static bool platform_listed(const GPtrArray *list, const char *fingerprint,
                            const char *who, const char *field, Error **errp)
{
    for (guint i = 0; list && i < list->len; i++) {
        if (g_str_equal(list->pdata[i], fingerprint)) {
            return true;
        }
    }
    if (list) {
        error_setg(errp, "SEV: the %s platform %s is not among the %u of "
                   "migration parameter '%s'", who, fingerprint, list->len,
                   field);
    }
    return !list;
}

bool sev_params_allowed(const char *fingerprint, Error **errp)
{
    return platform_listed(params.allowed, fingerprint, "target",
                           "sev-allowed-platforms", errp);
}

/* --- Who sends ---------------------------------------------------------------- */

bool sev_params_source_allowed(const char *fingerprint, Error **errp)
{
    return platform_listed(params.sources, fingerprint, "source",
                           "sev-allowed-sources", errp);
}

bool sev_params_refuse_replay(void)
{
    return params.refuse_replay;
}

SevTemplateOpen sev_params_template_open(void)
{
    return params.template_open;
}

SevAcknowledgement sev_params_acknowledgement(void)
{
    return params.acknowledgement;
}

SevSealMethod sev_params_method(void)
{
    return params.method;
}

/* --- Monitors ----------------------------------------------------------------- */

static void platforms_print(Monitor *mon, const char *field,
                            const GPtrArray *list)
{
    for (guint i = 0; list && i < list->len; i++) {
        monitor_printf(mon, "%s: %s\n", field, (char *)list->pdata[i]);
    }
}

void sev_params_print(Monitor *mon)
{
    g_autofree char *fingerprint = NULL;
    const SevPlatformCerts *c = &params.certs;

    if (c->pdh) {
        fingerprint = sev_certs_fingerprint(c, NULL);
        monitor_printf(mon, "sev-pdh: of platform %s\n", fingerprint);
    }
    if (c->plat) {
        monitor_printf(mon, "sev-plat-cert: %zu bytes\n", c->plat_len);
    }
    if (c->amd) {
        monitor_printf(mon, "sev-amd-cert: %zu bytes\n", c->amd_len);
    }
    if (params.has_template_open) {
        monitor_printf(mon, "sev-template-open: %s\n",
                       SevTemplateOpen_str(params.template_open));
    }
    if (params.has_acknowledgement) {
        monitor_printf(mon, "sev-acknowledgement: %s\n",
                       SevAcknowledgement_str(params.acknowledgement));
    }
    if (params.has_method) {
        monitor_printf(mon, "sev-method: %s\n", SevSealMethod_str(params.method));
    }
    if (params.has_refuse_replay) {
        monitor_printf(mon, "sev-refuse-replay: %s\n",
                       params.refuse_replay ? "on" : "off");
    }
    platforms_print(mon, "sev-allowed-platforms", params.allowed);
    platforms_print(mon, "sev-allowed-sources", params.sources);
}
