/*
 * From the launch of an SEV-ES guest to the first instruction of each vCPU, and
 * where registers are while the VM is stopped.
 *
 * LAUNCH_UPDATE_VMSA takes what QEMU reset a vCPU to.  Resets that come after
 * it, before the guest runs, are of no consequence: as on silicon a vCPU starts
 * with its VMSA.
 *
 * On silicon registers are in the VMSA whenever the vCPU does not run.  Here
 * they go there when the VM stops, and CPUX86State has those of a processor
 * after a reset.  So whatever saves or shows that state, a stream of devices
 * above all, has nothing of the guest.
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

/* A vCPU in the place of one that was measured, and unplugged, is not that one. */
static void forget_unplugged(CPUState *cs)
{
    SevEsCpu *es = sev_es_cpu(cs);

    if (es) {
        sev_es_drop_vmsa(es);
        es->measured = false;
    }
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
    /* No MPX, which no AMD processor has: a VMSA has no room for it. */
    env->features[FEAT_7_0_EBX] &= ~CPUID_7_0_EBX_MPX;
    env->features[FEAT_XSAVE_XCR0_LO] &= ~(XSTATE_BNDREGS_MASK |
                                           XSTATE_BNDCSR_MASK);
    if (launched || sev_es_cpu(cs)) {
        /* Plugged too late (vmgexit.c), or in the place of another */
        forget_unplugged(cs);
        return;
    }
    g_assert(cs->cpu_index >= 0 && cs->cpu_index < cpus_max);
    cpus[cs->cpu_index] = g_new0(SevEsCpu, 1);
    cpus[cs->cpu_index]->index = cs->cpu_index;
    sev_es_vmstate_vcpu(cpus[cs->cpu_index]);
}

/* --- Launch ---------------------------------------------------------------- */

void sev_es_give_vmsa(CPUState *cs, const PspVmsa *vmsa)
{
    SevEsCpu *es = sev_es_cpu(cs);

    g_assert(es);
    es->vmsa = es->vmsa ?: g_new(PspVmsa, 1);
    *es->vmsa = *vmsa;
    if (!es->measured) {
        es->measured = true;
        es->ghcb = sev_es_info();
        es->started = cpu_is_bsp(X86_CPU(cs));
    }
}

void sev_es_drop_vmsa(SevEsCpu *es)
{
    if (es->vmsa) {
        explicit_bzero(es->vmsa, sizeof(*es->vmsa));
        g_clear_pointer(&es->vmsa, g_free);
    }
}

void sev_es_launch_vmsa(CPUState *cs, PspVmsa *vmsa)
{
    sev_es_set_reset_vector(cs);
    sev_es_vmsa_launch(X86_CPU(cs), sev_es_protocol.legacy, vmsa);
    sev_es_give_vmsa(cs, vmsa);
}

void sev_es_launched(void)
{
    launched = true;
    sev_es_hide_registers();
}

/* --- Run and stop ------------------------------------------------------------ */

static void blank(CPUState *cs)
{
    const PspVmsaStart start = {};
    PspVmsa vmsa;

    psp_vmsa_start(&vmsa, &start);
    sev_es_vmsa_load(X86_CPU(cs), &vmsa);
}

/* From a clean state: a stream may have brought anything for "cpu". */
static void enter(CPUState *cs)
{
    SevEsCpu *es = sev_es_cpu(cs);

    if (!es || !es->vmsa) {
        return;
    }
    blank(cs);
    sev_es_vmsa_load(X86_CPU(cs), es->vmsa);
    sev_es_drop_vmsa(es);
}

static void leave(CPUState *cs)
{
    SevEsCpu *es = sev_es_cpu(cs);

    if (!es || !es->measured || es->vmsa) {
        return;
    }
    es->vmsa = g_new(PspVmsa, 1);
    sev_es_vmsa_save(X86_CPU(cs), es->vmsa);
    blank(cs);
}

static void vm_state_change(void *opaque, bool running, RunState state)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (running) {
            enter(cs);
        } else {
            leave(cs);
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
    sev_es_vmstate_guest();
    qemu_add_vm_change_state_handler(vm_state_change, NULL);
    return true;
}
