/*
 * KVM's SEV commands as commands of the SEV API: packets, and the sessions
 * they travel under.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "psp-int.h"
#include "target/i386/sev/guest-page.h"
#include "hw/psp/psp-chain.h"
#include "hw/psp/psp-memory.h"
#include "hw/psp/psp-packet-key.h"
#include "hw/psp/psp-store.h"
#include "psp-host.h"
#include "psp-delay.h"

/* The chip's own checks know the roots that the operator trusts now. */
static void trust_roots(SevPsp *sp)
{
    g_autoptr(PspRoots) roots = psp_roots_new();
    g_autoptr(GError) err = NULL;

    if (psp_roots_add_dir(roots, psp_store_roots_dir(sp->store), &err)) {
        psp_platform_trust(sp->psp, g_steal_pointer(&roots));
    } else {
        warn_report("SEV: trusted roots: %s", err->message);
    }
}

int sev_psp_send_start(SevPsp *sp, struct kvm_sev_send_start *p, int *fw_error)
{
    PspSendStart buf = {
        .handle = cpu_to_le32(sp->handle),
        .pdh_paddr = psp_window(0, p->pdh_cert_uaddr, p->pdh_cert_len),
        .pdh_len = cpu_to_le32(p->pdh_cert_len),
        .plat_paddr = psp_window(1, p->plat_certs_uaddr, p->plat_certs_len),
        .plat_len = cpu_to_le32(p->plat_certs_len),
        .amd_paddr = psp_window(2, p->amd_certs_uaddr, p->amd_certs_len),
        .amd_len = cpu_to_le32(p->amd_certs_len),
        .session_paddr = psp_window(3, p->session_uaddr, p->session_len),
        .session_len = cpu_to_le32(p->session_len),
    };
    int ret;

    if (p->session_len && (!p->pdh_cert_len || !p->plat_certs_len ||
                           !p->amd_certs_len || !p->session_uaddr)) {
        errno = EINVAL;
        return -EINVAL;
    }
    trust_roots(sp);
    ret = sev_psp_run(sp, PSP_CMD_SEND_START, &buf, sizeof(buf), fw_error);
    p->policy = le32_to_cpu(buf.policy);
    p->session_len = le32_to_cpu(buf.session_len);
    return ret;
}

/* The command buffer for @p, with windows @n and @n + 1. */
static int packet_cmd(SevPsp *sp, PspCommand cmd, unsigned int n,
                      const struct kvm_sev_send_update_data *p,
                      PspPacketCmd *buf)
{
    uint64_t paddr;

    if (!sev_guest_paddr(p->guest_uaddr, p->guest_len, &paddr)) {
        errno = EFAULT;
        return -EFAULT;
    }
    if (cmd != PSP_CMD_LAUNCH_SECRET &&
        (paddr & (PSP_PAGE_SIZE - 1)) + p->guest_len > PSP_PAGE_SIZE) {
        errno = EINVAL;
        return -EINVAL;
    }
    *buf = (PspPacketCmd) {
        .handle = cpu_to_le32(sp->handle),
        .hdr_paddr = psp_window(n, p->hdr_uaddr, p->hdr_len),
        .hdr_len = cpu_to_le32(p->hdr_len),
        .guest_paddr = cpu_to_le64(paddr),
        .guest_len = cpu_to_le32(p->guest_len),
        .trans_paddr = psp_window(n + 1, p->trans_uaddr, p->trans_len),
        .trans_len = cpu_to_le32(p->trans_len),
    };
    return 0;
}

/* Packets that fit the windows; *@done of them are right. */
static int packet_batch(SevPsp *sp, PspCommand cmd,
                        struct kvm_sev_send_update_data *p, size_t n,
                        size_t *done, int *fw_error)
{
    PspPacketCmd bufs[PSP_BATCH_MAX];
    PspStatus status;
    int64_t until;
    int bad = 0, ret;

    for (size_t i = 0; i < n; i++) {
        bad = packet_cmd(sp, cmd, 2 * i, &p[i], &bufs[i]);
        if (bad) {
            n = i;
        }
    }
    until = sev_slow_psp_reserve(n);
    status = psp_exec_batch(sp->psp, cmd, bufs, sizeof(bufs[0]), n, done);
    sev_slow_psp_wait(until);
    /* One that failed may have said which lengths it wants. */
    for (size_t i = 0; i < MIN(*done + 1, n); i++) {
        p[i].hdr_len = le32_to_cpu(bufs[i].hdr_len);
        p[i].trans_len = le32_to_cpu(bufs[i].trans_len);
    }
    for (size_t i = 0; i < *done && cmd != PSP_CMD_SEND_UPDATE_DATA; i++) {
        sev_guest_page_mark_private(le64_to_cpu(bufs[i].guest_paddr),
                                    p[i].guest_len);
    }
    ret = sev_psp_kernel_status(cmd, status, fw_error);
    if (!ret && bad) {
        errno = -bad;
        return bad;
    }
    return ret;
}

