/*
 * What the files of the software backend share: the chip, how a command is
 * run, and KVM's commands, each as it fills the struct that it was given.
 *
 * All answer as the kernel does: 0, or a negative errno with errno set;
 * *@fw_error gets the firmware's status.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_BACKEND_PSP_INT_H
#define TARGET_I386_SEV_BACKEND_PSP_INT_H

#include <linux/kvm.h>
#include "psp.h"
#include "hw/psp/psp.h"
#include "hw/psp/psp-abi.h"

struct PspStore;

/* Any number will do: contexts live in this process, as one VM's do. */
#define SEV_PSP_ASID 1

struct SevPsp {
    struct PspStore *store;
    PspPlatform *psp;
    uint32_t handle;            /* of the guest; 0 when there is none */
};

/* What a command with this @status answers through the kernel's interface. */
int sev_psp_kernel_status(PspCommand cmd, PspStatus status, int *fw_error);

/* Run @cmd with its command buffer, or with one that has the handle only. */
int sev_psp_run(SevPsp *sp, PspCommand cmd, void *buf, size_t len,
                int *fw_error);
int sev_psp_run_handle(SevPsp *sp, PspCommand cmd, int *fw_error);

/* backend/psp-guest.c */
int sev_psp_guest_start(SevPsp *sp, PspCommand cmd,
                        struct kvm_sev_launch_start *p, int *fw_error);
int sev_psp_launch_update(SevPsp *sp, struct kvm_sev_launch_update_data *p,
                          int *fw_error);
int sev_psp_launch_vmsas(SevPsp *sp, int *fw_error);
int sev_psp_launch_measure(SevPsp *sp, struct kvm_sev_launch_measure *p,
                           int *fw_error);
int sev_psp_attestation(SevPsp *sp, struct kvm_sev_attestation_report *p,
                        int *fw_error);
int sev_psp_guest_status(SevPsp *sp, struct kvm_sev_guest_status *p,
                         int *fw_error);
int sev_psp_debug(SevPsp *sp, PspCommand cmd, struct kvm_sev_dbg *p,
                  int *fw_error);

/* backend/psp-packet.c */
int sev_psp_send_start(SevPsp *sp, struct kvm_sev_send_start *p,
                       int *fw_error);
int sev_psp_packet(SevPsp *sp, PspCommand cmd,
                   struct kvm_sev_send_update_data *p, int *fw_error);

/*
 * SEND_UPDATE_VMSA, RECEIVE_UPDATE_VMSA.  KVM has no struct for them.  Here
 * guest_uaddr is that of a vCPU's state as its processor knows it, decrypted.
 */
int sev_psp_vmsa(SevPsp *sp, PspCommand cmd,
                 struct kvm_sev_send_update_data *p, int *fw_error);

#endif /* TARGET_I386_SEV_BACKEND_PSP_INT_H */
