/*
 * May this guest be migrated, or be made a template?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/blocker.h"
#include "backend/backend.h"
#include "declared-pages.h"
#include "kvm-guest.h"
#include "sev-guest.h"
#include "sev.h"
#include "tcg/smm.h"

/* A launch that LAUNCH_FINISH has not ended yet */
bool sev_guest_unlaunched(void)
{
    SevState state = sev_guest_state();

    return state == SEV_STATE_LAUNCH_UPDATE ||
           state == SEV_STATE_LAUNCH_SECRET;
}

bool sev_policy_may_send(uint32_t policy, Error **errp)
{
    if (policy & SEV_POLICY_NOSEND) {
        error_setg(errp, "SEV: the guest's policy 0x%x has NOSEND: its owner "
                   "forbids migration and templates", policy);
    }
    return !(policy & SEV_POLICY_NOSEND);
}

/* Reasons that stay for as long as this VM lives. */
static bool can_ever_send(Error **errp)
{
    g_auto(SevGuestIdentity) id = {};

    if (!sev_guest_present()) {
        error_setg(errp, "SEV: SEV-ES and SEV-SNP guests cannot be migrated "
                   "under KVM: it has no SEND_UPDATE_VMSA, the command for "
                   "their registers");
        return false;
    }
    if (!sev_backend_is_software() && !sev_kvm_can_follow(errp)) {
        return false;
    }
    sev_guest_identity(&id);
    return sev_policy_may_send(id.policy, errp);
}

bool sev_guest_can_send(Error **errp)
{
    if (sev_guest_unlaunched()) {
        error_setg(errp, "SEV: the guest has not run yet, and its launch ends "
                   "when it first runs: 'cont' before it is migrated");
        return false;
    }
    return can_ever_send(errp) && sev_vcpus_can_move(errp) &&
           sev_declared_possible(errp) && sev_declared_by_guest(errp);
}

bool sev_guest_may_move(Error **errp)
{
    return sev_smm_may_move(errp) && sev_declared_by_guest(errp);
}

/* NOSEND is known for good: query-migrate lists it before anybody tries. */
void sev_guest_launched(Error **blocker, Error **errp)
{
    if (!can_ever_send(blocker)) {
        migrate_add_blocker(blocker, errp);
    }
}
