/*
 * A guest's attestation report: asked for here, or judged when it comes from
 * another platform.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include "target/i386/sev/backend/backend.h"
#include "target/i386/sev/test/fault.h"
#include "hw/psp/psp-chain.h"
#include "trace.h"
#include "transfer.h"

QEMU_BUILD_BUG_ON(SEV_REPORT_LEN != PSP_REPORT_LEN);
QEMU_BUILD_BUG_ON(SEV_MNONCE_LEN != PSP_MNONCE_LEN);

bool sev_attest(const uint8_t mnonce[SEV_MNONCE_LEN],
                uint8_t report[SEV_REPORT_LEN], int *fw_error, Error **errp)
{
    struct kvm_sev_attestation_report cmd = {
        .uaddr = (uintptr_t)report,
        .len = SEV_REPORT_LEN,
    };
    int ret;

    memcpy(cmd.mnonce, mnonce, SEV_MNONCE_LEN);
    *fw_error = 0;
    ret = sev_fault_command(SEV_FAULT_ATTESTATION, fw_error);
    if (!ret) {
        ret = sev_guest_cmd(KVM_SEV_GET_ATTESTATION_REPORT, &cmd, fw_error);
    }
    if (ret) {
        error_setg(errp, "SEV: the secure processor makes no attestation "
                   "report: %s (%d)", *fw_error ? sev_fw_error_str(*fw_error)
                   : strerror(-ret), *fw_error);
    } else if (cmd.len != SEV_REPORT_LEN) {
        error_setg(errp, "SEV: an attestation report has %u bytes, not %d",
                   cmd.len, SEV_REPORT_LEN);
        ret = -EINVAL;
    }
    trace_sev_attest(ret, *fw_error);
    return !ret;
}

bool sev_report_check(const SevPlatformCerts *platform, const uint8_t *report,
                      size_t len, const uint8_t mnonce[SEV_MNONCE_LEN],
                      Error **errp)
{
    PspChain chain = {
        .pdh = platform->pdh, .pdh_len = platform->pdh_len,
        .plat = platform->plat, .plat_len = platform->plat_len,
    };
    g_auto(SevGuestIdentity) id = {};
    g_autoptr(GError) err = NULL;

    sev_guest_identity(&id);
    if (!psp_report_verify(&chain, report, len, mnonce, id.policy, &err)) {
        error_setg(errp, "SEV: %s", err->message);
        return false;
    }
    return true;
}
