/*
 * Devices, and others on the host's side, that write to a confidential guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_CONFIDENTIAL_GUEST_WRITE_H
#define SYSTEM_CONFIDENTIAL_GUEST_WRITE_H

#include "exec/memory.h"

/*
 * [@offset, @offset + @length), bytes, of @mr was written through an address
 * space or a mapping of one, past the guest's key.  @mr is RAM.  NULL unless
 * something emulates that key.  The thread that wrote, with or without the BQL.
 */
typedef void ConfidentialGuestWrite(MemoryRegion *mr, hwaddr offset,
                                    hwaddr length);
extern ConfidentialGuestWrite *confidential_guest_write;

static inline void confidential_guest_was_written(MemoryRegion *mr,
                                                  hwaddr offset, hwaddr length)
{
    if (unlikely(confidential_guest_write)) {
        confidential_guest_write(mr, offset, length);
    }
}

#endif /* SYSTEM_CONFIDENTIAL_GUEST_WRITE_H */
