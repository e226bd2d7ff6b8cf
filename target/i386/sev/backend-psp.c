/*
 * The kernel's part in front of a software secure processor: KVM's and ccp's
 * commands become commands of the SEV API, host pointers become
 * system-physical addresses.
 *
 * A guest page's system-physical address is its ram_addr_t.  The VMM's own
 * buffers appear in windows above all RAM, for the time of one command.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include "backend-psp.h"
#include "guest-page.h"
#include "page-state.h"
#include "hw/psp/psp-chain.h"
#include "hw/psp/psp-store.h"
#include "hw/psp/psp-memory.h"
#include "hw/psp/psp-packet-key.h"
#include "psp-host.h"
#include "slow-psp.h"
#include "trace.h"

/* Any number will do: contexts live in this process, as one VM's do. */
#define SEV_PSP_ASID 1

struct SevPsp {
    PspStore *store;
    PspPlatform *psp;
    uint32_t handle;            /* of the guest; 0 when there is none */
};

/* What a command answers through the kernel's interface. */
static int kernel_status(PspCommand cmd, PspStatus status, int *fw_error)
{
    trace_sev_backend_cmd(psp_command_name(cmd), psp_status_name(status));
    *fw_error = status;
    if (status == PSP_SUCCESS) {
        return 0;
    }
    if (psp_last_error()) {
        error_report("SEV: %s: %s", psp_command_name(cmd), psp_last_error());
    }
    errno = EIO;
    return -EIO;
}

static int run(SevPsp *sp, PspCommand cmd, void *buf, size_t len,
               int *fw_error)
{
    return kernel_status(cmd, psp_exec(sp->psp, cmd, buf, len), fw_error);
}

static int run_handle(SevPsp *sp, PspCommand cmd, int *fw_error)
{
    PspHandleCmd buf = { .handle = cpu_to_le32(sp->handle) };

    return run(sp, cmd, &buf, sizeof(buf), fw_error);
}

/* --- Guest commands ---------------------------------------------------- */

/* LAUNCH_START and RECEIVE_START: a context, bound to the guest's ASID. */
static int guest_start(SevPsp *sp, PspCommand cmd,
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
    int unused, ret = run(sp, cmd, &buf, sizeof(buf), fw_error);

    if (ret) {
        return ret;
    }
    sp->handle = le32_to_cpu(buf.handle);
    activate.handle = buf.handle;
    ret = run(sp, PSP_CMD_ACTIVATE, &activate, sizeof(activate), fw_error);
    if (ret) {
        run_handle(sp, PSP_CMD_DECOMMISSION, &unused);
        sp->handle = 0;
        return ret;
    }
    p->handle = sp->handle;
    sev_guest_page_set_key(sp->psp, SEV_PSP_ASID);
    return 0;
}

static int launch_update(SevPsp *sp, struct kvm_sev_launch_update_data *p,
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
    ret = run(sp, PSP_CMD_LAUNCH_UPDATE_DATA, &buf, sizeof(buf), fw_error);
    if (!ret) {
        sev_guest_page_mark_private(paddr, p->len);
    }
    return ret;
}

static int launch_measure(SevPsp *sp, struct kvm_sev_launch_measure *p,
                          int *fw_error)
{
    PspLaunchMeasure buf = {
        .handle = cpu_to_le32(sp->handle),
        .measure_paddr = psp_window(0, p->uaddr, p->len),
        .measure_len = cpu_to_le32(p->len),
    };
    int ret = run(sp, PSP_CMD_LAUNCH_MEASURE, &buf, sizeof(buf), fw_error);

    p->len = le32_to_cpu(buf.measure_len);
    return ret;
}

static int attestation(SevPsp *sp, struct kvm_sev_attestation_report *p,
                       int *fw_error)
{
    PspAttestation buf = {
        .handle = cpu_to_le32(sp->handle),
        .report_paddr = psp_window(0, p->uaddr, p->len),
        .report_len = cpu_to_le32(p->len),
    };
    int ret;

    memcpy(buf.mnonce, p->mnonce, sizeof(buf.mnonce));
    ret = run(sp, PSP_CMD_ATTESTATION, &buf, sizeof(buf), fw_error);
    p->len = le32_to_cpu(buf.report_len);
    return ret;
}

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

