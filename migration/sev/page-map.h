/*
 * Which pages are private <-> STATE and END records: both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_PAGE_MAP_H
#define MIGRATION_SEV_PAGE_MAP_H

#include "pages.h"

/* STATE records for every block, and END.  The guest is stopped. */
bool sev_map_save_end(SevSource *s, QEMUFile *f, Error **errp);

/* Handlers of order.c's table. */
bool sev_map_load_state(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_map_load_end(SevTarget *t, const SevRecord *rec, Error **errp);

#endif /* MIGRATION_SEV_PAGE_MAP_H */
