/*
 * A vCPU's registers as a VMSA, and back.  The layout is the APM's; what Linux'
 * KVM changes for LAUNCH_UPDATE_VMSA (svm/sev.c: sev_es_sync_vmsa()) comes on
 * top.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "qemu/bswap.h"
#include "tcg/helper-tcg.h"
#include "es-int.h"

/* --- Segments: attributes are bits 40-47 and 52-55 of a descriptor -------- */

static void save_segment(PspVmsaSegment *to, const SegmentCache *from)
{
    to->selector = cpu_to_le16(from->selector);
    to->attrib = cpu_to_le16((from->flags >> 8 & 0xff) |
                             (from->flags >> 12 & 0xf00));
    to->limit = cpu_to_le32(from->limit);
    to->base = cpu_to_le64(from->base);
}

static uint32_t segment_flags(const PspVmsaSegment *seg)
{
    uint32_t attrib = le16_to_cpu(seg->attrib);

    return (attrib & 0xff) << 8 | (attrib & 0xf00) << 12;
}

static void load_table(SegmentCache *to, const PspVmsaSegment *from)
{
    to->selector = le16_to_cpu(from->selector);
    to->base = le64_to_cpu(from->base);
    to->limit = le32_to_cpu(from->limit);
    to->flags = segment_flags(from);
}

/* Where each of them is in the two structs */
static const struct {
    size_t vmsa;
    int seg;
} segments[] = {
    { offsetof(PspVmsa, es), R_ES },
    { offsetof(PspVmsa, cs), R_CS },
    { offsetof(PspVmsa, ss), R_SS },
    { offsetof(PspVmsa, ds), R_DS },
    { offsetof(PspVmsa, fs), R_FS },
    { offsetof(PspVmsa, gs), R_GS },
};

static void save_segments(const CPUX86State *env, PspVmsa *vmsa)
{
    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        save_segment((void *)vmsa + segments[i].vmsa,
                     &env->segs[segments[i].seg]);
    }
    save_segment(&vmsa->gdtr, &env->gdt);
    save_segment(&vmsa->idtr, &env->idt);
    save_segment(&vmsa->ldtr, &env->ldt);
    save_segment(&vmsa->tr, &env->tr);
}

static void load_segments(CPUX86State *env, const PspVmsa *vmsa)
{
    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        const PspVmsaSegment *seg = (const void *)vmsa + segments[i].vmsa;

        cpu_x86_load_seg_cache(env, segments[i].seg,
                               le16_to_cpu(seg->selector),
                               le64_to_cpu(seg->base), le32_to_cpu(seg->limit),
                               segment_flags(seg));
    }
    load_table(&env->gdt, &vmsa->gdtr);
    load_table(&env->idt, &vmsa->idtr);
    load_table(&env->ldt, &vmsa->ldtr);
    load_table(&env->tr, &vmsa->tr);
}

/* --- General registers ----------------------------------------------------- */

static const struct {
    size_t vmsa;
    int reg;
} general[] = {
    { offsetof(PspVmsa, rax), R_EAX },
    { offsetof(PspVmsa, rcx), R_ECX },
    { offsetof(PspVmsa, rdx), R_EDX },
    { offsetof(PspVmsa, rbx), R_EBX },
    { offsetof(PspVmsa, rsp), R_ESP },
    { offsetof(PspVmsa, rbp), R_EBP },
    { offsetof(PspVmsa, rsi), R_ESI },
    { offsetof(PspVmsa, rdi), R_EDI },
#ifdef TARGET_X86_64
    { offsetof(PspVmsa, r8), R_R8 },
    { offsetof(PspVmsa, r9), R_R9 },
    { offsetof(PspVmsa, r10), R_R10 },
    { offsetof(PspVmsa, r11), R_R11 },
    { offsetof(PspVmsa, r12), R_R12 },
    { offsetof(PspVmsa, r13), R_R13 },
    { offsetof(PspVmsa, r14), R_R14 },
    { offsetof(PspVmsa, r15), R_R15 },
#endif
};

/* --- FPU, SSE, AVX --------------------------------------------------------- */

#define X87_REG_LEN     10
#define XMM_LEN         16
#define FPUS_TOP(fpus)  ((fpus) >> 11 & 7)
#define FPUS_TOP_MASK   (7 << 11)

