/*
 * VMGEXIT, and the vCPUs that wait behind one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "hw/i386/apic_internal.h"
#include "qemu/error-report.h"
#include "tcg/helper-tcg.h"
#include "es.h"
#include "es-int.h"
#include "target/i386/sev/trace.h"

/* The instruction ends here; the vCPU waits, as in HLT. */
static G_NORETURN void halt(CPUX86State *env, uint32_t insn_len)
{
    CPUState *cs = env_cpu(env);

    env->eip += insn_len;
    do_end_instruction(env);
    cs->halted = 1;
    cs->exception_index = EXCP_HLT;
    cpu_loop_exit(cs);
}

void helper_sev_vmgexit(CPUX86State *env, uint32_t insn_len)
{
    SevEsCpu *es = sev_es_cpu(env_cpu(env));
    SevEsNext next;

    if (!es || !es->ghcb) {
        return;                 /* it goes on, as under KVM */
    }
    next = es->ghcb & GHCB_MSR_CODE ? sev_es_msr_request(env, es)
                                    : sev_es_page_request(env, es);
    switch (next) {
    case SEV_ES_HALT:
        halt(env, insn_len);
    case SEV_ES_AGAIN:
        cpu_loop_exit_restore(env_cpu(env), GETPC());
    case SEV_ES_END:            /* a stop is under way */
    case SEV_ES_RESUME:
        break;
    }
}

/*
 * INIT: the local APIC is reset and the vCPU waits for a startup IPI.  The
 * registers are the guest's: they stay as they are.
 */
bool sev_es_cpu_init(X86CPU *cpu)
{
    CPUState *cs = CPU(cpu);

    if (!sev_es_active()) {
        return false;
    }
    cs->interrupt_request &= CPU_INTERRUPT_SIPI;
    apic_init_reset(cpu->apic_state);
    cs->halted = !cpu_is_bsp(cpu);
    return true;
}

bool sev_es_hold(SevEsCpu *es, SevEsHold hold)
{
    if (es->woken) {
        es->woken = false;
        return false;
    }
    es->hold = hold;
    return true;
}

/*
 * A startup IPI does not say where to start: the first one is the start of what
 * was measured, a later one the end of an AP reset hold.  Firmware tells the
 * others that an AP is held just before it asks for it.  INIT and the IPI may
 * be faster than the VMGEXIT, which on silicon is a few instructions away and
 * here has to be translated, so the IPI is kept for it.
 */
static void start(CPUX86State *env, SevEsCpu *es)
{
    SevEsHold hold = es->hold;

    trace_sev_es_start(env_cpu(env)->cpu_index, es->started, hold);
    es->hold = SEV_ES_NOT_HELD;
    if (!es->started) {
        es->started = true;
    } else if (hold == SEV_ES_HELD_BY_MSR) {
        sev_es_msr_wake(es);
    } else if (hold == SEV_ES_HELD_BY_PAGE) {
        sev_es_page_wake(env, es);
    } else {
        es->woken = true;
    }
    env_cpu(env)->halted = 0;
}

bool sev_es_cpu_sipi(X86CPU *cpu)
{
    APICCommonState *apic = APIC_COMMON(cpu->apic_state);
    SevEsCpu *es = sev_es_cpu(CPU(cpu));

    if (!sev_es_active()) {
        return false;
    }
    if (!apic->wait_for_sipi) {
        return true;
    }
    apic->wait_for_sipi = 0;
    if (!es || !es->measured) {
        warn_report("SEV-ES: vCPU %d was plugged after the launch: nobody has "
                    "measured its state, so it does not start",
                    CPU(cpu)->cpu_index);
        return true;
    }
    start(&cpu->env, es);
    return true;
}

void sev_es_cpuid(CPUX86State *env, uint32_t leaf, uint32_t index,
                  uint64_t xcr0, uint32_t regs[4])
{
    uint64_t saved = env->xcr0;

    env->xcr0 = xcr0;
    cpu_x86_cpuid(env, leaf, index, &regs[0], &regs[1], &regs[2], &regs[3]);
    env->xcr0 = saved;
}
