/*
 * The end of the "sev" section: what follows the last page, and END.
 *
 *   writing                              reading
 *     STATE of every block                 END: is everything described, and
 *     the image's or the RAM files' tables   counted?
 *     SHARED, the sum of shared pages      the image is mapped or opened
 *     VMSA of every vCPU of SEV-ES
 *     END                                  RECEIVE_FINISH
 *
 * Templates have their image and sums here because both need the map of private
 * pages to be complete.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_END_H
#define MIGRATION_SEV_END_H

#include "pages.h"

/* Write all of it.  The guest is stopped; migration thread. */
bool sev_end_save(SevSource *s, QEMUFile *f, Error **errp);

/* Handler of order.c's table, for END. */
bool sev_end_load(SevTarget *t, const SevRecord *rec, Error **errp);

#endif /* MIGRATION_SEV_END_H */
