/*
 * An SEV-ES guest's vCPUs on their way to another platform.
 *
 * Their registers travel as packets, one of each vCPU, which the secure
 * processor makes of their VMSAs (launch.c has those while the VM is stopped).
 * What a hypervisor knows of them is in vmstate.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include "cpu.h"
#include "es.h"
#include "es-int.h"
#include "launch.h"
#include "target/i386/sev/backend/backend.h"
#include "target/i386/sev/test/fault.h"
#include "target/i386/sev/trace.h"
#include "target/i386/sev/transfer.h"

/* --- Which vCPUs, in the order that both ends have --------------------------- */

static gint by_apic_id(gconstpointer a, gconstpointer b)
{
    uint32_t x = (*(X86CPU **)a)->apic_id, y = (*(X86CPU **)b)->apic_id;

    return x < y ? -1 : x > y;
}

static GPtrArray *vcpus(void)
{
    GPtrArray *all = g_ptr_array_new();
    CPUState *cs;

    CPU_FOREACH(cs) {
        g_ptr_array_add(all, X86_CPU(cs));
    }
    g_ptr_array_sort(all, by_apic_id);
    return all;
}

static X86CPU *vcpu(size_t n)
{
    g_autoptr(GPtrArray) all = vcpus();

    return n < all->len ? g_ptr_array_index(all, n) : NULL;
}

size_t sev_vcpus(void)
{
    g_autoptr(GPtrArray) all = sev_es_active() ? vcpus() : NULL;

    return all ? all->len : 0;
}

uint64_t sev_vcpu_id(size_t n)
{
    X86CPU *cpu = vcpu(n);

    return cpu ? cpu->apic_id : UINT64_MAX;
}

uint64_t sev_vcpus_ghcb(void)
{
    return sev_es_active() ? sev_es_protocol.version_max : 0;
}

bool sev_vcpus_can_move(Error **errp)
{
    CPUState *cs;

    if (!sev_es_active()) {
        return true;
    }
    CPU_FOREACH(cs) {
        SevEsCpu *es = sev_es_cpu(cs);

        if (!es || !es->measured) {
            error_setg(errp, "SEV: vCPU %d was plugged after the launch of "
                       "this SEV-ES guest, so there is no encrypted state of "
                       "it to send: unplug it first", cs->cpu_index);
            return false;
        }
    }
    return true;
}

/* --- Packets ----------------------------------------------------------------- */

typedef struct kvm_sev_send_update_data UpdateVmsa;

/* KVM numbers the commands and implements neither, so it has no struct. */
static int update_vmsa(int cmd, SevFaultPoint fault, const PspVmsa *vmsa,
                       const uint8_t *hdr, const uint8_t *data, int *fw_error)
{
    UpdateVmsa update = {
        .hdr_uaddr = (uintptr_t)hdr,
        .hdr_len = SEV_PACKET_HDR_LEN,
        .guest_uaddr = (uintptr_t)vmsa,
        .guest_len = sizeof(*vmsa),
        .trans_uaddr = (uintptr_t)data,
        .trans_len = SEV_PACKET_DATA_LEN,
    };
    int ret = sev_fault_command(fault, fw_error);

    return ret ? ret : sev_guest_cmd(cmd, &update, fw_error);
}

bool sev_send_vcpu(size_t n, uint8_t *hdr, uint8_t *data, Error **errp)
{
    X86CPU *cpu = vcpu(n);
    SevEsCpu *es = cpu ? sev_es_cpu(CPU(cpu)) : NULL;
    int fw_error = 0, ret;

    if (!es || !es->vmsa) {
        error_setg(errp, "SEV: there is no encrypted state of vCPU number %zu "
                   "to send", n);
        return false;
    }
    ret = update_vmsa(KVM_SEV_SEND_UPDATE_VMSA, SEV_FAULT_SEND_UPDATE_VMSA,
                      es->vmsa, hdr, data, &fw_error);
    if (ret) {
        sev_fw_failed(errp, "SEND_UPDATE_VMSA", -ret, fw_error);
        return false;
    }
    trace_sev_es_sent(CPU(cpu)->cpu_index, cpu->apic_id);
    return true;
}

bool sev_receive_vcpu(size_t n, const uint8_t *hdr, const uint8_t *data,
                      Error **errp)
{
    ERRP_GUARD();
    X86CPU *cpu = vcpu(n);
    int fw_error = 0, ret;
    PspVmsa vmsa;

    if (!cpu || !sev_es_cpu(CPU(cpu))) {
        error_setg(errp, "SEV: there is no vCPU number %zu", n);
        return false;
    }
    ret = update_vmsa(KVM_SEV_RECEIVE_UPDATE_VMSA,
                      SEV_FAULT_RECEIVE_UPDATE_VMSA, &vmsa, hdr, data,
                      &fw_error);
    if (ret && fw_error == SEV_RET_BAD_MEASUREMENT) {
        error_setg(errp, "SEV: the packet of the registers of vCPU number %zu "
                   "fails its MAC: it was changed on the way, or belongs to "
                   "another session", n);
    } else if (ret) {
        sev_fw_failed(errp, "RECEIVE_UPDATE_VMSA", -ret, fw_error);
    } else {
        sev_es_give_vmsa(CPU(cpu), &vmsa);
        trace_sev_es_received(CPU(cpu)->cpu_index, cpu->apic_id);
    }
    explicit_bzero(&vmsa, sizeof(vmsa));
    return !ret;
}

void sev_receive_vcpus_end(void)
{
    if (sev_es_active()) {
        sev_es_launched();
    }
}

void sev_vcpus_forget(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        SevEsCpu *es = sev_es_active() ? sev_es_cpu(cs) : NULL;

        if (es) {
            sev_es_drop_vmsa(es);
            es->measured = false;
        }
    }
}
