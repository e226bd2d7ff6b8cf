/*
 * What raises #VC in an SEV-ES guest.
 *
 * Linux' KVM decides what is intercepted (init_vmcb(), the MSRs it
 * passes through; sev_es_init_vmcb()); of that the processor raises #VC
 * for what APM vol. 2, 15.35.4 does not list as an automatic exit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "svm.h"
#include "tcg/helper-tcg.h"
#include "es.h"
#include "es-int.h"
#include "target/i386/sev/tcg/insn.h"
#include "target/i386/sev/trace.h"

#define SVM_EXIT_EXCEPTION(n)   (SVM_EXIT_EXCP_BASE + (n))

bool sev_es_enabled_tcg;

/* MSRs that belong to the guest: KVM passes them through. */
static bool msr_is_direct(uint32_t msr)
{
    switch (msr) {
    case MSR_AMD64_SEV_ES_GHCB:
    case MSR_AMD64_SEV:
    case MSR_EFER:
    case MSR_STAR:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FMASK:
    case MSR_FSBASE:
    case MSR_GSBASE:
    case MSR_KERNELGSBASE:
    case MSR_IA32_SYSENTER_CS:
    case MSR_IA32_SYSENTER_ESP:
    case MSR_IA32_SYSENTER_EIP:
    case MSR_PAT:
    case MSR_TSC_AUX:
    case MSR_IA32_XSS:
    case MSR_IA32_SPEC_CTRL:
    case MSR_IA32_PRED_CMD:
        return true;
    default:
        return false;
    }
}

static bool is_intercepted(CPUX86State *env, uint32_t type)
{
    switch (type) {
    case SVM_EXIT_CPUID:
    case SVM_EXIT_IOIO:
    case SVM_EXIT_INVD:
    case SVM_EXIT_WBINVD:
    case SVM_EXIT_RDPMC:
    case SVM_EXIT_VMMCALL:
    case SVM_EXIT_MONITOR:
    case SVM_EXIT_MWAIT:
    case SVM_EXIT_READ_DR7:
    case SVM_EXIT_WRITE_DR7:
    case SVM_EXIT_NPF:          /* tcg/tlb.c has seen that it is MMIO */
    case SVM_EXIT_EXCEPTION(EXCP01_DB):
    case SVM_EXIT_EXCEPTION(EXCP11_ALGN):
        return true;
    case SVM_EXIT_MSR:
        return !msr_is_direct(env->regs[R_ECX]);
    default:
        return false;
    }
}

/* QEMU's decoder does not ask, as these are nothing in an ordinary guest. */
static bool is_privileged(uint32_t type)
{
    return type == SVM_EXIT_INVD || type == SVM_EXIT_WBINVD;
}

void sev_es_raise_vc(CPUX86State *env, uint32_t type, uintptr_t retaddr)
{
    SevEsCpu *es = sev_es_cpu(env_cpu(env));

    if (es && es->in_hypervisor) {
        if (type >= SVM_EXIT_EXCP_BASE &&
            type <= SVM_EXIT_EXCEPTION(31)) {
            siglongjmp(es->fault, type - SVM_EXIT_EXCP_BASE + 1);
        }
        return;
    }
    if (!is_intercepted(env, type)) {
        return;
    }
    if (is_privileged(type) && env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
    }
    trace_sev_es_vc(env_cpu(env)->cpu_index, type);
    raise_exception_err_ra(env, EXCP1D_VC, type, retaddr);
}

int sev_es_run(CPUX86State *env, SevEsCpu *es, SevEsHelper *helper)
{
    int fault = sigsetjmp(es->fault, 0);

    if (!fault) {
        es->in_hypervisor = true;
        helper(env);
    }
    es->in_hypervisor = false;
    return fault ? fault - 1 : -1;
}
