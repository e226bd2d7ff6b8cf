/*
 * Private pages -> the packets of one PAGES record.
 *
 * In two steps, because a packet may wait for the line: sev_seal_packets()
 * lets the secure processor make the packets, sev_seal_record() is called
 * right before they are written.  A page that changes sides in between is
 * dirty and will be sent as what it is then, so its packet is dropped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_SEAL_H
#define MIGRATION_SEV_SEAL_H

#include "pages.h"

/*
 * How many pages should be sealed at a time, 1 to SEV_RECORD_PAGES_MAX: as
 * many as take about 10 ms at the pace of the last packets, because a cancel
 * is noticed in between.  Any thread.
 */
size_t sev_seal_turn(void);

/* Does nobody want packets any more: cancelled, or @s ends?  Any thread. */
bool sev_seal_given_up(const SevSource *s);

/*
 * Packets for *@n pages of @rb, at most SEV_RECORD_PAGES_MAX, in @buf, which
 * has room for SEV_RECORD_MAX bytes.  Pages that are not private are taken out
 * of @offsets, *@n are left.  It looks for a cancel after each turn, and fails
 * then.  Any thread while @s lives.
 */
bool sev_seal_packets(const SevSource *s, uint8_t *buf, RAMBlock *rb,
                      ram_addr_t *offsets, size_t *n, Error **errp);

/*
 * Make these *@n packets a PAGES record of *@len bytes.  Pages that are not
 * private any more are taken out; if none is left, *@len is 0.
 */
bool sev_seal_record(const SevSource *s, uint8_t *buf, RAMBlock *rb,
                     ram_addr_t *offsets, size_t *n, size_t *len,
                     Error **errp);

#endif /* MIGRATION_SEV_SEAL_H */
