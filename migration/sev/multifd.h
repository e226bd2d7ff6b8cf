/*
 * Packets on multifd's channels: made and opened on the channel threads.
 *
 *   multifd packet     upstream's header: block, offsets of its pages
 *   PAGES record       1 or 2, if some of the pages are private; record.h
 *   bytes              of the shared pages
 *
 * In the header's list of offsets private pages come first, then shared ones,
 * then zero pages.  To the byte: docs/interop/sev-record.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_MULTIFD_H
#define MIGRATION_SEV_MULTIFD_H

#include "pages.h"

/* Multifd without compression is ours from now on.  BQL held. */
void sev_multifd_init(void);

/* --- Source ---------------------------------------------------------------- */

/*
 * Channel threads seal for @s from now on, until NULL.  Set before the first
 * page is queued, cleared when the channel threads have been joined.
 */
void sev_multifd_set_source(const SevSource *s);

/* Is the other end of a channel gone?  Main thread, before they are closed. */
bool sev_multifd_is_down(void);

/* --- Target, main thread ---------------------------------------------------- */

/*
 * SESSION and all BLOCKs of @t are in: channels that wait for them go on.  @t
 * must outlive the channel threads.
 */
void sev_multifd_open(SevTarget *t);

/*
 * END: all pages are in RAM, and none may come any more.  False if some are being
 * written.
 */
bool sev_multifd_full(Error **errp);

/* The main channel is through, or has failed: nobody waits any more. */
void sev_multifd_close(void);

#endif /* MIGRATION_SEV_MULTIFD_H */
