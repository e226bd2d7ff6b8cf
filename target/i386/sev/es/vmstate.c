/*
 * What a hypervisor knows of an SEV-ES guest and its vCPUs, here and under KVM:
 * it moves as device state in the clear.  Their registers do not: move.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "es.h"
#include "es-int.h"

static bool vcpu_needed(void *opaque)
{
    SevEsCpu *es = opaque;

    return es->measured && qemu_get_cpu(es->index);
}

static int vcpu_post_load(void *opaque, int version_id)
{
    SevEsCpu *es = opaque;

    if (es->hold > SEV_ES_HELD_BY_PAGE) {
        error_report("SEV-ES: vCPU %d is held in way %u, the last one known is "
                     "%d", es->index, es->hold, SEV_ES_HELD_BY_PAGE);
        return -EINVAL;
    }
    return 0;
}

static const VMStateDescription vmstate_vcpu = {
    .name = "sev-es-vcpu",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vcpu_needed,
    .post_load = vcpu_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(ghcb, SevEsCpu),
        VMSTATE_UINT8(hold, SevEsCpu),
        VMSTATE_BOOL(started, SevEsCpu),
        VMSTATE_BOOL(woken, SevEsCpu),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_guest = {
    .name = "sev-es",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(ap_jump_table, SevEsProtocol),
        VMSTATE_END_OF_LIST()
    },
};

void sev_es_vmstate_guest(void)
{
    vmstate_register(NULL, 0, &vmstate_guest, &sev_es_protocol);
}

void sev_es_vmstate_vcpu(SevEsCpu *es)
{
    vmstate_register(NULL, es->index, &vmstate_vcpu, es);
}
