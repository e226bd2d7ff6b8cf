/*
 * A fault where the devices' state is saved: point "device-state" of
 * target/i386/sev/test/fault.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TEST_DEVICE_FAULT_H
#define TARGET_I386_SEV_TEST_DEVICE_FAULT_H

#include "qapi/error.h"

/* After all devices are there.  BQL held. */
bool sev_device_fault_init(Error **errp);

#endif /* TARGET_I386_SEV_TEST_DEVICE_FAULT_H */
