/*
 * Targets without SEV: the answers of sev.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-sev-overlay.h"
#include "qapi/qapi-commands-sev-overlay-target.h"
#include "sev.h"

bool sev_migration_on;

/* Only sev.c calls it, which such a target lacks. */
bool sev_migration_init(Error **errp)
{
    return true;
}

bool sev_migration_may_run(Error **errp)
{
    return true;
}

bool sev_migration_may_start(void)
{
    return true;
}

bool sev_migration_reset_is_ours(void)
{
    return false;
}

bool sev_migration_hand_over(MigrationState *s)
{
    return true;
}

bool sev_migration_is_given(MigrationState *s)
{
    return false;
}

bool sev_migration_may_cancel(Error **errp)
{
    return true;
}

bool sev_migration_queue_page(RAMBlock *rb, ram_addr_t offset)
{
    return false;
}

bool sev_migration_queue_full(void)
{
    return false;
}

bool sev_migration_wants_return_path(MigrationState *s)
{
    return false;
}

bool sev_rp_message(MigrationState *s, QEMUFile *rp, uint16_t type,
                    uint16_t len, Error **errp)
{
    return false;
}

bool sev_template_may_cut(int fd, uint64_t offset, Error **errp)
{
    return true;
}

void sev_load_other_machine(const char *theirs, uint32_t len,
                            const char *ours)
{
}

void sev_load_section(const char *idstr)
{
}

bool sev_load_end(int ret, Error **errp)
{
    return true;
}

void sev_migration_populate_info(MigrationInfo *info)
{
}

bool sev_caps_check(const bool *caps, Error **errp)
{
    return true;
}

bool sev_params_set(const SevMigrationParameters *p, Error **errp)
{
    if (p->sev_pdh || p->sev_plat_cert || p->sev_amd_cert ||
        p->has_sev_allowed_platforms || p->has_sev_template_open) {
        error_setg(errp, "SEV: not in this QEMU: migration parameters sev-* "
                   "mean nothing");
        return false;
    }
    return true;
}

void sev_multifd_ended(unsigned channel, Error **errp)
{
}

void sev_params_query(SevMigrationParameters *p)
{
}

void sev_params_from_hmp(MigrateSetParameters *p, MigrationParameter param,
                         const char *value, Error **errp)
{
    error_setg(errp, "SEV: not in this QEMU: '%s' means nothing",
               MigrationParameter_str(param));
}

void sev_params_print(Monitor *mon)
{
}

void sev_migration_print(Monitor *mon, const MigrationInfo *info)
{
}

#ifdef TARGET_I386
SevLaneInfo *qmp_query_sev_lane(Error **errp)
{
    return g_new0(SevLaneInfo, 1);
}

SevPlatformCertificates *qmp_query_sev_platform_certs(Error **errp)
{
    error_setg(errp, "SEV: not in this QEMU");
    return NULL;
}
#endif

SevPageMapInfo *qmp_x_query_sev_page_map(Error **errp)
{
    error_setg(errp, "SEV: not for this target");
    return NULL;
}

SevTemplateInfo *qmp_query_sev_template(const char *path, const char *ram,
                                        const char *wrap, bool has_verify,
                                        bool verify, Error **errp)
{
    error_setg(errp, "SEV: not in this QEMU");
    return NULL;
}

SevWrapInfo *qmp_sev_template_wrap(const char *path, const char *wrap,
                                   Error **errp)
{
    error_setg(errp, "SEV: not in this QEMU");
    return NULL;
}

SevWrapInfo *qmp_sev_template_use_wrap(const char *wrap, Error **errp)
{
    error_setg(errp, "SEV: not in this QEMU");
    return NULL;
}
