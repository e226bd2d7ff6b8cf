/*
 * The end of an SEV-ES guest that asks for it, in words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/runstate.h"
#include "es-int.h"

/* As KVM's system event: the monitor hears GUEST_PANICKED, -action decides. */
void sev_es_end(CPUX86State *env, const char *fmt, ...)
{
    g_autofree char *why = NULL;
    va_list ap;

    va_start(ap, fmt);
    why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("SEV-ES: vCPU %d ends the guest: %s",
                 env_cpu(env)->cpu_index, why);
    bql_lock();
    qemu_system_guest_panicked(NULL);
    bql_unlock();
}

/* Reason set 0: the specification's (2.3.1), 1: Linux' (its header sev-common) */
static const char *const reasons[2][11] = {
    {
        "no reason given",
        "the GHCB protocol version is not one that it knows",
        "an SEV-SNP feature that it needs is missing",
    },
    {
        "the GHCB's address could not be registered",
        "a page could not change sides",
        "PVALIDATE failed",
        "it does not run at VMPL 0",
        "CPUID values that it was given are not sound",
        "the hypervisor did not answer CPUID",
        "the secrets page is missing",
        "there is no SVSM",
        "the SVSM does not run at VMPL 0",
        "the SVSM's calling area could not be had",
        "the SVSM gave a wrong answer",
    },
};

void sev_es_end_requested(CPUX86State *env, unsigned set, unsigned code)
{
    const char *reason = NULL;

    if (set < ARRAY_SIZE(reasons) && code < ARRAY_SIZE(reasons[0])) {
        reason = reasons[set][code];
    }
    sev_es_end(env, "reason set %u, code %u: %s", set, code,
               reason ?: "not one that is known");
}
