/*
 * What an SEV guest cannot migrate with, and why.
 *
 * A row is here because the feature would read or write private pages behind
 * the secure processor's back, or needs the guest in two places at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "system/runstate.h"
#include "target/i386/sev/transfer.h"
#include "compat.h"
#include "migration/sev/template/in-place.h"
#include "sev.h"
#include "migration/sev/template/template.h"
#include "trace.h"

typedef struct Refused {
    MigrationCapability cap;
    const char *why;
    bool template_may;          /* then the guest becomes one: template_check() */
} Refused;

static const Refused refused[] = {
    { MIGRATION_CAPABILITY_POSTCOPY_RAM,
      "the firmware cannot receive a page into a running guest" },
    { MIGRATION_CAPABILITY_X_COLO,
      "the firmware cannot keep two copies of a guest running" },
    { MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT,
      "its pages would bypass the firmware" },
    { MIGRATION_CAPABILITY_XBZRLE,
      "its cache does not see pages that become private and shared again" },
    { MIGRATION_CAPABILITY_ZERO_COPY_SEND,
      "a packet's buffer is used again while the kernel still sends it" },
    { MIGRATION_CAPABILITY_MAPPED_RAM,
      "its fixed offsets have no room for packet headers" },
    { MIGRATION_CAPABILITY_X_IGNORE_SHARED,
      "memory that stays behind is encrypted with a key that stays behind",
      .template_may = true },
};

static bool template_check(Error **errp)
{
    if (runstate_is_live(runstate_get())) {
        error_setg(errp, "SEV: a template is made of a stopped guest: 'stop' "
                   "first%s", sev_place_wanted() ? " ('x-ignore-shared' seals "
                   "the guest in the file of its memory)" : "");
        return false;
    }
    if (migrate_multifd()) {
        error_setg(errp, "SEV: a template is written by one thread: unset "
                   "capability 'multifd'");
        return false;
    }
    if (migrate_return_path()) {
        error_setg(errp, "SEV: a template has no return path: unset capability "
                   "'return-path'");
        return false;
    }
    return true;
}

static void refuse(const Refused *r, Error **errp)
{
    error_setg(errp, "SEV: the guest cannot be migrated with capability '%s': "
               "%s", MigrationCapability_str(r->cap), r->why);
}

bool sev_caps_check(const bool *caps, Error **errp)
{
    for (size_t i = 0; sev_migration_on && i < ARRAY_SIZE(refused); i++) {
        if (caps[refused[i].cap] && !refused[i].template_may) {
            refuse(&refused[i], errp);
            trace_sev_migration_refused("capability", refused[i].why);
            return false;
        }
    }
    return true;
}

bool sev_compat_check(Error **errp)
{
    ERRP_GUARD();
    MigrationState *s = migrate_get_current();

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (s->capabilities[refused[i].cap] && !refused[i].template_may) {
            refuse(&refused[i], errp);
            goto no;
        }
    }
    if (migrate_multifd() && migrate_multifd_compression()) {
        error_setg(errp, "SEV: the guest cannot be migrated with "
                   "multifd-compression '%s': ciphertext does not shrink",
                   MultiFDCompression_str(migrate_multifd_compression()));
        goto no;
    }
    if (migrate_mode() != MIG_MODE_NORMAL) {
        error_setg(errp, "SEV: the guest cannot be migrated in mode '%s': its "
                   "key would not survive", MigMode_str(migrate_mode()));
        goto no;
    }
    if (sev_template_making() && !template_check(errp)) {
        goto no;
    }
    if (!sev_guest_can_send(errp)) {
        goto no;
    }
    return true;

no:
    trace_sev_migration_refused("prepare", error_get_pretty(*errp));
    return false;
}
