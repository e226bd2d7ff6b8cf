/*
 * SEND and RECEIVE: what KVM checks before it calls the firmware, and what it
 * hands back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>

#include "standin.h"

G_STATIC_ASSERT(sizeof(struct kvm_sev_send_update_data) ==
                sizeof(struct kvm_sev_receive_update_data));

/* --- Source ---------------------------------------------------------------- */

static int send_start_query(KsVm *vm, struct kvm_sev_cmd *cmd,
                            struct kvm_sev_send_start *user)
{
    PspSendStart buf = { .handle = GUINT32_TO_LE(vm->handle) };
    int ret = ks_firmware(vm, PSP_CMD_SEND_START, &buf, sizeof(buf),
                          &cmd->error);

    user->session_len = GUINT32_FROM_LE(buf.session_len);
    return ks_to_user(cmd->data, user, sizeof(*user)) ?: ret;
}

int ks_sev_send_start(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree void *pdh = NULL, *plat = NULL, *amd = NULL, *session = NULL;
    struct kvm_sev_send_start user;
    PspSendStart buf = { .handle = GUINT32_TO_LE(vm->handle) };
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (!user.session_len) {
        return send_start_query(vm, cmd, &user);
    }
    if (!user.pdh_cert_uaddr || !user.pdh_cert_len || !user.session_uaddr ||
        user.session_len > KS_BLOB_MAX) {
        return -EINVAL;
    }
    session = g_malloc0(user.session_len);
    pdh = ks_user_blob(user.pdh_cert_uaddr, user.pdh_cert_len, &ret);
    plat = pdh ? ks_user_blob(user.plat_certs_uaddr, user.plat_certs_len, &ret)
               : NULL;
    amd = plat ? ks_user_blob(user.amd_certs_uaddr, user.amd_certs_len, &ret)
               : NULL;
    if (!amd) {
        return ret;
    }
    buf.pdh_paddr = ks_paddr(pdh);
    buf.pdh_len = GUINT32_TO_LE(user.pdh_cert_len);
    buf.plat_paddr = ks_paddr(plat);
    buf.plat_len = GUINT32_TO_LE(user.plat_certs_len);
    buf.amd_paddr = ks_paddr(amd);
    buf.amd_len = GUINT32_TO_LE(user.amd_certs_len);
    buf.session_paddr = ks_paddr(session);
    buf.session_len = GUINT32_TO_LE(user.session_len);
    ret = ks_firmware(vm, PSP_CMD_SEND_START, &buf, sizeof(buf), &cmd->error);
    if (!ret) {
        vm->state = PSP_GUEST_SUPDATE;
        if (ks_to_user(user.session_uaddr, session, user.session_len)) {
            return -EFAULT;
        }
    }
    user.policy = GUINT32_FROM_LE(buf.policy);
    user.session_len = GUINT32_FROM_LE(buf.session_len);
    return ks_to_user(cmd->data, &user, sizeof(user)) ?: ret;
}

static int send_update_query(KsVm *vm, struct kvm_sev_cmd *cmd,
                             struct kvm_sev_send_update_data *user)
{
    PspPacketCmd buf = { .handle = GUINT32_TO_LE(vm->handle) };
    int ret = ks_firmware(vm, PSP_CMD_SEND_UPDATE_DATA, &buf, sizeof(buf),
                          &cmd->error);

    user->hdr_len = GUINT32_FROM_LE(buf.hdr_len);
    user->trans_len = GUINT32_FROM_LE(buf.trans_len);
    return ks_to_user(cmd->data, user, sizeof(*user)) ?: ret;
}

static bool within_page(uint64_t addr, uint64_t len)
{
    return addr % KS_PAGE + len <= KS_PAGE;
}

