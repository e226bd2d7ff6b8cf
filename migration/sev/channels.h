/*
 * Capability 'multifd' at one end only, or with other numbers of channels.
 *
 * Upstream's target waits for channels that never come, its source writes to
 * channels that nobody reads.  Both ends shall say which capability it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_CHANNELS_H
#define MIGRATION_SEV_CHANNELS_H

#include "migration/migration.h"

/* --- Target, main thread ---------------------------------------------------- */

/*
 * Channels are expected from now on.  A source with 'multifd' sends nothing on
 * its main channel before all of them are open; if it does, and they do not
 * come for some seconds, the load begins without them, and is refused below.
 */
void sev_channels_expect(void);

/* Are all channels open that this end was told to expect? */
bool sev_channels_complete(Error **errp);

/*
 * The load failed before the first packet: a source that opens more channels
 * than this end has room for loses its line, how soon is a matter of timing.
 * Puts that question before @errp.
 */
void sev_channels_wonder(Error **errp);

/* --- Source ----------------------------------------------------------------- */

/*
 * A migration failed, with so many @packets.  If a line broke, and nobody can
 * have read much of the channels: ask the right question.  True: it was asked.
 */
bool sev_channels_explain(MigrationState *ms, uint64_t packets);

#endif /* MIGRATION_SEV_CHANNELS_H */
