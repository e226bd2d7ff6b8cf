/*
 * Instructions, MSRs and CPUID leaves of an emulated SEV guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "standard-headers/linux/kvm_para.h"
#include "target/i386/sev/declared-pages.h"
#include "target/i386/sev/migration-control.h"
#include "cache.h"
#include "crypt.h"
#include "insn.h"
#include "target/i386/sev/es/es.h"
#include "target/i386/sev/es/es-int.h"
#include "target/i386/sev/trace.h"

#define MSR_AMD64_SEV_ENABLED           1
#define MSR_AMD64_SEV_ES_ENABLED        2

#define STOS_WORTH                      16      /* iterations, for a helper */

/*
 * CLFLUSH, CLFLUSHOPT, CLWB: the page that the line lies in goes to DRAM.
 * Never faults; a line that is not mapped has nothing to write.
 */
void helper_sev_clflush(CPUX86State *env, target_ulong addr)
{
    CPUTLBEntryFull *full;
    void *host;
    SevPageMap *map;
    RAMBlock *rb;
    int flags;

    flags = probe_access_full(env, addr, 1, MMU_DATA_LOAD,
                              cpu_mmu_index(env_cpu(env), false), true, &host,
                              &full, GETPC());
    if (flags & (TLB_INVALID_MASK | TLB_MMIO) ||
        full->attrs.space != X86ASIdx_SEV) {
        return;
    }
    map = sev_page_map_at(full->phys_addr);
    rb = map ? qatomic_read(&map->rb) : NULL;
    if (rb) {
        sev_cache_writeback(map, (full->phys_addr - rb->offset)
                                 >> TARGET_PAGE_BITS);
    }
}

/* WBINVD on one vCPU writes back what they all share. */
void helper_sev_wbinvd(CPUX86State *env)
{
    sev_cache_writeback_all();
}

/*
 * As many iterations of REP STOS as there are to the end of the page, upwards, if
 * that is memory whose TLB entry allows it; else none.
 */
void helper_sev_stos(CPUX86State *env, uint32_t ot)
{
    target_ulong addr = env->regs[R_EDI];
    uint64_t n = MIN(env->regs[R_ECX], -(addr | TARGET_PAGE_MASK) >> ot);
    uint8_t *host;

    if (env->df != 1 || n < STOS_WORTH) {
        return;
    }
    host = tlb_vaddr_to_host(env, addr, MMU_DATA_STORE,
                             cpu_mmu_index(env_cpu(env), false));
    if (!host) {
        return;
    }
    if (ot == MO_8) {
        memset(host, env->regs[R_EAX], n);
    } else {
        for (uint64_t i = 0; i < n; i++) {
            stn_le_p(host + (i << ot), 1 << ot, env->regs[R_EAX]);
        }
    }
    env->regs[R_EDI] += n << ot;
    env->regs[R_ECX] -= n;
}

/* Does anybody wait for this vCPU: a stop, queued work, an interrupt? */
static bool vcpu_is_wanted(void *opaque)
{
    return cpu_loop_exit_requested(opaque);
}

/*
 * Linux' hypercall has no bound, and KVM takes it to user space, where it can
 * be stopped.  Here the instruction begins again when the vCPU comes back.
 */
int64_t sev_tcg_hypercall(CPUState *cs, unsigned cpl, uint64_t nr,
                          const uint64_t args[3], bool *again)
{
    int64_t ret;

    *again = false;
    if (cpl) {
        return -KVM_EPERM;
    }
    if (nr != KVM_HC_MAP_GPA_RANGE) {
        return -KVM_ENOSYS;
    }
    ret = sev_declare_gpa_range_until(args[0], args[1], args[2],
                                      vcpu_is_wanted, cs);
    *again = ret > 0;
    return ret;
}

void sev_tcg_vmmcall(CPUX86State *env, uintptr_t retaddr)
{
    CPUState *cs = env_cpu(env);
    const uint64_t args[] = { env->regs[R_EBX], env->regs[R_ECX],
                              env->regs[R_EDX] };
    bool again;
    int64_t ret = sev_tcg_hypercall(cs, env->hflags & HF_CPL_MASK,
                                    env->regs[R_EAX], args, &again);

    if (again) {
        cpu_loop_exit_restore(cs, retaddr);
    }
    env->regs[R_EAX] = ret;
}

void sev_tcg_cpuid(uint32_t index, uint32_t *eax, uint32_t *ebx,
                   uint32_t *ecx, uint32_t *edx)
{
    uint32_t signature[3];

    if (!sev_tcg_active()) {
        return;
    }
    switch (index) {
    case 1:
        /* KVM has no MONITOR; firmware's APs would meet #VC without an IDT. */
        if (sev_es_active()) {
            *ecx &= ~CPUID_EXT_MONITOR;
        }
        break;
    case KVM_CPUID_SIGNATURE:
        /* Linux reports page status only to a hypervisor of this name. */
        memcpy(signature, "KVMKVMKVM\0\0\0", sizeof(signature));
        *eax = KVM_CPUID_FEATURES;
        *ebx = signature[0];
        *ecx = signature[1];
        *edx = signature[2];
        break;
    case KVM_CPUID_FEATURES:
        *eax = 1u << KVM_FEATURE_HC_MAP_GPA_RANGE |
               1u << KVM_FEATURE_MIGRATION_CONTROL;
        break;
    }
}

bool sev_tcg_rdmsr(CPUX86State *env, uint64_t *val)
{
    SevEsCpu *es;

    if (!sev_tcg_active()) {
        return false;
    }
    switch ((uint32_t)env->regs[R_ECX]) {
    case MSR_AMD64_SEV:
        *val = MSR_AMD64_SEV_ENABLED |
               (sev_es_active() ? MSR_AMD64_SEV_ES_ENABLED : 0);
        return true;
    case MSR_AMD64_SEV_ES_GHCB:
        es = sev_es_cpu(env_cpu(env));
        *val = es ? es->ghcb : 0;
        return es;
    case MSR_KVM_MIGRATION_CONTROL:
        *val = sev_migration_control();
        return true;
    }
    return false;
}

bool sev_tcg_wrmsr(CPUX86State *env, uint64_t val)
{
    SevEsCpu *es;

    if (!sev_tcg_active()) {
        return false;
    }
    switch ((uint32_t)env->regs[R_ECX]) {
    case MSR_AMD64_SEV_ES_GHCB:
        es = sev_es_cpu(env_cpu(env));
        if (es) {
            es->ghcb = val;
        }
        return es;
    case MSR_KVM_MIGRATION_CONTROL:
        return sev_migration_control_write(val);
    }
    return false;
}
