/*
 * Large reads from a QEMUFile that do not pass its buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_WIRE_READ_H
#define MIGRATION_SEV_WIRE_READ_H

#include "migration/qemu-file-types.h"

/*
 * As qemu_get_buffer(), but what @f has not read ahead yet comes straight from
 * its channel: most bytes of a guest do, and 32 KiB at a time is a system call
 * and a copy too many.  Fewer than @len bytes: the file has an error.
 */
size_t coroutine_mixed_fn sev_bulk_get(QEMUFile *f, uint8_t *buf, size_t len);

#endif /* MIGRATION_SEV_WIRE_READ_H */
