/*
 * A fault where the devices' state is saved: upstream code that no hook of
 * ours is in.  A section that is never needed, and so never on a stream, is
 * asked there all the same.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration.h"
#include "migration/vmstate.h"
#include "device-fault.h"
#include "fault.h"

/* Last of all devices: their state is in the file's buffer, END is behind. */
static bool device_fault_needed(void *opaque)
{
    Error *err = NULL;

    if (!sev_fault(SEV_FAULT_DEVICE_STATE, &err)) {
        return false;
    }
    migrate_set_error(migrate_get_current(), err);
    error_free(err);
    return true;
}

static int device_fault_pre_save(void *opaque)
{
    return -EIO;
}

static const VMStateDescription vmstate_device_fault = {
    .name = "sev-fault",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = device_fault_needed,
    .pre_save = device_fault_pre_save,
    .fields = (const VMStateField[]) {
        VMSTATE_END_OF_LIST()
    },
};

bool sev_device_fault_init(Error **errp)
{
    return vmstate_register_with_alias_id(NULL, 0, &vmstate_device_fault, NULL,
                                          -1, 0, errp) >= 0;
}
