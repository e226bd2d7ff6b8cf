/*
 * The one way in which a handler of upstream's that has no Error ** fails.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration.h"
#include "fail.h"
#include "trace.h"

int sev_migration_fail(const char *where, Error *err)
{
    trace_sev_migration_refused(where, error_get_pretty(err));
    migrate_set_error(migrate_get_current(), err);
    error_free(err);
    return -EINVAL;
}
