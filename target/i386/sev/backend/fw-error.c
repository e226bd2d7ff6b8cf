/*
 * Why a command to the secure processor failed, as a sentence.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/psp-sev.h>
#include "backend.h"

void sev_fw_failed(Error **errp, const char *name, int err, int fw_error)
{
    if (fw_error && fw_error != SEV_RET_NO_FW_CALL) {
        error_setg(errp, "SEV: the secure processor refuses %s: %s (%d)", name,
                   sev_fw_error_str(fw_error), fw_error);
    } else {
        error_setg_errno(errp, err, "SEV: %s failed%s%s", name,
                         fw_error ? ", " : "",
                         fw_error ? sev_fw_error_str(fw_error) : "");
    }
}
