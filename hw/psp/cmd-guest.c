/*
 * Commands about guest contexts: bound to an ASID, unbound, dropped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "commands.h"

static PspStatus psp_activate(PspCall *call, uint32_t asid)
{
    PspPlatform *psp = call->psp;
    PspGuest *guest = call->guest;

    if (asid == 0 || asid > PSP_ASID_MAX) {
        return PSP_INVALID_ASID;
    }
    if (guest->asid) {
        return PSP_ACTIVE;
    }
    if (psp->asids[asid].key) {
        return PSP_ASID_OWNED;
    }
    if (psp->asids[asid].dirty) {
        return PSP_DFFLUSH_REQUIRED;
    }
    psp->asids[asid].key = psp_mem_key_ref(guest->vek);
    guest->asid = asid;
    return PSP_SUCCESS;
}

PspStatus psp_cmd_activate(PspCall *call)
{
    const PspActivate *cmd = call->buf;

    return psp_activate(call, psp_le32(cmd->asid));
}

/* One memory controller serves all core complexes here: the list is moot. */
PspStatus psp_cmd_activate_ex(PspCall *call)
{
    const PspActivateEx *cmd = call->buf;

    if (psp_le32(cmd->length) != sizeof(*cmd)) {
        return PSP_INVALID_LEN;
    }
    return psp_activate(call, psp_le32(cmd->asid));
}

PspStatus psp_cmd_deactivate(PspCall *call)
{
    PspAsid *asid = &call->psp->asids[call->guest->asid];

    if (!call->guest->asid) {
        return PSP_INACTIVE;
    }
    g_clear_pointer(&asid->key, psp_mem_key_unref);
    asid->dirty = true;
    call->guest->asid = 0;
    return PSP_SUCCESS;
}

PspStatus psp_cmd_decommission(PspCall *call)
{
    return call->guest->asid ? PSP_ACTIVE : PSP_SUCCESS;
}

PspStatus psp_cmd_guest_status(PspCall *call)
{
    const PspGuest *guest = call->guest;
    PspGuestStatus *out = call->buf;

    out->policy = GUINT32_TO_LE(guest->policy);
    out->asid = GUINT32_TO_LE(guest->asid);
    out->state = guest->state;
    return PSP_SUCCESS;
}
