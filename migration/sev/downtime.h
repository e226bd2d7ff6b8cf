/*
 * What the secure processor's speed means for the downtime.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_DOWNTIME_H
#define MIGRATION_SEV_DOWNTIME_H

/* A migration begins.  Migration thread. */
void sev_advice_begin(void);

/*
 * The dirty log was just read.  When what it left cannot be sealed within
 * downtime-limit for several times in a row, say so once and what would help;
 * the limit itself is the operator's.  Migration thread.
 */
void sev_advice_look(void);

/*
 * Milliseconds that the secure processor would need for all pages that are
 * dirty now, at the pace of this migration; 0 as long as that is unknown.  Any
 * thread.
 */
uint64_t sev_advice_firmware_ms(void);

#endif /* MIGRATION_SEV_DOWNTIME_H */
