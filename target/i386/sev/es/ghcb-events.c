/*
 * The events of the GHCB page, and what the hypervisor does about them.
 *
 * The answers are those of Linux' KVM (svm/sev.c), down to what it refuses.
 * Where KVM does less than the GHCB specification asks for (RDTSC, RDTSCP) the
 * specification is followed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "qemu/bswap.h"
#include "svm.h"
#include "ghcb.h"
#include "target/i386/sev/tcg/cache.h"
#include "target/i386/sev/tcg/insn.h"

/* Features that are offered (GHCB version 2): those of SEV-SNP, so none */
#define GHCB_FEATURES 0

static void event_cpuid(SevGhcbCall *call)
{
    uint32_t regs[4];

    if ((uint32_t)call->rax == 0xd && !GHCB_HAS(call, xcr0)) {
        sev_ghcb_refuse(call, GHCB_MISSING_INPUT);
        return;
    }
    sev_es_cpuid(call->env, call->rax, call->rcx, GHCB_GET(call, xcr0), regs);
    call->rax = regs[0];
    call->rbx = regs[1];
    call->rcx = regs[2];
    call->rdx = regs[3];
}

/* RDMSR and WRMSR happen as ever, on registers that are lent. */
static void event_msr(SevGhcbCall *call)
{
    CPUX86State *env = call->env;
    bool is_write = call->info1;
    uint32_t msr = call->rcx;
    target_ulong saved[] = { env->regs[R_EAX], env->regs[R_ECX],
                             env->regs[R_EDX] };
    int fault = EXCP0D_GPF;

    if (is_write && (!GHCB_HAS(call, rax) || !GHCB_HAS(call, rdx))) {
        sev_ghcb_refuse(call, GHCB_MISSING_INPUT);
        return;
    }
    if (msr != MSR_AMD64_SEV_ES_GHCB && msr != MSR_AMD64_SEV) {
        env->regs[R_EAX] = call->rax;
        env->regs[R_ECX] = msr;
        env->regs[R_EDX] = call->rdx;
        fault = sev_es_run(env, call->es, is_write ? helper_wrmsr
                                                   : helper_rdmsr);
        call->rax = (uint32_t)env->regs[R_EAX];
        call->rdx = (uint32_t)env->regs[R_EDX];
        env->regs[R_EAX] = saved[0];
        env->regs[R_ECX] = saved[1];
        env->regs[R_EDX] = saved[2];
    }
    if (fault >= 0) {
        sev_ghcb_inject(call, fault);
    }
}

static void event_rdtsc(SevGhcbCall *call)
{
    uint64_t tsc = cpu_get_tsc(call->env) + call->env->tsc_offset;

    call->rax = (uint32_t)tsc;
    call->rdx = tsc >> 32;
    if (call->code == SVM_EXIT_RDTSCP) {
        call->rcx = (uint32_t)call->env->tsc_aux;
    }
}

/* There is no PMU. */
static void event_rdpmc(SevGhcbCall *call)
{
    sev_ghcb_inject(call, EXCP0D_GPF);
}

static void event_wbinvd(SevGhcbCall *call)
{
    sev_cache_writeback_all();
}

static void event_vmmcall(SevGhcbCall *call)
{
    const uint64_t args[] = { call->rbx, call->rcx, call->rdx };
    bool again;
    int64_t ret = sev_tcg_hypercall(env_cpu(call->env), call->in.cpl,
                                    call->rax, args, &again);

    if (again) {
        call->next = SEV_ES_AGAIN;
        return;
    }
    call->rax = ret;
}

/* INVD, MONITOR, MWAIT, and DR7, which is the guest's own business */
static void event_nothing(SevGhcbCall *call)
{
}

static void event_nmi_complete(SevGhcbCall *call)
{
    call->env->hflags2 &= ~HF2_NMI_MASK;
}

static void event_ap_reset_hold(SevGhcbCall *call)
{
    if (sev_es_hold(call->es, SEV_ES_HELD_BY_PAGE)) {
        call->next = SEV_ES_HALT;
    } else {
        call->out2 = 1;
    }
}

static void event_ap_jump_table(SevGhcbCall *call)
{
    switch (call->info1) {
    case 0:
        qatomic_set(&sev_es_protocol.ap_jump_table, call->info2);
        break;
    case 1:
        call->out2 = qatomic_read(&sev_es_protocol.ap_jump_table);
        break;
    default:
        sev_ghcb_refuse(call, GHCB_INVALID_INPUT);
    }
}

static void event_features(SevGhcbCall *call)
{
    call->out2 = GHCB_FEATURES;
}

static void event_terminate(SevGhcbCall *call)
{
    sev_es_end_requested(call->env, call->info1 & 0xf, call->info2 & 0xff);
    call->next = SEV_ES_END;
}

