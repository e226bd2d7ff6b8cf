/*
 * When a target's channels may write pages: from the last BLOCK on the main channel to
 * END.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "multifd.h"
#include "multifd-gate.h"

/* How long a channel waits for the session */
#define SESSION_TIMEOUT_S 120

static struct {
    QemuMutex lock;             /* protects the rest */
    QemuCond changed;
    SevTarget *target;          /* its blocks are complete */
    bool over;
    bool full;                  /* the guest has all its pages */
    unsigned inside;            /* channels that are writing pages */
} gate;

static void gate_set(SevTarget *target, bool over)
{
    QEMU_LOCK_GUARD(&gate.lock);
    gate.target = target;
    gate.over = over;
    gate.full = gate.full && over;
    qemu_cond_broadcast(&gate.changed);
}

void sev_multifd_open(SevTarget *t)
{
    gate_set(t, false);
}

void sev_multifd_close(void)
{
    gate_set(NULL, true);
}

bool sev_multifd_full(Error **errp)
{
    QEMU_LOCK_GUARD(&gate.lock);
    gate.full = true;
    if (gate.inside) {
        error_setg(errp, "SEV stream: END came while %u channels still brought "
                   "pages", gate.inside);
    }
    return !gate.inside;
}

SevTarget *sev_multifd_gate_enter(Error **errp)
{
    int64_t deadline = get_clock() +
                       SESSION_TIMEOUT_S * (int64_t)NANOSECONDS_PER_SECOND;

    QEMU_LOCK_GUARD(&gate.lock);
    while (!gate.target && !gate.over && get_clock() < deadline) {
        qemu_cond_timedwait(&gate.changed, &gate.lock, 1000);
    }
    if (!gate.target) {
        error_setg(errp, gate.over
                   ? "SEV stream: pages came after the main channel ended"
                   : "SEV stream: no SESSION record came on the main channel");
        return NULL;
    }
    if (gate.full) {
        error_setg(errp, "SEV stream: pages came after END");
        return NULL;
    }
    gate.inside++;
    return gate.target;
}

void sev_multifd_gate_leave(void)
{
    QEMU_LOCK_GUARD(&gate.lock);
    gate.inside--;
}

void sev_multifd_gate_wait(void)
{
    gate_set(NULL, false);
}

bool sev_multifd_gate_is_over(void)
{
    QEMU_LOCK_GUARD(&gate.lock);
    return gate.over;
}

bool sev_multifd_gate_has_packets(void)
{
    QEMU_LOCK_GUARD(&gate.lock);
    return gate.target && stat64_get(&gate.target->packets);
}

void sev_multifd_gate_init(void)
{
    qemu_mutex_init(&gate.lock);
    qemu_cond_init(&gate.changed);
}
