/*
 * What the speed of two secure processors means for the downtime.
 *
 * Upstream takes downtime-limit and the bandwidth of a moment ago for the bytes
 * that may be left when the guest stops.  It does not see what waits for the
 * target's RECEIVE_UPDATE_DATA in sockets' buffers, so a move is held back here
 * until that, too, fits.  All calls: migration thread, unless they say otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_DOWNTIME_H
#define MIGRATION_SEV_DOWNTIME_H

/* A migration begins; @answered: PINGs tell what its target has opened. */
void sev_downtime_begin(bool answered);

/*
 * Upstream is about to compare the @pending bytes with what downtime-limit
 * allows, without a look at the dirty log.  Asks the target how far it is; if it
 * is so far behind that the guest cannot be stopped soon, waits for it, 20 ms at
 * most, and then says that more is pending.  Writes to the stream, between two
 * sections.
 */
void sev_downtime_estimate(uint64_t *pending);

/*
 * The dirty log was just read.  If the guest would stand still for longer than
 * downtime-limit, says that more is pending; when that happens several times in
 * a row, tells the operator, once, how long and what would help.  The limit
 * itself is the operator's.
 */
void sev_downtime_exact(uint64_t *pending);

/*
 * For how many milliseconds the guest would stand still if it were stopped now,
 * at the pace of this migration; 0 as long as that is unknown.  Any thread.
 */
uint64_t sev_downtime_ms(void);

#endif /* MIGRATION_SEV_DOWNTIME_H */
