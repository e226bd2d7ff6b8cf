/*
 * How a migration fails for a reason of ours, and how that is told from others.
 *
 * The first error is the one that query-migrate shows.  A source says more of a
 * line that broke, and knows by these functions that it was not its own code
 * that spoke first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_FAIL_H
#define MIGRATION_SEV_FAIL_H

#include "qapi/error.h"

/* Another migration begins to be sent.  Main thread. */
void sev_migration_fail_begin(void);

/*
 * Make @err the reason that query-migrate shows, unless there is one already.
 * An error that upstream is about to set for us is set by this before.  Any
 * thread.
 */
void sev_migration_set_error(const Error *err);

/* Is the reason of this migration one of ours?  Its error_mutex is held. */
bool sev_migration_error_is_ours(void);

/* We said more of it: that is enough, it is ours now.  Its error_mutex is held. */
void sev_migration_error_explained(void);

/*
 * The same for a handler that has no Error **: @err is taken over, and traced
 * with @where.  Returns what the handler is to return: upstream knows from it
 * that the migration failed.  Any thread.
 */
int sev_migration_fail(const char *where, Error *err);

#endif /* MIGRATION_SEV_FAIL_H */