/* x87 registers where they are, not from the top of the stack; tags as FXSAVE */
static void save_fpu(CPUX86State *env, PspVmsa *vmsa)
{
    uint16_t tags = 0;

    for (int i = 0; i < 8; i++) {
        uint8_t *reg = vmsa->x87_regs + i * X87_REG_LEN;

        tags |= !env->fptags[i] << i;
        stq_le_p(reg, env->fpregs[i].d.low);
        stw_le_p(reg + 8, env->fpregs[i].d.high);
    }
    vmsa->x87_ftw = cpu_to_le16(tags);
    vmsa->x87_fcw = cpu_to_le16(env->fpuc);
    vmsa->x87_fsw = cpu_to_le16((env->fpus & ~FPUS_TOP_MASK) |
                                (env->fpstt & 7) << 11);
    vmsa->x87_fop = cpu_to_le16(env->fpop);
    vmsa->x87_cs = cpu_to_le16(env->fpcs);
    vmsa->x87_ds = cpu_to_le16(env->fpds);
    vmsa->x87_rip = cpu_to_le64(env->fpip);
    vmsa->x87_dp = cpu_to_le64(env->fpdp);
    update_mxcsr_from_sse_status(env);
    vmsa->mxcsr = cpu_to_le32(env->mxcsr);
}

static void load_fpu(CPUX86State *env, const PspVmsa *vmsa)
{
    uint16_t fsw = le16_to_cpu(vmsa->x87_fsw);

    for (int i = 0; i < 8; i++) {
        const uint8_t *reg = vmsa->x87_regs + i * X87_REG_LEN;

        env->fptags[i] = !(le16_to_cpu(vmsa->x87_ftw) >> i & 1);
        env->fpregs[i].d.low = ldq_le_p(reg);
        env->fpregs[i].d.high = lduw_le_p(reg + 8);
    }
    env->fpstt = FPUS_TOP(fsw);
    env->fpus = fsw & ~FPUS_TOP_MASK;
    env->fpop = le16_to_cpu(vmsa->x87_fop);
    env->fpcs = le16_to_cpu(vmsa->x87_cs);
    env->fpds = le16_to_cpu(vmsa->x87_ds);
    env->fpip = le64_to_cpu(vmsa->x87_rip);
    env->fpdp = le64_to_cpu(vmsa->x87_dp);
    cpu_set_fpuc(env, le16_to_cpu(vmsa->x87_fcw));
    cpu_set_mxcsr(env, le32_to_cpu(vmsa->mxcsr));
}

static void save_vectors(const CPUX86State *env, PspVmsa *vmsa)
{
    for (int i = 0; i < MIN(CPU_NB_REGS, 16); i++) {
        const ZMMReg *reg = &env->xmm_regs[i];

        for (int half = 0; half < 2; half++) {
            stq_le_p(vmsa->xmm + i * XMM_LEN + half * 8, reg->ZMM_Q(half));
            stq_le_p(vmsa->ymm_high + i * XMM_LEN + half * 8,
                     reg->ZMM_Q(2 + half));
        }
    }
}

static void load_vectors(CPUX86State *env, const PspVmsa *vmsa)
{
    for (int i = 0; i < MIN(CPU_NB_REGS, 16); i++) {
        ZMMReg *reg = &env->xmm_regs[i];

        for (int half = 0; half < 2; half++) {
            reg->ZMM_Q(half) = ldq_le_p(vmsa->xmm + i * XMM_LEN + half * 8);
            reg->ZMM_Q(2 + half) = ldq_le_p(vmsa->ymm_high + i * XMM_LEN +
                                            half * 8);
        }
    }
}

/* --- MSRs that KVM passes through (vc.c) ------------------------------------ */

static void save_msrs(const CPUX86State *env, PspVmsa *vmsa)
{
#ifdef TARGET_X86_64
    vmsa->lstar = cpu_to_le64(env->lstar);
    vmsa->cstar = cpu_to_le64(env->cstar);
    vmsa->sfmask = cpu_to_le64(env->fmask);
    vmsa->kernel_gs_base = cpu_to_le64(env->kernelgsbase);
#endif
    vmsa->star = cpu_to_le64(env->star);
    vmsa->sysenter_cs = cpu_to_le64(env->sysenter_cs);
    vmsa->sysenter_esp = cpu_to_le64(env->sysenter_esp);
    vmsa->sysenter_eip = cpu_to_le64(env->sysenter_eip);
    vmsa->tsc_aux = cpu_to_le32(env->tsc_aux);
    vmsa->xss = cpu_to_le64(env->xss);
    vmsa->g_pat = cpu_to_le64(env->pat);
    vmsa->efer = cpu_to_le64(env->efer | PSP_VMSA_EFER_SVME);
}

