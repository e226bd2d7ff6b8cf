/*
 * When a target's channels may write pages.  multifd.h has what the main channel says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_MULTIFD_GATE_H
#define MIGRATION_SEV_MULTIFD_GATE_H

#include "incoming.h"

/* Once, before any channel. */
void sev_multifd_gate_init(void);

/* A channel is set up: whoever enters waits for a session that is still to come. */
void sev_multifd_gate_wait(void);

/*
 * This channel may write pages until it leaves: the session's, whose blocks are
 * complete.  Waits for it.  NULL: none came, or the guest has all its pages.
 */
SevTarget *sev_multifd_gate_enter(Error **errp);
void sev_multifd_gate_leave(void);

/* The main channel ended. */
bool sev_multifd_gate_is_over(void);

/* There is a session, and it has opened a packet. */
bool sev_multifd_gate_has_packets(void);

#endif /* MIGRATION_SEV_MULTIFD_GATE_H */
