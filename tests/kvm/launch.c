/*
 * A guest's launch, its state, its report, and debugging: what KVM checks
 * before it calls the firmware, and what it hands back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>

#include "standin.h"

/* Physical memory is in pieces: a piece of at most this size per command. */
#define CONTIGUOUS  (2u << 20)

int ks_sev_launch_start(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree void *dh = NULL, *session = NULL;
    struct kvm_sev_launch_start user;
    PspLaunchStart buf = { 0 };
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (user.dh_uaddr) {
        dh = ks_user_blob(user.dh_uaddr, user.dh_len, &ret);
        if (!dh) {
            return ret;
        }
        buf.dh_cert_paddr = ks_paddr(dh);
        buf.dh_cert_len = GUINT32_TO_LE(user.dh_len);
    }
    if (user.session_uaddr) {
        session = ks_user_blob(user.session_uaddr, user.session_len, &ret);
        if (!session) {
            return ret;
        }
        buf.session_paddr = ks_paddr(session);
        buf.session_len = GUINT32_TO_LE(user.session_len);
    }
    buf.handle = GUINT32_TO_LE(user.handle);
    buf.policy = GUINT32_TO_LE(user.policy);
    if (ks_file(cmd->sev_fd)->kind != KS_SEV) {
        return -EBADF;
    }
    ret = ks_firmware(vm, PSP_CMD_LAUNCH_START, &buf, sizeof(buf), &cmd->error);
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
    vm->state = PSP_GUEST_LUPDATE;
    return 0;
}

int ks_sev_launch_update(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    struct kvm_sev_launch_update_data user;
    uint64_t at, end, pages, len;
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    ret = ks_pin(vm, user.uaddr, user.len, &pages);
    if (ret) {
        return ret;
    }
    ks_check_range(vm, "LAUNCH_UPDATE_DATA", user.uaddr, user.len);
    for (at = user.uaddr, end = at + user.len; at < end && !ret; at += len) {
        PspLaunchUpdate buf = {
            .handle = GUINT32_TO_LE(vm->handle), .paddr = GUINT64_TO_LE(at),
        };

        len = MIN(end, (at | (CONTIGUOUS - 1)) + 1) - at;
        buf.len = GUINT32_TO_LE(len);
        ret = ks_firmware(vm, PSP_CMD_LAUNCH_UPDATE_DATA, &buf, sizeof(buf),
                          &cmd->error);
    }
    ks_unpin(vm, pages);
    return ret;
}

int ks_sev_launch_measure(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree uint8_t *blob = NULL;
    struct kvm_sev_launch_measure user;
    PspLaunchMeasure buf = { .handle = GUINT32_TO_LE(vm->handle) };
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (user.len && user.uaddr) {
        if (user.len > KS_BLOB_MAX) {
            return -EINVAL;
        }
        blob = g_malloc0(user.len);
        buf.measure_paddr = ks_paddr(blob);
        buf.measure_len = GUINT32_TO_LE(user.len);
    }
    ret = ks_firmware(vm, PSP_CMD_LAUNCH_MEASURE, &buf, sizeof(buf),
                      &cmd->error);
    if (!ret) {
        vm->state = PSP_GUEST_LSECRET;
    }
    if (user.len) {
        if (ret) {
            return ret;
        }
        if (blob && ks_to_user(user.uaddr, blob, user.len)) {
            ret = -EFAULT;
        }
    }
    user.len = GUINT32_FROM_LE(buf.measure_len);
    return ks_to_user(cmd->data, &user, sizeof(user)) ?: ret;
}

int ks_sev_launch_secret(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree void *hdr = NULL, *trans = NULL;
    struct kvm_sev_launch_secret user;
    PspPacketCmd buf = { .handle = GUINT32_TO_LE(vm->handle) };
    uint64_t pages;
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    ret = ks_pin(vm, user.guest_uaddr, user.guest_len, &pages);
    if (ret) {
        return ret;
    }
    trans = ks_user_blob(user.trans_uaddr, user.trans_len, &ret);
    hdr = trans ? ks_user_blob(user.hdr_uaddr, user.hdr_len, &ret) : NULL;
    if (hdr) {
        buf.guest_paddr = GUINT64_TO_LE(user.guest_uaddr);
        buf.guest_len = GUINT32_TO_LE(user.guest_len);
        buf.trans_paddr = ks_paddr(trans);
        buf.trans_len = GUINT32_TO_LE(user.trans_len);
        buf.hdr_paddr = ks_paddr(hdr);
        buf.hdr_len = GUINT32_TO_LE(user.hdr_len);
        ret = ks_firmware(vm, PSP_CMD_LAUNCH_SECRET, &buf, sizeof(buf),
                          &cmd->error);
    }
    ks_unpin(vm, pages);
    return ret;
}

