/*
 * Which pages are private <-> STATE records: both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_PAGE_MAP_H
#define MIGRATION_SEV_PAGE_MAP_H

#include "pages.h"

/*
 * STATE records for every block; *@private_pages is the number of pages that
 * they call private.  The guest is stopped.
 */
bool sev_map_save(SevSource *s, QEMUFile *f, uint64_t *private_pages,
                  Error **errp);

/* Handler of order.c's table. */
bool sev_map_load_state(SevTarget *t, const SevRecord *rec, Error **errp);
/* Did STATE records describe all of every block? */
bool sev_map_loaded(SevTarget *t, Error **errp);

#endif /* MIGRATION_SEV_PAGE_MAP_H */
