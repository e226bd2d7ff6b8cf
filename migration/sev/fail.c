/*
 * How a migration fails for a reason of ours, and how that is told from others.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "migration/migration.h"
#include "fail.h"
#include "trace.h"

/* Is the error that query-migrate shows from this folder?  Its error_mutex. */
static bool ours;

void sev_migration_fail_begin(void)
{
    MigrationState *ms = migrate_get_current();

    QEMU_LOCK_GUARD(&ms->error_mutex);
    ours = false;
}

/* As migrate_set_error(); under its lock it is known who was the first. */
void sev_migration_set_error(const Error *err)
{
    MigrationState *ms = migrate_get_current();

    QEMU_LOCK_GUARD(&ms->error_mutex);
    if (!ms->error) {
        ms->error = error_copy(err);
        ours = true;
    }
}

bool sev_migration_error_is_ours(void)
{
    return ours;
}

void sev_migration_error_explained(void)
{
    ours = true;
}

int sev_migration_fail(const char *where, Error *err)
{
    trace_sev_migration_refused(where, error_get_pretty(err));
    sev_migration_set_error(err);
    error_free(err);
    return -EINVAL;
}