/* But EFER, which load_control() needs. */
static void load_msrs(CPUX86State *env, const PspVmsa *vmsa)
{
#ifdef TARGET_X86_64
    env->lstar = le64_to_cpu(vmsa->lstar);
    env->cstar = le64_to_cpu(vmsa->cstar);
    env->fmask = le64_to_cpu(vmsa->sfmask);
    env->kernelgsbase = le64_to_cpu(vmsa->kernel_gs_base);
#endif
    env->star = le64_to_cpu(vmsa->star);
    env->sysenter_cs = le64_to_cpu(vmsa->sysenter_cs);
    env->sysenter_esp = le64_to_cpu(vmsa->sysenter_esp);
    env->sysenter_eip = le64_to_cpu(vmsa->sysenter_eip);
    env->tsc_aux = le32_to_cpu(vmsa->tsc_aux);
    env->xss = le64_to_cpu(vmsa->xss);
    env->pat = le64_to_cpu(vmsa->g_pat);
}

/* --- All of it ------------------------------------------------------------- */

static void save_control(CPUX86State *env, PspVmsa *vmsa)
{
    vmsa->cpl = env->hflags & HF_CPL_MASK;
    vmsa->rip = cpu_to_le64(env->eip);
    vmsa->rflags = cpu_to_le64(cpu_compute_eflags(env));
    vmsa->cr0 = cpu_to_le64(env->cr[0]);
    vmsa->cr2 = cpu_to_le64(env->cr[2]);
    vmsa->cr3 = cpu_to_le64(env->cr[3]);
    vmsa->cr4 = cpu_to_le64(env->cr[4]);
    for (int i = 0; i < 4; i++) {
        vmsa->dr[i] = cpu_to_le64(env->dr[i]);
    }
    vmsa->dr6 = cpu_to_le64(env->dr[6]);
    vmsa->dr7 = cpu_to_le64(env->dr[7]);
    vmsa->xcr0 = cpu_to_le64(env->xcr0);
    vmsa->pkru = cpu_to_le32(env->pkru);
}

/* EFER.SVME is the host's, and not to be had by the guest. */
static void load_control(CPUX86State *env, const PspVmsa *vmsa)
{
    cpu_x86_update_cr0(env, le64_to_cpu(vmsa->cr0));
    cpu_x86_update_cr4(env, le64_to_cpu(vmsa->cr4));
    cpu_x86_update_cr3(env, le64_to_cpu(vmsa->cr3));
    env->cr[2] = le64_to_cpu(vmsa->cr2);
    cpu_load_efer(env, le64_to_cpu(vmsa->efer) & ~PSP_VMSA_EFER_SVME);
    /* All of it: the execution loop takes the arithmetic flags out again. */
    cpu_load_eflags(env, le64_to_cpu(vmsa->rflags), -1);
    env->eip = le64_to_cpu(vmsa->rip);
    cpu_x86_update_dr7(env, 0);         /* of the old DR0 to DR3 */
    for (int i = 0; i < 4; i++) {
        env->dr[i] = le64_to_cpu(vmsa->dr[i]);
    }
    env->dr[6] = le64_to_cpu(vmsa->dr6);
    cpu_x86_update_dr7(env, le64_to_cpu(vmsa->dr7));
    env->xcr0 = le64_to_cpu(vmsa->xcr0);
    env->pkru = le32_to_cpu(vmsa->pkru);
}

void sev_es_vmsa_save(X86CPU *cpu, PspVmsa *vmsa)
{
    CPUX86State *env = &cpu->env;

    memset(vmsa, 0, sizeof(*vmsa));
    save_control(env, vmsa);
    save_segments(env, vmsa);
    for (size_t i = 0; i < ARRAY_SIZE(general); i++) {
        stq_le_p((void *)vmsa + general[i].vmsa, env->regs[general[i].reg]);
    }
    save_msrs(env, vmsa);
    save_fpu(env, vmsa);
    save_vectors(env, vmsa);
}

/*
 * KVM turns caches on (KVM_X86_QUIRK_CD_NW_CLEARED), and sets a bit that the
 * host has.
 */
void sev_es_vmsa_launch(X86CPU *cpu, bool legacy, PspVmsa *vmsa)
{
    sev_es_vmsa_save(cpu, vmsa);
    vmsa->cr0 &= cpu_to_le64(~(uint64_t)(CR0_CD_MASK | CR0_NW_MASK));
    vmsa->cr4 |= cpu_to_le64(PSP_VMSA_CR4_MCE);
    if (legacy) {
        vmsa->mxcsr = 0;
        vmsa->x87_fcw = 0;
    }
}

void sev_es_vmsa_load(X86CPU *cpu, const PspVmsa *vmsa)
{
    CPUX86State *env = &cpu->env;

    load_control(env, vmsa);
    load_segments(env, vmsa);
    for (size_t i = 0; i < ARRAY_SIZE(general); i++) {
        env->regs[general[i].reg] = ldq_le_p((void *)vmsa + general[i].vmsa);
    }
    load_msrs(env, vmsa);
    load_fpu(env, vmsa);
    load_vectors(env, vmsa);
    cpu_sync_avx_hflag(env);
    tlb_flush(CPU(cpu));
}
