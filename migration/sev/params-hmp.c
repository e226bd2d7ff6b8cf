/*
 * Migration parameters of an SEV guest from a line of HMP.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/util.h"
#include "params.h"
#include "migration/sev/wire/record.h"
#include "sev.h"

/* Far above what fits on any stream. */
#define FILE_MAX        (4 * SEV_RECORD_AMD_MAX)

/* A line of HMP cannot hold a certificate, so there it is the name of a file. */
static char *file_text(const char *param, const char *path, Error **errp)
{
    g_autoptr(GError) gerr = NULL;
    g_autofree char *text = NULL;
    struct stat st;
    gsize len;

    if (!*path) {
        return g_strdup("");
    }
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        error_setg(errp, "SEV: migration parameter '%s': '%s' is no file of "
                   "base64 text, at most %d bytes",
                   param, path, FILE_MAX);
        return NULL;
    }
    if (!g_file_get_contents(path, &text, &len, &gerr)) {
        error_setg(errp, "SEV: migration parameter '%s': %s", param,
                   gerr->message);
        return NULL;
    }
    return g_strdup(g_strstrip(text));
}

/* "A,B,C" */
static void platforms_from_hmp(const char *value, bool *has, strList **list)
{
    g_auto(GStrv) words = g_strsplit(value, ",", SEV_PARAMS_PLATFORMS_MAX + 1);

    *has = true;
    for (guint i = g_strv_length(words); i > 0; i--) {
        QAPI_LIST_PREPEND(*list, g_strdup(words[i - 1]));
    }
}

void sev_params_from_hmp(MigrateSetParameters *p, MigrationParameter param,
                         const char *value, Error **errp)
{
    const char *name = MigrationParameter_str(param);
    int open, ack, method;

    switch (param) {
    case MIGRATION_PARAMETER_SEV_PDH:
        p->sev_pdh = file_text(name, value, errp);
        break;
    case MIGRATION_PARAMETER_SEV_PLAT_CERT:
        p->sev_plat_cert = file_text(name, value, errp);
        break;
    case MIGRATION_PARAMETER_SEV_AMD_CERT:
        p->sev_amd_cert = file_text(name, value, errp);
        break;
    case MIGRATION_PARAMETER_SEV_ALLOWED_PLATFORMS:
        platforms_from_hmp(value, &p->has_sev_allowed_platforms,
                           &p->sev_allowed_platforms);
        break;
    case MIGRATION_PARAMETER_SEV_ALLOWED_SOURCES:
        platforms_from_hmp(value, &p->has_sev_allowed_sources,
                           &p->sev_allowed_sources);
        break;
    case MIGRATION_PARAMETER_SEV_REFUSE_REPLAY:
        p->has_sev_refuse_replay = qapi_bool_parse(name, value,
                                                   &p->sev_refuse_replay, errp);
        break;
    case MIGRATION_PARAMETER_SEV_TEMPLATE_OPEN:
        open = qapi_enum_parse(&SevTemplateOpen_lookup, value, -1, errp);
        p->has_sev_template_open = open >= 0;
        p->sev_template_open = MAX(open, 0);
        break;
    case MIGRATION_PARAMETER_SEV_ACKNOWLEDGEMENT:
        ack = qapi_enum_parse(&SevAcknowledgement_lookup, value, -1, errp);
        p->has_sev_acknowledgement = ack >= 0;
        p->sev_acknowledgement = MAX(ack, 0);
        break;
    case MIGRATION_PARAMETER_SEV_METHOD:
        method = qapi_enum_parse(&SevSealMethod_lookup, value, -1, errp);
        p->has_sev_method = method >= 0;
        p->sev_method = MAX(method, 0);
        break;
    default:
        error_setg(errp, "SEV: migration parameter '%s' cannot be set here",
                   name);
    }
}
