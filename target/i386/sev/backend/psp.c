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
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "psp-int.h"
#include "hw/psp/psp-store.h"
#include "psp-host.h"
#include "target/i386/sev/trace.h"

int sev_psp_kernel_status(PspCommand cmd, PspStatus status, int *fw_error)
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

int sev_psp_run(SevPsp *sp, PspCommand cmd, void *buf, size_t len,
                int *fw_error)
{
    return sev_psp_kernel_status(cmd, psp_exec(sp->psp, cmd, buf, len),
                                 fw_error);
}

int sev_psp_run_handle(SevPsp *sp, PspCommand cmd, int *fw_error)
{
    PspHandleCmd buf = { .handle = cpu_to_le32(sp->handle) };

    return sev_psp_run(sp, cmd, &buf, sizeof(buf), fw_error);
}

int sev_psp_guest_cmd(SevPsp *sp, int cmd, void *data, int *fw_error)
{
    *fw_error = 0;
    switch (cmd) {
    case KVM_SEV_INIT:
        return 0;               /* the platform is up since sev_psp_new() */
    case KVM_SEV_LAUNCH_START:
        return sev_psp_guest_start(sp, PSP_CMD_LAUNCH_START, data, fw_error);
    case KVM_SEV_LAUNCH_UPDATE_DATA:
        return sev_psp_launch_update(sp, data, fw_error);
    case KVM_SEV_LAUNCH_UPDATE_VMSA:
        return sev_psp_launch_vmsas(sp, fw_error);
    case KVM_SEV_LAUNCH_SECRET:
        return sev_psp_packet(sp, PSP_CMD_LAUNCH_SECRET, data, fw_error);
    case KVM_SEV_LAUNCH_MEASURE:
        return sev_psp_launch_measure(sp, data, fw_error);
    case KVM_SEV_LAUNCH_FINISH:
        return sev_psp_run_handle(sp, PSP_CMD_LAUNCH_FINISH, fw_error);
    case KVM_SEV_SEND_START:
        return sev_psp_send_start(sp, data, fw_error);
    case KVM_SEV_SEND_UPDATE_DATA:
        return sev_psp_packet(sp, PSP_CMD_SEND_UPDATE_DATA, data, fw_error);
    case KVM_SEV_SEND_UPDATE_VMSA:
        return sev_psp_vmsa(sp, PSP_CMD_SEND_UPDATE_VMSA, data, fw_error);
    case KVM_SEV_SEND_FINISH:
        return sev_psp_run_handle(sp, PSP_CMD_SEND_FINISH, fw_error);
    case KVM_SEV_SEND_CANCEL:
        return sev_psp_run_handle(sp, PSP_CMD_SEND_CANCEL, fw_error);
    case KVM_SEV_RECEIVE_START:
        return sev_psp_guest_start(sp, PSP_CMD_RECEIVE_START, data, fw_error);
    case KVM_SEV_RECEIVE_UPDATE_DATA:
        return sev_psp_packet(sp, PSP_CMD_RECEIVE_UPDATE_DATA, data, fw_error);
    case KVM_SEV_RECEIVE_UPDATE_VMSA:
        return sev_psp_vmsa(sp, PSP_CMD_RECEIVE_UPDATE_VMSA, data, fw_error);
    case KVM_SEV_RECEIVE_FINISH:
        return sev_psp_run_handle(sp, PSP_CMD_RECEIVE_FINISH, fw_error);
    case KVM_SEV_GUEST_STATUS:
        return sev_psp_guest_status(sp, data, fw_error);
    case KVM_SEV_DBG_DECRYPT:
        return sev_psp_debug(sp, PSP_CMD_DBG_DECRYPT, data, fw_error);
    case KVM_SEV_DBG_ENCRYPT:
        return sev_psp_debug(sp, PSP_CMD_DBG_ENCRYPT, data, fw_error);
    case KVM_SEV_GET_ATTESTATION_REPORT:
        return sev_psp_attestation(sp, data, fw_error);
    default:
        errno = EINVAL;
        return -EINVAL;         /* as KVM for those of SNP without it */
    }
}

/* --- Platform commands -------------------------------------------------- */

static int platform_status(SevPsp *sp, struct sev_user_data_status *p,
                           int *fw_error)
{
    PspPlatformStatus buf = {};
    int ret = sev_psp_run(sp, PSP_CMD_PLATFORM_STATUS, &buf,
                          sizeof(buf), fw_error);

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
    int ret = sev_psp_run(sp, PSP_CMD_PDH_CERT_EXPORT, &buf,
                          sizeof(buf), fw_error);

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
    int ret = sev_psp_run(sp, PSP_CMD_GET_ID, &buf, sizeof(buf), fw_error);

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
    PspInit init = { .flags = cpu_to_le32(PSP_INIT_ES) };
    PspStatus status;
    SevPsp *sp;

    store = psp_store_open(dir, &err);
    psp = store ? psp_platform_new(&sev_psp_host, store, &err) : NULL;
    if (!psp) {
        error_setg(errp, "SEV: software secure processor in '%s': %s", dir,
                   err->message);
        return NULL;
    }
    status = psp_exec(psp, PSP_CMD_INIT, &init, sizeof(init));
    if (status != PSP_SUCCESS) {
        error_setg(errp, "SEV: software secure processor in '%s': INIT answers "
                   "%s%s%s", dir, psp_status_name(status),
                   psp_last_error() ? ": " : "", psp_last_error() ?: "");
        return NULL;
    }
    sp = g_new0(SevPsp, 1);
    sp->store = g_steal_pointer(&store);
    sp->psp = g_steal_pointer(&psp);
    return sp;
}
