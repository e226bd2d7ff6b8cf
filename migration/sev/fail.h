/*
 * The one way in which a handler of upstream's that has no Error ** fails.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_FAIL_H
#define MIGRATION_SEV_FAIL_H

#include "qapi/error.h"

/*
 * Make @err, which is taken over, the reason that query-migrate shows, unless
 * there is one already, and trace it with @where.  Returns what the handler is
 * to return: upstream knows from it that the migration failed.  Any thread.
 */
int sev_migration_fail(const char *where, Error *err);

#endif /* MIGRATION_SEV_FAIL_H */