/*
 * LAUNCH_SECRET, SEND_UPDATE_DATA, RECEIVE_UPDATE_DATA: each packet is for one
 * range of guest memory within a page (a secret: within its area).
 */
static int packets(SevPsp *sp, PspCommand cmd,
                   struct kvm_sev_send_update_data *p, size_t n, size_t *done,
                   int *fw_error)
{
    int ret = 0;

    for (*done = 0; *done < n && !ret;) {
        size_t ok;

        ret = packet_batch(sp, cmd, p + *done, MIN(n - *done, PSP_BATCH_MAX),
                           &ok, fw_error);
        *done += ok;
    }
    return ret;
}

int sev_psp_packet(SevPsp *sp, PspCommand cmd,
                   struct kvm_sev_send_update_data *p, int *fw_error)
{
    size_t done;

    return packets(sp, cmd, p, 1, &done, fw_error);
}

/* On silicon the VMSA is a page of memory, under the guest's key. */
int sev_psp_vmsa(SevPsp *sp, PspCommand cmd,
                 struct kvm_sev_send_update_data *p, int *fw_error)
{
    g_autoptr(PspMemKey) key = psp_mem_key_get(sp->psp, SEV_PSP_ASID);
    void *plain = (void *)(uintptr_t)p->guest_uaddr;
    QEMU_ALIGNED(16) uint8_t page[PSP_PAGE_SIZE] = {};
    PspPacketCmd buf = {
        .handle = cpu_to_le32(sp->handle),
        .hdr_paddr = psp_window(0, p->hdr_uaddr, p->hdr_len),
        .hdr_len = cpu_to_le32(p->hdr_len),
        .guest_paddr = psp_window(1, (uintptr_t)page, sizeof(page)),
        .guest_len = cpu_to_le32(sizeof(page)),
        .trans_paddr = psp_window(2, p->trans_uaddr, p->trans_len),
        .trans_len = cpu_to_le32(p->trans_len),
    };
    uint64_t paddr = le64_to_cpu(buf.guest_paddr);
    int64_t until;
    int ret;

    if (!key || p->guest_len != sizeof(page)) {
        errno = EINVAL;
        return -EINVAL;
    }
    if (cmd == PSP_CMD_SEND_UPDATE_VMSA) {
        psp_mem_encrypt(key, paddr, plain, page, sizeof(page));
    }
    until = sev_slow_psp_reserve(1);
    ret = sev_psp_run(sp, cmd, &buf, sizeof(buf), fw_error);
    sev_slow_psp_wait(until);
    if (!ret && cmd == PSP_CMD_RECEIVE_UPDATE_VMSA) {
        psp_mem_decrypt(key, paddr, page, plain, sizeof(page));
    }
    p->hdr_len = le32_to_cpu(buf.hdr_len);
    p->trans_len = le32_to_cpu(buf.trans_len);
    return ret;
}

int sev_psp_guest_packets(SevPsp *sp, int cmd,
                          struct kvm_sev_send_update_data *p, size_t n,
                          size_t *done, int *fw_error)
{
    *fw_error = 0;
    return packets(sp, cmd == KVM_SEV_SEND_UPDATE_DATA ?
                   PSP_CMD_SEND_UPDATE_DATA : PSP_CMD_RECEIVE_UPDATE_DATA,
                   p, n, done, fw_error);
}

struct PspPacketKey *sev_psp_packet_key(SevPsp *sp)
{
    return psp_packet_key_get(sp->psp, sp->handle);
}

struct PspPacketKey *
sev_psp_session_key(SevPsp *sp, const struct kvm_sev_receive_start *p,
                    int *fw_error)
{
    PspLaunchStart buf = {
        .policy = cpu_to_le32(p->policy),
        .dh_cert_paddr = psp_window(0, p->pdh_uaddr, p->pdh_len),
        .dh_cert_len = cpu_to_le32(p->pdh_len),
        .session_paddr = psp_window(1, p->session_uaddr, p->session_len),
        .session_len = cpu_to_le32(p->session_len),
    };
    PspHandleCmd handle;
    PspPacketKey *key;
    int unused;

    if (sev_psp_run(sp, PSP_CMD_RECEIVE_START, &buf, sizeof(buf), fw_error)) {
        return NULL;
    }
    key = psp_packet_key_get(sp->psp, le32_to_cpu(buf.handle));
    handle = (PspHandleCmd) { .handle = buf.handle };
    sev_psp_run(sp, PSP_CMD_DECOMMISSION, &handle, sizeof(handle), &unused);
    return key;
}
