/*
 * Records onto a QEMUFile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_WIRE_WRITE_H
#define MIGRATION_SEV_WIRE_WRITE_H

#include "migration/qemu-file-types.h"
#include "record.h"

/*
 * Append a record to @f.  Errors of the file surface where upstream looks for
 * them.
 */
void sev_record_put(QEMUFile *f, const SevRecord *rec);

/*
 * Callers that write a record without sev_record_put() call this first, so that
 * the record's fault point still fires.
 */
void sev_record_put_fault(QEMUFile *f, SevRecordType type);

#endif /* MIGRATION_SEV_WIRE_WRITE_H */
