/*
 * MSR_KVM_MIGRATION_CONTROL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "migration-control.h"
#include "migration/vmstate.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "system/reset.h"
#include "trace.h"

static struct {
    uint64_t control;
} msr;

uint64_t sev_migration_control(void)
{
    return qatomic_read(&msr.control);
}

bool sev_migration_control_write(uint64_t value)
{
    trace_sev_migration_control(value);
    if (value & ~(uint64_t)KVM_MIGRATION_READY) {
        return false;
    }
    qatomic_set(&msr.control, value);
    return true;
}

static void control_reset(void *opaque)
{
    qatomic_set(&msr.control, 0);
}

/* A stream without this section comes from a guest that has 0. */
static bool control_needed(void *opaque)
{
    return msr.control;
}

static int control_post_load(void *opaque, int version_id)
{
    if (msr.control & ~(uint64_t)KVM_MIGRATION_READY) {
        error_report("SEV: the stream has MSR_KVM_MIGRATION_CONTROL 0x%" PRIx64
                     ", the MSR has bit 0 only", msr.control);
        msr.control = 0;
        return -EINVAL;
    }
    return 0;
}

static const VMStateDescription vmstate_control = {
    .name = "sev-migration-control",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = control_needed,
    .post_load = control_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(control, typeof(msr)),
        VMSTATE_END_OF_LIST()
    },
};

void sev_migration_control_init(void)
{
    vmstate_register(NULL, 0, &vmstate_control, &msr);
    qemu_register_reset(control_reset, NULL);
}
