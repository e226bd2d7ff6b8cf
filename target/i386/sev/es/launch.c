/*
 * From the launch of an SEV-ES guest to the first instruction of each vCPU.
 *
 * LAUNCH_UPDATE_VMSA takes what QEMU reset a vCPU to.  Resets that come after
 * it, before the guest runs, are of no consequence: as on silicon a vCPU starts
 * with its VMSA.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/i386/x86.h"
#include "hw/psp/psp-vmsa.h"
#include "qemu/error-report.h"
#include "sev.h"
#include "system/runstate.h"
#include "es.h"
#include "es-int.h"
#include "launch.h"

SevEsProtocol sev_es_protocol;

/* By cpu_index; NULL: no vCPU yet */
static SevEsCpu **cpus;
static unsigned int cpus_max;
static bool launched;

SevEsCpu *sev_es_cpu(CPUState *cs)
{
    return cs->cpu_index >= 0 && cs->cpu_index < cpus_max ? cpus[cs->cpu_index]
                                                          : NULL;
}

void sev_es_cpu_realize(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);

    if (!sev_es_active()) {
        return;
    }
    /* No guest in the guest: KVM has no nested SEV-ES either. */
    env->features[FEAT_8000_0001_ECX] &= ~CPUID_EXT3_SVM;
    env->features[FEAT_SVM] = 0;
    if (launched) {
        return;                 /* plugged too late (vmgexit.c) */
    }
    g_assert(cs->cpu_index >= 0 && cs->cpu_index < cpus_max);
    cpus[cs->cpu_index] = g_new0(SevEsCpu, 1);
}

/* --- Launch ---------------------------------------------------------------- */

void sev_es_launch_vmsa(CPUState *cs, PspVmsa *vmsa)
{
    SevEsCpu *es = sev_es_cpu(cs);

    g_assert(es);
    sev_es_set_reset_vector(cs);
    sev_es_vmsa_save(X86_CPU(cs), sev_es_protocol.legacy, vmsa);
    g_free(es->vmsa);
    es->vmsa = g_memdup2(vmsa, sizeof(*vmsa));
    es->measured = true;
}

void sev_es_launched(void)
{
    launched = true;
    sev_es_hide_registers();
}

/* --- The first run --------------------------------------------------------- */

static void first_run(CPUState *cs)
{
    SevEsCpu *es = sev_es_cpu(cs);

    if (!es || !es->vmsa) {
        return;
    }
    sev_es_vmsa_load(X86_CPU(cs), es->vmsa);
    es->ghcb = sev_es_info();
    es->started = cpu_is_bsp(X86_CPU(cs));
    g_clear_pointer(&es->vmsa, g_free);
}

static void vm_state_change(void *opaque, bool running, RunState state)
{
    CPUState *cs;

    if (running) {
        CPU_FOREACH(cs) {
            first_run(cs);
        }
    }
}

/* --- Set-up ---------------------------------------------------------------- */

static bool check_machine(Error **errp)
{
    ERRP_GUARD();
    X86MachineState *x86ms = (X86MachineState *)object_dynamic_cast(
        OBJECT(current_machine), TYPE_X86_MACHINE);

    if (!x86ms) {
        error_setg(errp, "SEV: SEV-ES needs an x86 PC");
        return false;
    }
    if (x86ms->smm == ON_OFF_AUTO_ON) {
        error_setg(errp, "SEV: SEV-ES guests have no SMM: its save area would "
                   "show their registers");
        error_append_hint(errp, "Use -machine smm=off.\n");
        return false;
    }
    x86ms->smm = ON_OFF_AUTO_OFF;
    return true;
}

bool sev_es_init(uint32_t cbitpos, bool legacy, Error **errp)
{
    if (!check_machine(errp)) {
        return false;
    }
    sev_es_protocol = (SevEsProtocol) {
        .version_min = 1,
        .version_max = legacy ? 1 : 2,
        .cbitpos = cbitpos,
        .legacy = legacy,
    };
    cpus_max = current_machine->smp.max_cpus;
    cpus = g_new0(SevEsCpu *, cpus_max);
    sev_es_enabled_tcg = true;
    qemu_add_vm_change_state_handler(vm_state_change, NULL);
    return true;
}
