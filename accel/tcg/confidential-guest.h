/*
 * Confidential guests under TCG: the class hook's caller.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_CONFIDENTIAL_GUEST_H
#define ACCEL_TCG_CONFIDENTIAL_GUEST_H

#include "hw/boards.h"
#include "qapi/error.h"
#include "system/confidential-guest-support.h"

/*
 * Set up the machine's confidential guest, if it has one that TCG can
 * emulate.  Called by the accelerator, before there are vCPUs or RAM.  A
 * configuration that cannot work ends QEMU with the reason.
 */
static inline void confidential_guest_tcg_init(MachineState *ms)
{
    ConfidentialGuestSupportClass *klass;

    if (!ms->cgs) {
        return;
    }
    klass = CONFIDENTIAL_GUEST_SUPPORT_GET_CLASS(ms->cgs);
    if (klass->tcg_init) {
        klass->tcg_init(ms->cgs, &error_fatal);
    }
}

#endif /* ACCEL_TCG_CONFIDENTIAL_GUEST_H */
