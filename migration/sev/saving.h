/*
 * The migration under way, at its source: what save.c knows and save-hooks.c asks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_SAVING_H
#define MIGRATION_SEV_SAVING_H

#include "outgoing.h"
#include "pages.h"

/*
 * The hooks come without an argument that could carry these.
 *
 * @source is set by the migration thread in save_setup and cleared by the main
 * thread when that thread has been joined.
 */
typedef struct SevSaving {
    SevOutgoing outgoing;
    SevSource *source;
} SevSaving;

extern SevSaving sev_saving;

#endif /* MIGRATION_SEV_SAVING_H */
