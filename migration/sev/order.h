/*
 * Records off a QEMUFile, and the order in which a target accepts them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_ORDER_H
#define MIGRATION_SEV_ORDER_H

#include "migration/qemu-file-types.h"
#include "incoming.h"

/* Read the records of one section, up to BREAK or END. */
bool sev_stream_load(SevTarget *t, QEMUFile *f, Error **errp);

/* The same for one record at the start of @buf, whose rest is not looked at. */
bool sev_stream_load_bytes(SevTarget *t, const uint8_t *buf, size_t len,
                           Error **errp);

/*
 * GO, behind the stream, when our ACK is out.  @errp: why it did not come.
 */
bool sev_stream_load_go(SevTarget *t, QEMUFile *f, Error **errp);

/* "the last record was PAGES, number 17", for a stream that was cut short. */
char *sev_stream_where(const SevTarget *t);

#endif /* MIGRATION_SEV_ORDER_H */
