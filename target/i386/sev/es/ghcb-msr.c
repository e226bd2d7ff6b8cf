/*
 * VMGEXIT with a request in the GHCB MSR: what a guest can ask for before it
 * has a page (GHCB specification, 2.3.1).
 *
 * An answer replaces the request; one that is not known stays as it is, which
 * is how the guest sees that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "es-int.h"
#include "target/i386/sev/trace.h"

enum {
    MSR_INFO_ANSWER             = 0x001,
    MSR_INFO_REQUEST            = 0x002,
    MSR_CPUID_REQUEST           = 0x004,
    MSR_CPUID_ANSWER            = 0x005,
    MSR_AP_HOLD_REQUEST         = 0x006,
    MSR_AP_HOLD_ANSWER          = 0x007,
    MSR_AP_HOLD_WOKEN           = 1 << 12 | MSR_AP_HOLD_ANSWER,
    MSR_FEATURES_REQUEST        = 0x080,
    MSR_FEATURES_ANSWER         = 0x081,
    MSR_TERMINATE               = 0x100,
};

uint64_t sev_es_info(void)
{
    return (uint64_t)sev_es_protocol.version_max << 48 |
           (uint64_t)sev_es_protocol.version_min << 32 |
           (uint64_t)sev_es_protocol.cbitpos << 24 | MSR_INFO_ANSWER;
}

/*
 * Function in bits 63:32, register in 31:30; index 0, as there is no room.
 * Firmware looks in the answer for the register's number, too.
 */
static uint64_t answer_cpuid(CPUX86State *env, uint64_t request)
{
    uint64_t reg = (request >> 30) & 3;
    uint32_t regs[4];

    sev_es_cpuid(env, request >> 32, 0, env->xcr0, regs);
    return (uint64_t)regs[reg] << 32 | reg << 30 | MSR_CPUID_ANSWER;
}

void sev_es_msr_wake(SevEsCpu *es)
{
    es->ghcb = MSR_AP_HOLD_WOKEN;
}

SevEsNext sev_es_msr_request(CPUX86State *env, SevEsCpu *es)
{
    uint64_t request = es->ghcb;

    trace_sev_es_msr_request(env_cpu(env)->cpu_index, request);
    switch (request & GHCB_MSR_CODE) {
    case MSR_INFO_REQUEST:
        es->ghcb = sev_es_info();
        break;
    case MSR_CPUID_REQUEST:
        es->ghcb = answer_cpuid(env, request);
        break;
    case MSR_AP_HOLD_REQUEST:
        if (sev_es_hold(es, SEV_ES_HELD_BY_MSR)) {
            es->ghcb = MSR_AP_HOLD_ANSWER;      /* 0 above: nobody woke it */
            return SEV_ES_HALT;
        }
        es->ghcb = MSR_AP_HOLD_WOKEN;
        break;
    case MSR_FEATURES_REQUEST:
        es->ghcb = MSR_FEATURES_ANSWER; /* none of them */
        break;
    case MSR_TERMINATE:
        sev_es_end_requested(env, (request >> 12) & 0xf,
                             (request >> 16) & 0xff);
        return SEV_ES_END;
    }
    return SEV_ES_RESUME;
}
