/*
 * The handlers of the "sev" section, for sev.c to register.
 *
 * Threads: save.c and load.c.  Meanings and return values: migration/register.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_SECTION_H
#define MIGRATION_SEV_SECTION_H

#include "migration/misc.h"
#include "incoming.h"

/* --- save.c ----------------------------------------------------------------- */

int sev_save_prepare(void *opaque, Error **errp);
int sev_save_setup(QEMUFile *f, void *opaque, Error **errp);
bool sev_save_is_active_iterate(void *opaque);
int sev_save_iterate(QEMUFile *f, void *opaque);
int sev_save_complete(QEMUFile *f, void *opaque);
void sev_save_cleanup(void *opaque);
void sev_save_pending(void *opaque, uint64_t *must_precopy,
                      uint64_t *can_postcopy);
void sev_save_pending_exact(void *opaque, uint64_t *must_precopy,
                            uint64_t *can_postcopy);

/* A migration begins or has ended; main thread. */
int sev_save_notify(NotifierWithReturn *notifier, MigrationEvent *e,
                    Error **errp);

/* A migration has failed: say why its line was lost, as far as that is known. */
void sev_save_explain(void);

/* --- load.c ----------------------------------------------------------------- */

int sev_load_setup(QEMUFile *f, void *opaque, Error **errp);
int sev_load_state(QEMUFile *f, void *opaque, int version_id);
int sev_load_cleanup(void *opaque);

/*
 * Address of the pointer to the incoming state.  The pointer is NULL while no
 * migration is being loaded.  Main thread only.
 */
SevTarget **sev_load_target(void);

#endif /* MIGRATION_SEV_SECTION_H */
