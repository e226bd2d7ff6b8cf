/*
 * Debuggers and the memory of a confidential guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_CONFIDENTIAL_GUEST_DEBUG_H
#define SYSTEM_CONFIDENTIAL_GUEST_DEBUG_H

#include "exec/memory.h"

/*
 * What cpu_memory_rw_debug() does with a guest-physical range within one
 * page, in the place of address_space_rw().  NULL, as ever, unless the guest's
 * owner allows debugging and somebody asked for it.  BQL held.
 */
typedef MemTxResult ConfidentialGuestRwDebug(AddressSpace *as, hwaddr addr,
                                             MemTxAttrs attrs, void *buf,
                                             hwaddr len, bool is_write);
extern ConfidentialGuestRwDebug *confidential_guest_rw_debug;

static inline MemTxResult
address_space_rw_debug(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                       void *buf, hwaddr len, bool is_write)
{
    if (unlikely(confidential_guest_rw_debug)) {
        return confidential_guest_rw_debug(as, addr, attrs, buf, len, is_write);
    }
    return address_space_rw(as, addr, attrs, buf, len, is_write);
}

#endif /* SYSTEM_CONFIDENTIAL_GUEST_DEBUG_H */