int ks_sev_simple(KsVm *vm, struct kvm_sev_cmd *cmd, PspCommand which,
                  PspGuestState next)
{
    int ret = ks_firmware_handle(vm, which, &cmd->error);

    if (!ret) {
        vm->state = next;
    }
    return ret;
}

int ks_sev_status(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    PspGuestStatus buf = { .handle = GUINT32_TO_LE(vm->handle) };
    struct kvm_sev_guest_status user;
    int ret = ks_firmware(vm, PSP_CMD_GUEST_STATUS, &buf, sizeof(buf),
                          &cmd->error);

    if (ret) {
        return ret;
    }
    user.handle = GUINT32_FROM_LE(buf.handle);
    user.policy = GUINT32_FROM_LE(buf.policy);
    user.state = buf.state;
    return ks_to_user(cmd->data, &user, sizeof(user));
}

int ks_sev_attestation(KsVm *vm, struct kvm_sev_cmd *cmd)
{
    g_autofree uint8_t *blob = NULL;
    struct kvm_sev_attestation_report user;
    PspAttestation buf = { .handle = GUINT32_TO_LE(vm->handle) };
    int ret;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (user.len && user.uaddr) {
        if (user.len > KS_BLOB_MAX) {
            return -EINVAL;
        }
        blob = g_malloc0(user.len);
        buf.report_paddr = ks_paddr(blob);
        buf.report_len = GUINT32_TO_LE(user.len);
        memcpy(buf.mnonce, user.mnonce, sizeof(buf.mnonce));
    }
    ret = ks_firmware(vm, PSP_CMD_ATTESTATION, &buf, sizeof(buf), &cmd->error);
    if (user.len) {
        if (ret) {
            return ret;
        }
        if (blob && ks_to_user(user.uaddr, blob, user.len)) {
            ret = -EFAULT;
        }
    }
    user.len = GUINT32_FROM_LE(buf.report_len);
    return ks_to_user(cmd->data, &user, sizeof(user)) ?: ret;
}

/* --- Debugging ------------------------------------------------------------- */

/* At most one page of each side; Linux aligns to 16 bytes by itself. */
static int debug_part(KsVm *vm, struct kvm_sev_cmd *cmd, bool decrypt,
                      uint64_t src, uint64_t dst, uint32_t len)
{
    uint64_t guest = decrypt ? src : dst;
    uint32_t skip = guest % 16, all = (skip + len + 15) / 16 * 16;
    uint8_t plain[KS_PAGE + 32] __attribute__((aligned(16))) = { 0 };
    PspDebug buf = {
        .handle = GUINT32_TO_LE(vm->handle),
        .src_paddr = GUINT64_TO_LE(guest - skip), .dst_paddr = ks_paddr(plain),
        .len = GUINT32_TO_LE(all),
    };
    int ret = 0;

    /* What is not whole blocks is read, changed and written. */
    if (decrypt || skip || all != len) {
        ret = ks_firmware(vm, PSP_CMD_DBG_DECRYPT, &buf, sizeof(buf),
                          &cmd->error);
    }
    if (ret || decrypt) {
        return ret ?: ks_to_user(dst, plain + skip, len);
    }
    if (ks_from_user(plain + skip, src, len)) {
        return -EFAULT;
    }
    buf.src_paddr = ks_paddr(plain);
    buf.dst_paddr = GUINT64_TO_LE(guest - skip);
    return ks_firmware(vm, PSP_CMD_DBG_ENCRYPT, &buf, sizeof(buf),
                       &cmd->error);
}

int ks_sev_debug(KsVm *vm, struct kvm_sev_cmd *cmd, bool decrypt)
{
    struct kvm_sev_dbg user;
    uint64_t pages[2];
    int ret = 0;

    if (ks_from_user(&user, cmd->data, sizeof(user))) {
        return -EFAULT;
    }
    if (!user.len || user.src_uaddr + user.len < user.src_uaddr ||
        !user.dst_uaddr) {
        return -EINVAL;
    }
    for (uint64_t done = 0; done < user.len && !ret;) {
        uint64_t src = user.src_uaddr + done, dst = user.dst_uaddr + done;
        uint64_t len = MIN(user.len - done, KS_PAGE - src % KS_PAGE);

        len = MIN(len, KS_PAGE - dst % KS_PAGE);
        ret = ks_pin(vm, src & ~(uint64_t)(KS_PAGE - 1), KS_PAGE, &pages[0]);
        if (ret) {
            break;
        }
        ret = ks_pin(vm, dst & ~(uint64_t)(KS_PAGE - 1), KS_PAGE, &pages[1]);
        if (!ret) {
            ret = debug_part(vm, cmd, decrypt, src, dst, len);
            ks_unpin(vm, pages[1]);
        }
        ks_unpin(vm, pages[0]);
        done += len;
    }
    return ret;
}
