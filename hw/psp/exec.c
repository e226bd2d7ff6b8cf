/*
 * The one way in: check, lock, run, commit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "commands.h"

static void psp_lock(PspPlatform *psp, const PspCommandRow *row)
{
    if (row->lock == PSP_LOCK_PLATFORM) {
        psp_rw_write_lock(&psp->lock);
    } else {
        psp_rw_read_lock(&psp->lock);
    }
}

static void psp_unlock(PspPlatform *psp, const PspCommandRow *row)
{
    if (row->lock == PSP_LOCK_PLATFORM) {
        psp_rw_write_unlock(&psp->lock);
    } else {
        psp_rw_read_unlock(&psp->lock);
    }
}

/* Nobody else is in the chip when the platform is locked for writing. */
static void psp_lock_guest(PspGuest *guest, const PspCommandRow *row)
{
    if (row->lock == PSP_LOCK_GUEST) {
        psp_rw_write_lock(&guest->lock);
    } else {
        psp_rw_read_lock(&guest->lock);
    }
}

static void psp_unlock_guest(PspGuest *guest, const PspCommandRow *row)
{
    if (row->lock == PSP_LOCK_GUEST) {
        psp_rw_write_unlock(&guest->lock);
    } else {
        psp_rw_read_unlock(&guest->lock);
    }
}

/* A command that names a guest */
static PspStatus psp_exec_guest(const PspCommandRow *row, PspCall *call)
{
    PspStatus status = PSP_INVALID_GUEST_STATE;
    uint32_t handle;
    PspGuest *guest;

    memcpy(&handle, (uint8_t *)call->buf + row->handle_at, sizeof(handle));
    guest = psp_guest_find(call->psp, psp_le32(handle));
    if (!guest) {
        return PSP_INVALID_GUEST;
    }
    call->guest = guest;
    psp_lock_guest(guest, row);
    if (row->guest & (1u << guest->state)) {
        status = row->run(call);
    }
    if (status == PSP_SUCCESS && row->next > PSP_G_SAME) {
        guest->state = row->next;
    }
    psp_unlock_guest(guest, row);
    if (status == PSP_SUCCESS && row->next == PSP_G_GONE) {
        psp_guest_remove(call->psp, guest);
    }
    return status;
}

/* A command that makes a guest */
static PspStatus psp_exec_start(const PspCommandRow *row, PspCall *call)
{
    PspStatus status = row->run(call);

    if (status == PSP_SUCCESS) {
        PspLaunchStart *cmd = call->buf;

        call->guest->state = row->next;
        psp_guest_add(call->psp, call->guest);
        cmd->handle = GUINT32_TO_LE(call->guest->handle);
    }
    return status;
}

static PspStatus psp_exec_row(const PspCommandRow *row, PspCall *call)
{
    if (!(row->platform & (1u << call->psp->state))) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    if (!row->guest) {
        return row->run(call);
    }
    if (row->guest == PSP_G(UNINIT)) {
        return psp_exec_start(row, call);
    }
    return psp_exec_guest(row, call);
}

/* @call has buffers of the right size for @row. */
static PspStatus psp_exec_locked(const PspCommandRow *row, PspCall *call)
{
    PspStatus status;

    psp_lock(call->psp, row);
    status = psp_exec_row(row, call);
    psp_unlock(call->psp, row);
    return status;
}

PspStatus psp_exec(PspPlatform *psp, PspCommand cmd, void *buf, size_t len)
{
    const PspCommandRow *row = psp_command_row(cmd);
    PspCall call = { .psp = psp, .buf = buf, .n = 1 };

    psp_set_last_error(NULL);
    if (!row) {
        return PSP_INVALID_COMMAND;
    }
    if (len != row->size || (len && !buf)) {
        return PSP_INVALID_LEN;
    }
    return psp_exec_locked(row, &call);
}

/* How many of @n buffers, from the first on, are of one guest? */
static size_t psp_same_guest(const PspCommandRow *row, const uint8_t *bufs,
                             size_t stride, size_t n)
{
    size_t same = 1;

    while (same < n &&
           memcmp(bufs + row->handle_at,
                  bufs + same * stride + row->handle_at,
                  sizeof(uint32_t)) == 0) {
        same++;
    }
    return same;
}

PspStatus psp_exec_batch(PspPlatform *psp, PspCommand cmd, void *bufs,
                         size_t stride, size_t n, size_t *done)
{
    const PspCommandRow *row = psp_command_row(cmd);
    PspStatus status = PSP_SUCCESS;

    *done = 0;
    psp_set_last_error(NULL);
    if (!row) {
        return PSP_INVALID_COMMAND;
    }
    while (*done < n && status == PSP_SUCCESS) {
        uint8_t *buf = (uint8_t *)bufs + *done * stride;
        PspCall call = {
            .psp = psp, .buf = buf, .stride = stride, .n = 1,
        };

        if (row->many) {
            call.n = psp_same_guest(row, buf, stride, n - *done);
        }
        status = psp_exec_locked(row, &call);
        *done += row->many ? call.done : status == PSP_SUCCESS;
    }
    return status;
}