static int send_start(SevPsp *sp, struct kvm_sev_send_start *p, int *fw_error)
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
    ret = run(sp, PSP_CMD_SEND_START, &buf, sizeof(buf), fw_error);
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
    PspPacketCmd bufs[PSP_WINDOWS / 2];
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
    ret = kernel_status(cmd, status, fw_error);
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

        ret = packet_batch(sp, cmd, p + *done, MIN(n - *done, PSP_WINDOWS / 2),
                           &ok, fw_error);
        *done += ok;
    }
    return ret;
}

static int packet(SevPsp *sp, PspCommand cmd,
                  struct kvm_sev_send_update_data *p, int *fw_error)
{
    size_t done;

    return packets(sp, cmd, p, 1, &done, fw_error);
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

static int guest_status(SevPsp *sp, struct kvm_sev_guest_status *p,
                        int *fw_error)
{
    PspGuestStatus buf = { .handle = cpu_to_le32(sp->handle) };
    int ret = run(sp, PSP_CMD_GUEST_STATUS, &buf, sizeof(buf), fw_error);

    p->handle = sp->handle;
    p->policy = le32_to_cpu(buf.policy);
    p->state = buf.state;
    return ret;
}

static int debug(SevPsp *sp, PspCommand cmd, struct kvm_sev_dbg *p,
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
    return run(sp, cmd, &buf, sizeof(buf), fw_error);
}

int sev_psp_guest_cmd(SevPsp *sp, int cmd, void *data, int *fw_error)
{
    *fw_error = 0;
    switch (cmd) {
    case KVM_SEV_INIT:
        return 0;               /* the platform is up since sev_psp_new() */
    case KVM_SEV_LAUNCH_START:
        return guest_start(sp, PSP_CMD_LAUNCH_START, data, fw_error);
    case KVM_SEV_LAUNCH_UPDATE_DATA:
        return launch_update(sp, data, fw_error);
    case KVM_SEV_LAUNCH_SECRET:
        return packet(sp, PSP_CMD_LAUNCH_SECRET, data, fw_error);
    case KVM_SEV_LAUNCH_MEASURE:
        return launch_measure(sp, data, fw_error);
    case KVM_SEV_LAUNCH_FINISH:
        return run_handle(sp, PSP_CMD_LAUNCH_FINISH, fw_error);
    case KVM_SEV_SEND_START:
        return send_start(sp, data, fw_error);
    case KVM_SEV_SEND_UPDATE_DATA:
        return packet(sp, PSP_CMD_SEND_UPDATE_DATA, data, fw_error);
    case KVM_SEV_SEND_FINISH:
        return run_handle(sp, PSP_CMD_SEND_FINISH, fw_error);
    case KVM_SEV_SEND_CANCEL:
        return run_handle(sp, PSP_CMD_SEND_CANCEL, fw_error);
    case KVM_SEV_RECEIVE_START:
        return guest_start(sp, PSP_CMD_RECEIVE_START, data, fw_error);
    case KVM_SEV_RECEIVE_UPDATE_DATA:
        return packet(sp, PSP_CMD_RECEIVE_UPDATE_DATA, data, fw_error);
    case KVM_SEV_RECEIVE_FINISH:
        return run_handle(sp, PSP_CMD_RECEIVE_FINISH, fw_error);
    case KVM_SEV_GUEST_STATUS:
        return guest_status(sp, data, fw_error);
    case KVM_SEV_DBG_DECRYPT:
        return debug(sp, PSP_CMD_DBG_DECRYPT, data, fw_error);
    case KVM_SEV_DBG_ENCRYPT:
        return debug(sp, PSP_CMD_DBG_ENCRYPT, data, fw_error);
    case KVM_SEV_GET_ATTESTATION_REPORT:
        return attestation(sp, data, fw_error);
    default:
        errno = EINVAL;
        return -EINVAL;         /* as KVM for SEV-ES and SNP without them */
    }
}

/* --- Platform commands -------------------------------------------------- */

static int platform_status(SevPsp *sp, struct sev_user_data_status *p,
                           int *fw_error)
{
    PspPlatformStatus buf = {};
    int ret = run(sp, PSP_CMD_PLATFORM_STATUS, &buf, sizeof(buf), fw_error);

    p->api_major = buf.api_major;
    p->api_minor = buf.api_minor;
    p->state = buf.state;
    p->flags = buf.owner | (uint32_t)le16_to_cpu(buf.config) << 8;
    p->build = buf.build;
    p->guest_count = le32_to_cpu(buf.guest_count);
    return ret;
}

static int pdh_cert_export(SevPsp *sp, struct sev_user_data_pdh_cert_export *p,
                           int *fw_error)
{
    PspPdhCertExport buf = {
        .pdh_paddr = psp_window(0, p->pdh_cert_address, p->pdh_cert_len),
        .pdh_len = cpu_to_le32(p->pdh_cert_len),
        .chain_paddr = psp_window(1, p->cert_chain_address,
                                  p->cert_chain_len),
        .chain_len = cpu_to_le32(p->cert_chain_len),
    };
    int ret = run(sp, PSP_CMD_PDH_CERT_EXPORT, &buf, sizeof(buf), fw_error);

    p->pdh_cert_len = le32_to_cpu(buf.pdh_len);
    p->cert_chain_len = le32_to_cpu(buf.chain_len);
    return ret ? -1 : 0;
}

static int get_id2(SevPsp *sp, struct sev_user_data_get_id2 *p, int *fw_error)
{
    PspGetId buf = {
        .id_paddr = psp_window(0, p->address, p->length),
        .id_len = cpu_to_le32(p->length),
    };
    int ret = run(sp, PSP_CMD_GET_ID, &buf, sizeof(buf), fw_error);

    p->length = le32_to_cpu(buf.id_len);
    return ret ? -1 : 0;
}

int sev_psp_platform_cmd(SevPsp *sp, int cmd, void *data, int *fw_error)
{
    *fw_error = 0;
    switch (cmd) {
    case SEV_PLATFORM_STATUS:
        return platform_status(sp, data, fw_error);
    case SEV_PDH_CERT_EXPORT:
        return pdh_cert_export(sp, data, fw_error);
    case SEV_GET_ID2:
        return get_id2(sp, data, fw_error);
    default:
        errno = EINVAL;         /* QEMU manages guests, not the platform */
        return -1;
    }
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

    if (run(sp, PSP_CMD_RECEIVE_START, &buf, sizeof(buf), fw_error)) {
        return NULL;
    }
    key = psp_packet_key_get(sp->psp, le32_to_cpu(buf.handle));
    handle = (PspHandleCmd) { .handle = buf.handle };
    run(sp, PSP_CMD_DECOMMISSION, &handle, sizeof(handle), &unused);
    return key;
}

/* --- Birth --------------------------------------------------------------- */

bool sev_psp_amd_chain(SevPsp *sp, uint8_t **amd, size_t *len, Error **errp)
{
    g_autoptr(GError) err = NULL;
    GBytes *bytes = NULL;
    gsize size;

    if (!psp_platform_amd_chain(sp->psp, &bytes, &err)) {
        error_setg(errp, "SEV: %s", err->message);
        return false;
    }
    *amd = g_bytes_unref_to_data(bytes, &size);
    *len = size;
    return true;
}

SevPsp *sev_psp_new(const char *dir, Error **errp)
{
    g_autoptr(PspStore) store = NULL;
    g_autoptr(PspPlatform) psp = NULL;
    g_autoptr(GError) err = NULL;
    PspInit init = {};
    PspStatus status;
    SevPsp *sp;

    store = psp_store_open(dir, &err);
    psp = store ? psp_platform_new(&sev_psp_host, store, &err) : NULL;
    if (!psp) {
        error_setg(errp, "software secure processor in '%s': %s", dir,
                   err->message);
        return NULL;
    }
    status = psp_exec(psp, PSP_CMD_INIT, &init, sizeof(init));
    if (status != PSP_SUCCESS) {
        error_setg(errp, "software secure processor in '%s': INIT answers %s"
                   "%s%s", dir, psp_status_name(status),
                   psp_last_error() ? ": " : "", psp_last_error() ?: "");
        return NULL;
    }
    sp = g_new0(SevPsp, 1);
    sp->store = g_steal_pointer(&store);
    sp->psp = g_steal_pointer(&psp);
    return sp;
}
