/*
 * One SEV guest's pages and packets: SEND_* and RECEIVE_* through the seam.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include "cpu.h"
#include "target/i386/sev/backend/backend.h"
#include "target/i386/sev/test/fault.h"
#include "guest-page.h"
#include "kvm-guest.h"
#include "sev-guest.h"
#include "trace.h"

void sev_guest_identity_clear(SevGuestIdentity *id)
{
    g_clear_pointer(&id->measurement, g_free);
    g_clear_pointer(&id->claimed_by, g_free);
}

static bool fw_failed(Error **errp, const char *cmd, int ret, int fw_error)
{
    g_autofree char *limits = ret == -ENOMEM ? sev_kvm_limits_explain() : NULL;

    if (limits && fw_error <= 0) {
        error_setg(errp, "SEV: %s failed: %s", cmd, limits);
    } else {
        sev_fw_failed(errp, cmd, -ret, fw_error);
    }
    return false;
}

/* The seam, and the points where tests let the firmware refuse. */
static int guest_cmd(SevFaultPoint point, int cmd, void *data, int *fw_error)
{
    int ret = sev_fault_command(point, fw_error);

    return ret ? ret : sev_guest_cmd(cmd, data, fw_error);
}

static bool in_state(SevState state, const char *cmd, Error **errp)
{
    SevState now = sev_guest_state();

    if (now != state) {
        error_setg(errp, "SEV: %s needs a guest in state '%s', it is in '%s'",
                   cmd, SevState_str(state), SevState_str(now));
        return false;
    }
    return true;
}

/* A command without arguments that moves the guest to @next. */
static bool finish(SevFaultPoint point, int cmd, const char *name,
                   SevState from, SevState next, Error **errp)
{
    int fw_error = 0, ret;

    if (!in_state(from, name, errp)) {
        return false;
    }
    ret = guest_cmd(point, cmd, NULL, &fw_error);
    if (ret) {
        return fw_failed(errp, name, ret, fw_error);
    }
    sev_guest_set_state(next);
    return true;
}

/* KVM has one struct under two names for the two directions. */
typedef struct kvm_sev_send_update_data SevUpdateData;
QEMU_BUILD_BUG_ON(sizeof(SevUpdateData) !=
                  sizeof(struct kvm_sev_receive_update_data));

/* The command for @job; false when there is no such page. */
static bool update_data(SevUpdateData *update, const SevPageJob *job,
                        Error **errp)
{
    uint8_t *bytes = sev_page_bytes(&job->page);

    *update = (SevUpdateData) {
        .hdr_uaddr = (uintptr_t)job->hdr,
        .hdr_len = SEV_PACKET_HDR_LEN,
        .guest_uaddr = (uintptr_t)bytes,
        .guest_len = TARGET_PAGE_SIZE,
        .trans_uaddr = (uintptr_t)job->data,
        .trans_len = SEV_PACKET_DATA_LEN,
    };
    if (!bytes) {
        error_setg(errp, "SEV: block '%s' has no page at offset 0x"
                   RAM_ADDR_FMT, job->page.rb->idstr, job->page.offset);
    }
    return bytes;
}

/* What differs between the two directions. */
typedef struct Update {
    int cmd;
    const char *name;
    SevFaultPoint fault;
} Update;

static const Update send_update = {
    KVM_SEV_SEND_UPDATE_DATA, "SEND_UPDATE_DATA", SEV_FAULT_SEND_UPDATE_DATA,
};
static const Update receive_update = {
    KVM_SEV_RECEIVE_UPDATE_DATA, "RECEIVE_UPDATE_DATA",
    SEV_FAULT_RECEIVE_UPDATE_DATA,
};

static bool update_failed(Error **errp, const Update *u,
                          const SevPage *page, int ret, int fw_error)
{
    ERRP_GUARD();

    if (u->cmd == KVM_SEV_RECEIVE_UPDATE_DATA &&
        fw_error == SEV_RET_BAD_MEASUREMENT) {
        error_setg(errp, "SEV: the packet fails its MAC: it was changed on "
                   "the way, or belongs to another session");
    } else {
        fw_failed(errp, u->name, ret, fw_error);
    }
    error_prepend(errp, "Page 0x" RAM_ADDR_FMT " of RAM block %s: ",
                  page->offset, page->rb->idstr);
    return false;
}

