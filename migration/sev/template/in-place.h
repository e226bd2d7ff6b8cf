/*
 * A template in place: private pages of a RAM file become their packets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_IN_PLACE_H
#define MIGRATION_SEV_TEMPLATE_IN_PLACE_H

#include "migration/sev/outgoing.h"
#include "migration/sev/pages.h"

/*
 * Does 'x-ignore-shared' leave RAM out of the migration at hand?  For an SEV
 * guest that is the wish to seal that RAM where it is.  BQL held, or migration
 * thread.
 */
bool sev_place_wanted(void);

/* After the BLOCK records: IMAGE records for what will be sealed in place. */
void sev_place_save_begin(SevSource *s, QEMUFile *f);

/*
 * Make packets of all private pages of these blocks and put HEADERS records.
 * @outgoing hears of it before a page is overwritten: from then on the guest
 * can never run again, whatever happens.  Guest stopped, migration thread.
 */
bool sev_place_save(SevSource *s, QEMUFile *f, SevOutgoing *outgoing,
                    Error **errp);

#endif /* MIGRATION_SEV_TEMPLATE_IN_PLACE_H */
