/*
 * KVM_MEMORY_ENCRYPT_OP: which command, and in which order INIT comes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>

#include "standin.h"

#define GHCB_VERSION_MAX    2

static const char *const names[KVM_SEV_NR_MAX] = {
    [KVM_SEV_INIT] = "INIT",
    [KVM_SEV_ES_INIT] = "ES_INIT",
    [KVM_SEV_LAUNCH_START] = "LAUNCH_START",
    [KVM_SEV_LAUNCH_UPDATE_DATA] = "LAUNCH_UPDATE_DATA",
    [KVM_SEV_LAUNCH_UPDATE_VMSA] = "LAUNCH_UPDATE_VMSA",
    [KVM_SEV_LAUNCH_SECRET] = "LAUNCH_SECRET",
    [KVM_SEV_LAUNCH_MEASURE] = "LAUNCH_MEASURE",
    [KVM_SEV_LAUNCH_FINISH] = "LAUNCH_FINISH",
    [KVM_SEV_SEND_START] = "SEND_START",
    [KVM_SEV_SEND_UPDATE_DATA] = "SEND_UPDATE_DATA",
    [KVM_SEV_SEND_FINISH] = "SEND_FINISH",
    [KVM_SEV_RECEIVE_START] = "RECEIVE_START",
    [KVM_SEV_RECEIVE_UPDATE_DATA] = "RECEIVE_UPDATE_DATA",
    [KVM_SEV_RECEIVE_FINISH] = "RECEIVE_FINISH",
    [KVM_SEV_GUEST_STATUS] = "GUEST_STATUS",
    [KVM_SEV_DBG_DECRYPT] = "DBG_DECRYPT",
    [KVM_SEV_DBG_ENCRYPT] = "DBG_ENCRYPT",
    [KVM_SEV_GET_ATTESTATION_REPORT] = "ATTESTATION",
    [KVM_SEV_SEND_CANCEL] = "SEND_CANCEL",
    [KVM_SEV_INIT2] = "INIT2",
};

/* An ASID is one of this process: its guest is the only one libpsp knows. */
static _Atomic uint32_t asids;

static int guest_init(KsVm *vm, const struct kvm_sev_init *init, bool es,
                      struct kvm_sev_cmd *cmd)
{
    struct kvm_enable_cap unknown_msrs = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = { vm->msr_exits | KVM_MSR_EXIT_REASON_UNKNOWN },
    };
    uint32_t status = 0;
    int ret;

    if (vm->vcpu_count || init->flags || init->vmsa_features ||
        init->ghcb_version > (es ? GHCB_VERSION_MAX : 0) || vm->active) {
        return -EINVAL;
    }
    ret = ks_platform_up(&status);
    if (ret) {
        cmd->error = status;
        return ret;
    }
    vm->active = true;
    vm->es_active = es;
    vm->need_init = false;
    vm->asid = ++asids;
    ks_real_ioctl(vm->fd, KVM_ENABLE_CAP, &unknown_msrs);
    return 0;
}

static int init(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    const struct kvm_sev_init none = { 0 };

    if (vm->type != KVM_X86_DEFAULT_VM) {
        return -EINVAL;
    }
    return guest_init(vm, &none, cmd->id == KVM_SEV_ES_INIT, cmd);
}

static int init2(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    struct kvm_sev_init init;

    if (!vm->need_init) {
        return -EINVAL;
    }
    return ks_from_user(&init, cmd->data, sizeof(init)) ?:
           guest_init(vm, &init, vm->type == KVM_X86_SEV_ES_VM, cmd);
}

static void decommission(KsVm *vm, uint32_t handle)
{
    PspHandleCmd buf = { .handle = handle };
    uint32_t ignored;

    ks_firmware(vm, PSP_CMD_DECOMMISSION, &buf, sizeof(buf), &ignored);
}

int ks_bind(KsVm *vm, uint32_t handle, uint32_t *error)
{
    PspActivate activate = {
        .handle = handle, .asid = GUINT32_TO_LE(vm->asid),
    };
    int ret = ks_firmware(vm, PSP_CMD_ACTIVATE, &activate, sizeof(activate),
                          error);

    if (ret) {
        decommission(vm, handle);
        return ret;
    }
    g_clear_pointer(&vm->key, psp_mem_key_unref);
    vm->key = psp_mem_key_get(ks_chip(), vm->asid);
    return 0;
}