static bool update_pages(const Update *u, const SevPageJob *jobs, size_t n,
                         Error **errp)
{
    SevUpdateData updates[SEV_PAGE_JOBS_MAX];
    int fw_error = 0, ret;
    size_t done;

    assert(n <= SEV_PAGE_JOBS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!update_data(&updates[i], &jobs[i], errp)) {
            return false;
        }
        ret = sev_fault_command(u->fault, &fw_error);
        if (ret) {
            return update_failed(errp, u, &jobs[i].page, ret, fw_error);
        }
    }
    ret = sev_guest_packets(u->cmd, updates, n, &done, &fw_error);
    return !ret || update_failed(errp, u, &jobs[done].page, ret, fw_error);
}

/* --- Source -------------------------------------------------------------- */

bool sev_send_start(const SevPlatformCerts *target, uint8_t *session,
                    Error **errp)
{
    struct kvm_sev_send_start start = {
        .pdh_cert_uaddr = (uintptr_t)target->pdh,
        .pdh_cert_len = target->pdh_len,
        .plat_certs_uaddr = (uintptr_t)target->plat,
        .plat_certs_len = target->plat_len,
        .amd_certs_uaddr = (uintptr_t)target->amd,
        .amd_certs_len = target->amd_len,
        .session_uaddr = (uintptr_t)session,
        .session_len = SEV_SESSION_LEN,
    };
    int fw_error = 0, ret;

    if (!in_state(SEV_STATE_RUNNING, "SEND_START", errp)) {
        return false;
    }
    ret = guest_cmd(SEV_FAULT_SEND_START, KVM_SEV_SEND_START, &start,
                    &fw_error);
    if (ret) {
        return fw_failed(errp, "SEND_START", ret, fw_error);
    }
    sev_guest_set_state(SEV_STATE_SEND_UPDATE);
    trace_sev_send_start(start.policy);
    return true;
}

bool sev_send_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    return update_pages(&send_update, jobs, n, errp);
}

bool sev_send_finish(Error **errp)
{
    bool ok = finish(SEV_FAULT_SEND_FINISH, KVM_SEV_SEND_FINISH, "SEND_FINISH",
                     SEV_STATE_SEND_UPDATE, SEV_STATE_UNINIT, errp);

    /* Even if the chip refuses: the guest does not run here again. */
    sev_backend_guest_end();
    sev_vcpus_forget();
    return ok;
}

bool sev_send_cancel(Error **errp)
{
    return finish(SEV_FAULT_SEND_CANCEL, KVM_SEV_SEND_CANCEL, "SEND_CANCEL",
                  SEV_STATE_SEND_UPDATE, SEV_STATE_RUNNING, errp);
}

/* --- Target -------------------------------------------------------------- */

bool sev_receive_start(const SevGuestIdentity *id,
                       const uint8_t *pdh, size_t pdh_len,
                       const uint8_t *session, size_t session_len,
                       Error **errp)
{
    struct kvm_sev_receive_start start = {
        .policy = id->policy,
        .pdh_uaddr = (uintptr_t)pdh,
        .pdh_len = pdh_len,
        .session_uaddr = (uintptr_t)session,
        .session_len = session_len,
    };
    int fw_error = 0, ret;

    if (!in_state(SEV_STATE_UNINIT, "RECEIVE_START", errp)) {
        return false;
    }
    ret = guest_cmd(SEV_FAULT_RECEIVE_START, KVM_SEV_RECEIVE_START, &start,
                    &fw_error);
    if (ret) {
        return fw_failed(errp, "RECEIVE_START", ret, fw_error);
    }
    sev_guest_adopt(id);
    sev_guest_set_state(SEV_STATE_RECEIVE_UPDATE);
    trace_sev_receive_start(id->policy);
    return true;
}

bool sev_receive_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    return update_pages(&receive_update, jobs, n, errp);
}

bool sev_receive_finish(Error **errp)
{
    return finish(SEV_FAULT_RECEIVE_FINISH, KVM_SEV_RECEIVE_FINISH,
                  "RECEIVE_FINISH", SEV_STATE_RECEIVE_UPDATE,
                  SEV_STATE_RUNNING, errp);
}