static void event_unsupported(SevGhcbCall *call)
{
    sev_es_end(call->env, "its #VC handler does not know exit code 0x%" PRIx64
               " (GHCB event \"unsupported\")", call->info1);
    call->next = SEV_ES_END;
}

/* Inputs that an event cannot do without */
enum {
    NEEDS_RAX     = 1 << 0,
    NEEDS_RCX     = 1 << 1,
    NEEDS_RDX     = 1 << 2,
    NEEDS_CPL     = 1 << 3,
    NEEDS_SCRATCH = 1 << 4,
    NEEDS_SNP     = 1 << 5,     /* which no guest here is */
};

static const struct GhcbEvent {
    uint64_t code;
    unsigned needs;
    void (*run)(SevGhcbCall *call);
} events[] = {
    { SVM_EXIT_READ_DR7, 0, event_nothing },
    { SVM_EXIT_WRITE_DR7, NEEDS_RAX, event_nothing },
    { SVM_EXIT_RDTSC, 0, event_rdtsc },
    { SVM_EXIT_RDPMC, NEEDS_RCX, event_rdpmc },
    { SVM_EXIT_CPUID, NEEDS_RAX | NEEDS_RCX, event_cpuid },
    { SVM_EXIT_INVD, 0, event_nothing },
    { SVM_EXIT_IOIO, 0, sev_ghcb_ioio },
    { SVM_EXIT_MSR, NEEDS_RCX, event_msr },
    { SVM_EXIT_VMMCALL, NEEDS_RAX | NEEDS_CPL, event_vmmcall },
    { SVM_EXIT_RDTSCP, 0, event_rdtsc },
    { SVM_EXIT_WBINVD, 0, event_wbinvd },
    { SVM_EXIT_MONITOR, NEEDS_RAX | NEEDS_RCX | NEEDS_RDX, event_nothing },
    { SVM_EXIT_MWAIT, NEEDS_RAX | NEEDS_RCX, event_nothing },
    { GHCB_EVENT_MMIO_READ, NEEDS_SCRATCH, sev_ghcb_mmio_read },
    { GHCB_EVENT_MMIO_WRITE, NEEDS_SCRATCH, sev_ghcb_mmio_write },
    { GHCB_EVENT_NMI_COMPLETE, 0, event_nmi_complete },
    { GHCB_EVENT_AP_RESET_HOLD, 0, event_ap_reset_hold },
    { GHCB_EVENT_AP_JUMP_TABLE, 0, event_ap_jump_table },
    { GHCB_EVENT_PSC, NEEDS_SNP, event_nothing },
    { GHCB_EVENT_GUEST_REQUEST, NEEDS_SNP, event_nothing },
    { GHCB_EVENT_EXT_GUEST_REQUEST, NEEDS_SNP, event_nothing },
    { GHCB_EVENT_AP_CREATION, NEEDS_SNP, event_nothing },
    { GHCB_EVENT_FEATURES, 0, event_features },
    { GHCB_EVENT_TERMINATE, 0, event_terminate },
    { GHCB_EVENT_UNSUPPORTED, 0, event_unsupported },
};

static const struct GhcbEvent *find(uint64_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        if (events[i].code == code) {
            return &events[i];
        }
    }
    return NULL;
}

static bool has_needs(const SevGhcbCall *call, unsigned needs)
{
    return !(needs & NEEDS_SNP) &&
           (!(needs & NEEDS_RAX) || GHCB_HAS(call, rax)) &&
           (!(needs & NEEDS_RCX) || GHCB_HAS(call, rcx)) &&
           (!(needs & NEEDS_RDX) || GHCB_HAS(call, rdx)) &&
           (!(needs & NEEDS_CPL) || GHCB_HAS(call, cpl)) &&
           (!(needs & NEEDS_SCRATCH) || GHCB_HAS(call, scratch));
}

/* In KVM's order: a guest that is wrong twice hears the same of both. */
static unsigned check(const SevGhcbCall *call, const struct GhcbEvent *event)
{
    if (call->in.usage) {
        return GHCB_INVALID_USAGE;
    }
    if (!GHCB_HAS(call, exit_code) || !GHCB_HAS(call, exit_info_1) ||
        !GHCB_HAS(call, exit_info_2)) {
        return GHCB_MISSING_INPUT;
    }
    if (!event) {
        return GHCB_INVALID_EVENT;
    }
    return has_needs(call, event->needs) ? GHCB_FINE : GHCB_MISSING_INPUT;
}

void sev_ghcb_event(SevGhcbCall *call)
{
    const struct GhcbEvent *event = find(call->code);
    unsigned reason = check(call, event);

    if (reason == GHCB_FINE &&
        le16_to_cpu(call->in.version) > sev_es_protocol.version_max) {
        reason = GHCB_INVALID_INPUT;    /* KVM does not look */
    }
    if (reason != GHCB_FINE) {
        sev_ghcb_refuse(call, reason);
        return;
    }
    event->run(call);
}