int ks_sev_send_update(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree void *hdr = NULL, *trans = NULL;
    struct kvm_sev_send_update_data user;
    PspPacketCmd buf;
    uint64_t pages;
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (!user.trans_len || !user.hdr_len) {
        return send_update_query(vm, cmd, &user);
    }
    if (!user.trans_uaddr || !user.guest_uaddr || !user.guest_len ||
        !user.hdr_uaddr || !within_page(user.guest_uaddr, user.guest_len)) {
        return -EINVAL;
    }
    ret = ks_pin(vm, user.guest_uaddr & ~(uint64_t)(KS_PAGE - 1), KS_PAGE,
                 &pages);
    if (ret) {
        return ret;
    }
    ks_check_range(vm, "SEND_UPDATE_DATA", user.guest_uaddr, user.guest_len);
    hdr = g_try_malloc0(user.hdr_len);
    trans = g_try_malloc0(user.trans_len);
    buf = (PspPacketCmd) {
        .handle = GUINT32_TO_LE(vm->handle),
        .hdr_paddr = ks_paddr(hdr), .hdr_len = GUINT32_TO_LE(user.hdr_len),
        .guest_paddr = GUINT64_TO_LE(user.guest_uaddr),
        .guest_len = GUINT32_TO_LE(user.guest_len),
        .trans_paddr = ks_paddr(trans),
        .trans_len = GUINT32_TO_LE(user.trans_len),
    };
    ret = hdr && trans ? ks_firmware(vm, PSP_CMD_SEND_UPDATE_DATA, &buf,
                                     sizeof(buf), &cmd->error) : -ENOMEM;
    ks_unpin(vm, pages);
    /* Lengths that the firmware would have liked stay in the kernel. */
    ret = ret ?: ks_to_user(user.trans_uaddr, trans, user.trans_len);
    return ret ?: ks_to_user(user.hdr_uaddr, hdr, user.hdr_len);
}

/* --- Target ---------------------------------------------------------------- */

int ks_sev_receive_start(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree void *pdh = NULL, *session = NULL;
    struct kvm_sev_receive_start user;
    PspLaunchStart buf = { 0 };
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (!user.pdh_uaddr || !user.pdh_len || !user.session_uaddr ||
        !user.session_len) {
        return -EINVAL;
    }
    pdh = ks_user_blob(user.pdh_uaddr, user.pdh_len, &ret);
    session = pdh ? ks_user_blob(user.session_uaddr, user.session_len, &ret)
                  : NULL;
    if (!session) {
        return ret;
    }
    if (ks_file(cmd->sev_fd)->kind != KS_SEV) {
        return -EBADF;
    }
    buf = (PspLaunchStart) {
        .handle = GUINT32_TO_LE(user.handle),
        .policy = GUINT32_TO_LE(user.policy),
        .dh_cert_paddr = ks_paddr(pdh),
        .dh_cert_len = GUINT32_TO_LE(user.pdh_len),
        .session_paddr = ks_paddr(session),
        .session_len = GUINT32_TO_LE(user.session_len),
    };
    ret = ks_firmware(vm, PSP_CMD_RECEIVE_START, &buf, sizeof(buf),
                      &cmd->error);
    if (ret) {
        return ret;
    }
    ret = ks_bind(vm, buf.handle, &cmd->error);
    if (ret) {
        return ret;
    }
    user.handle = GUINT32_FROM_LE(buf.handle);
    if (ks_to_user(cmd->data, &user, sizeof(user))) {
        ks_unbind(vm, buf.handle);
        return -EFAULT;
    }
    vm->handle = user.handle;
    vm->received = true;
    vm->state = PSP_GUEST_RUPDATE;
    return 0;
}

int ks_sev_receive_update(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree void *hdr = NULL, *trans = NULL;
    struct kvm_sev_receive_update_data user;
    PspPacketCmd buf;
    uint64_t pages;
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (!user.hdr_uaddr || !user.hdr_len || !user.guest_uaddr ||
        !user.guest_len || !user.trans_uaddr || !user.trans_len ||
        !within_page(user.guest_uaddr, user.guest_len)) {
        return -EINVAL;
    }
    hdr = ks_user_blob(user.hdr_uaddr, user.hdr_len, &ret);
    trans = hdr ? ks_user_blob(user.trans_uaddr, user.trans_len, &ret) : NULL;
    if (!trans) {
        return ret;
    }
    ret = ks_pin(vm, user.guest_uaddr & ~(uint64_t)(KS_PAGE - 1), KS_PAGE,
                 &pages);
    if (ret) {
        return ret;
    }
    ks_check_range(vm, "RECEIVE_UPDATE_DATA", user.guest_uaddr,
                   user.guest_len);
    buf = (PspPacketCmd) {
        .handle = GUINT32_TO_LE(vm->handle),
        .hdr_paddr = ks_paddr(hdr), .hdr_len = GUINT32_TO_LE(user.hdr_len),
        .guest_paddr = GUINT64_TO_LE(user.guest_uaddr),
        .guest_len = GUINT32_TO_LE(user.guest_len),
        .trans_paddr = ks_paddr(trans),
        .trans_len = GUINT32_TO_LE(user.trans_len),
    };
    ret = ks_firmware(vm, PSP_CMD_RECEIVE_UPDATE_DATA, &buf, sizeof(buf),
                      &cmd->error);
    ks_unpin(vm, pages);
    return ret;
}
