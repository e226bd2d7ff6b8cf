/*
 * The target's half of multifd's methods; multifd-send.c registers them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_MULTIFD_RECV_H
#define MIGRATION_SEV_MULTIFD_RECV_H

#include "migration/multifd.h"

/* MultiFDMethods: recv_setup with the BQL, the others on the channel's thread. */
int sev_multifd_recv_setup(MultiFDRecvParams *p, Error **errp);
void sev_multifd_recv_cleanup(MultiFDRecvParams *p);
int sev_multifd_recv(MultiFDRecvParams *p, Error **errp);

#endif /* MIGRATION_SEV_MULTIFD_RECV_H */
