/*
 * KVM's SEV commands as commands of the SEV API: a guest's launch, its
 * measurement and report, its state, and debugging.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "cpu.h"
#include "qemu/bswap.h"
#include "psp-int.h"
#include "target/i386/sev/es/launch.h"
#include "target/i386/sev/guest-page.h"
#include "psp-host.h"

/* LAUNCH_START and RECEIVE_START: a context, bound to the guest's ASID. */
int sev_psp_guest_start(SevPsp *sp, PspCommand cmd,
                        struct kvm_sev_launch_start *p, int *fw_error)
{
    PspLaunchStart buf = {
        .handle = cpu_to_le32(p->handle),
        .policy = cpu_to_le32(p->policy),
        .dh_cert_paddr = psp_window(0, p->dh_uaddr, p->dh_len),
        .dh_cert_len = cpu_to_le32(p->dh_len),
        .session_paddr = psp_window(1, p->session_uaddr, p->session_len),
        .session_len = cpu_to_le32(p->session_len),
    };
    PspActivate activate = { .asid = cpu_to_le32(SEV_PSP_ASID) };
    int unused, ret = sev_psp_run(sp, cmd, &buf, sizeof(buf), fw_error);

    if (ret) {
        return ret;
    }
    sp->handle = le32_to_cpu(buf.handle);
    activate.handle = buf.handle;
    ret = sev_psp_run(sp, PSP_CMD_ACTIVATE, &activate,
                      sizeof(activate), fw_error);
    if (ret) {
        sev_psp_run_handle(sp, PSP_CMD_DECOMMISSION, &unused);
        sp->handle = 0;
        return ret;
    }
    p->handle = sp->handle;
    sev_guest_page_set_key(sp->psp, SEV_PSP_ASID);
    return 0;
}

/* As KVM's sev_vm_destroy(): unbound from its ASID, and forgotten. */
void sev_psp_guest_end(SevPsp *sp)
{
    int unused;

    if (!sp->handle) {
        return;
    }
    sev_psp_run_handle(sp, PSP_CMD_DEACTIVATE, &unused);
    sev_psp_run_handle(sp, PSP_CMD_DECOMMISSION, &unused);
    sp->handle = 0;
}

int sev_psp_launch_update(SevPsp *sp, struct kvm_sev_launch_update_data *p,
                          int *fw_error)
{
    PspLaunchUpdate buf = {
        .handle = cpu_to_le32(sp->handle),
        .len = cpu_to_le32(p->len),
    };
    uint64_t paddr;
    int ret;

    if (!sev_guest_paddr(p->uaddr, p->len, &paddr)) {
        errno = EFAULT;
        return -EFAULT;
    }
    buf.paddr = cpu_to_le64(paddr);
    ret = sev_psp_run(sp, PSP_CMD_LAUNCH_UPDATE_DATA, &buf,
                      sizeof(buf), fw_error);
    if (!ret) {
        sev_guest_page_mark_private(paddr, p->len);
    }
    return ret;
}

/* All vCPUs in their order; what they become is for the processor alone. */
int sev_psp_launch_vmsas(SevPsp *sp, int *fw_error)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        QEMU_ALIGNED(16) PspVmsa vmsa;
        PspLaunchUpdate buf = {
            .handle = cpu_to_le32(sp->handle),
            .paddr = psp_window(0, (uintptr_t)&vmsa, sizeof(vmsa)),
            .len = cpu_to_le32(sizeof(vmsa)),
        };
        int ret;

        sev_es_launch_vmsa(cs, &vmsa);
        ret = sev_psp_run(sp, PSP_CMD_LAUNCH_UPDATE_VMSA, &buf, sizeof(buf),
                          fw_error);
        if (ret) {
            return ret;
        }
    }
    sev_es_launched();
    return 0;
}

int sev_psp_launch_measure(SevPsp *sp, struct kvm_sev_launch_measure *p,
                           int *fw_error)
{
    PspLaunchMeasure buf = {
        .handle = cpu_to_le32(sp->handle),
        .measure_paddr = psp_window(0, p->uaddr, p->len),
        .measure_len = cpu_to_le32(p->len),
    };
    int ret = sev_psp_run(sp, PSP_CMD_LAUNCH_MEASURE, &buf,
                          sizeof(buf), fw_error);

    p->len = le32_to_cpu(buf.measure_len);
    return ret;
}

int sev_psp_attestation(SevPsp *sp, struct kvm_sev_attestation_report *p,
                        int *fw_error)
{
    PspAttestation buf = {
        .handle = cpu_to_le32(sp->handle),
        .report_paddr = psp_window(0, p->uaddr, p->len),
        .report_len = cpu_to_le32(p->len),
    };
    int ret;

    memcpy(buf.mnonce, p->mnonce, sizeof(buf.mnonce));
    ret = sev_psp_run(sp, PSP_CMD_ATTESTATION, &buf, sizeof(buf), fw_error);
    p->len = le32_to_cpu(buf.report_len);
    return ret;
}

int sev_psp_guest_status(SevPsp *sp, struct kvm_sev_guest_status *p,
                         int *fw_error)
{
    PspGuestStatus buf = { .handle = cpu_to_le32(sp->handle) };
    int ret = sev_psp_run(sp, PSP_CMD_GUEST_STATUS, &buf,
                          sizeof(buf), fw_error);

    p->handle = sp->handle;
    p->policy = le32_to_cpu(buf.policy);
    p->state = buf.state;
    return ret;
}

int sev_psp_debug(SevPsp *sp, PspCommand cmd, struct kvm_sev_dbg *p,
                  int *fw_error)
{
    PspDebug buf = {
        .handle = cpu_to_le32(sp->handle),
        .len = cpu_to_le32(p->len),
    };
    bool decrypt = cmd == PSP_CMD_DBG_DECRYPT;
    uint64_t guest;

    if (!sev_guest_paddr(decrypt ? p->src_uaddr : p->dst_uaddr, p->len,
                         &guest)) {
        errno = EFAULT;
        return -EFAULT;
    }
    buf.src_paddr = decrypt ? cpu_to_le64(guest)
                            : psp_window(0, p->src_uaddr, p->len);
    buf.dst_paddr = decrypt ? psp_window(0, p->dst_uaddr, p->len)
                            : cpu_to_le64(guest);
    return sev_psp_run(sp, cmd, &buf, sizeof(buf), fw_error);
}
