/*
 * The registers of an SEV-ES guest's vCPUs on a stream, both ends.
 *
 *   VCPUS   before the blocks: which vCPUs, while the guest still runs
 *   VMSA    before END: a packet of each vCPU's registers, in that order
 *
 * The stream of any other guest has neither.  What the stream's device state
 * has of registers is what a vCPU has after a reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_VCPUS_H
#define MIGRATION_SEV_VCPUS_H

#include "incoming.h"

/* --- Source; migration thread, BQL held ------------------------------------- */

bool sev_vcpus_save_list(QEMUFile *f, Error **errp);

/* The guest is stopped. */
bool sev_vcpus_save(QEMUFile *f, Error **errp);

/* --- Target; main thread ---------------------------------------------------- */

/* Handlers of order.c's table, for VCPUS and VMSA */
bool sev_vcpus_load_list(SevTarget *t, const SevRecord *rec, Error **errp);
bool sev_vcpus_load(SevTarget *t, const SevRecord *rec, Error **errp);

/* The first BREAK: was there a list, if this is an SEV-ES guest? */
bool sev_vcpus_listed(const SevTarget *t, Error **errp);

/* END: did all registers come? */
bool sev_vcpus_complete(const SevTarget *t, Error **errp);

#endif /* MIGRATION_SEV_VCPUS_H */