void ks_unbind(KsVm *vm, uint32_t handle)
{
    PspHandleCmd buf = { .handle = handle };
    uint32_t ignored;

    ks_firmware(vm, PSP_CMD_DEACTIVATE, &buf, sizeof(buf), &ignored);
    decommission(vm, handle);
}

static int run(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    switch (cmd->id) {
    case KVM_SEV_INIT:
    case KVM_SEV_ES_INIT:
        return init(vm, cmd);
    case KVM_SEV_INIT2:
        return init2(vm, cmd);
    case KVM_SEV_RECEIVE_UPDATE_DATA:
        return vm->active ? ks_sev_receive_update(vm, cmd) : -EINVAL;
    }
    if (!vm->active) {
        return -ENOTTY;
    }
    switch (cmd->id) {
    case KVM_SEV_LAUNCH_START:
        return ks_sev_launch_start(vm, cmd);
    case KVM_SEV_LAUNCH_UPDATE_DATA:
        return ks_sev_launch_update(vm, cmd);
    case KVM_SEV_LAUNCH_MEASURE:
        return ks_sev_launch_measure(vm, cmd);
    case KVM_SEV_LAUNCH_SECRET:
        return ks_sev_launch_secret(vm, cmd);
    case KVM_SEV_LAUNCH_FINISH:
        return ks_sev_simple(vm, cmd, PSP_CMD_LAUNCH_FINISH, PSP_GUEST_RUNNING);
    case KVM_SEV_GUEST_STATUS:
        return ks_sev_status(vm, cmd);
    case KVM_SEV_DBG_DECRYPT:
    case KVM_SEV_DBG_ENCRYPT:
        return ks_sev_debug(vm, cmd, cmd->id == KVM_SEV_DBG_DECRYPT);
    case KVM_SEV_GET_ATTESTATION_REPORT:
        return ks_sev_attestation(vm, cmd);
    case KVM_SEV_SEND_START:
        return ks_sev_send_start(vm, cmd);
    case KVM_SEV_SEND_UPDATE_DATA:
        return ks_sev_send_update(vm, cmd);
    case KVM_SEV_SEND_FINISH:
        return ks_sev_simple(vm, cmd, PSP_CMD_SEND_FINISH, PSP_GUEST_SENT);
    case KVM_SEV_SEND_CANCEL:
        return ks_sev_simple(vm, cmd, PSP_CMD_SEND_CANCEL, PSP_GUEST_RUNNING);
    case KVM_SEV_RECEIVE_START:
        return ks_sev_receive_start(vm, cmd);
    case KVM_SEV_RECEIVE_FINISH:
        return ks_sev_simple(vm, cmd, PSP_CMD_RECEIVE_FINISH,
                             PSP_GUEST_RUNNING);
    case KVM_SEV_LAUNCH_UPDATE_VMSA:
        return ks_sev_launch_update_vmsa(vm, cmd);
    default:
        return -ENOTTY;
    }
}

/* This host has no SEV-SNP; a new one may lack SEND. */
static bool is_known(uint32_t id)
{
    if (id >= KVM_SEV_NR_MAX || !names[id]) {
        return false;
    }
    return !ks_option("no-send") ||
           !((id >= KVM_SEV_SEND_START && id <= KVM_SEV_RECEIVE_FINISH) ||
             id == KVM_SEV_SEND_CANCEL);
}

int ks_encrypt_op(KsVm *vm, uint64_t arg)
{
    struct kvm_sev_cmd cmd;
    int ret;

    if (ks_option("no-sev")) {
        return -ENOTTY;
    }
    if (!arg) {
        return 0;
    }
    if (ks_from_user(&cmd, arg, sizeof(cmd))) {
        return -EFAULT;
    }
    if (!is_known(cmd.id)) {
        ks_log("ioctl %u %d 0", cmd.id, EINVAL);
        return -EINVAL;
    }
    if (cmd.id == KVM_SEV_ES_INIT && !ks_option("es")) {
        ks_log("ioctl ES_INIT %d 0", ENOTTY);
        return -ENOTTY;
    }
    pthread_mutex_lock(&vm->lock);
    ret = run(vm, &cmd);
    pthread_mutex_unlock(&vm->lock);
    ks_log("ioctl %s %d %d", names[cmd.id], -ret, (int)cmd.error);
    return ks_to_user(arg, &cmd, sizeof(cmd)) ?: ret;
}
