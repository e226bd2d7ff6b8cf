/*
 * A vCPU's registers as a VMSA, as Linux' KVM lays it out for
 * LAUNCH_UPDATE_VMSA (svm/sev.c: sev_es_sync_vmsa()), and back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "qemu/bswap.h"
#include "tcg/helper-tcg.h"
#include "es-int.h"

#define CC_FLAGS (CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C)

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

/* --- All of it ------------------------------------------------------------- */

/*
 * KVM turns caches on (KVM_X86_QUIRK_CD_NW_CLEARED), and sets two bits that
 * the host has.
 */
void sev_es_vmsa_save(X86CPU *cpu, bool legacy, PspVmsa *vmsa)
{
    CPUX86State *env = &cpu->env;

    memset(vmsa, 0, sizeof(*vmsa));
    save_segments(env, vmsa);
    for (size_t i = 0; i < ARRAY_SIZE(general); i++) {
        stq_le_p((void *)vmsa + general[i].vmsa, env->regs[general[i].reg]);
    }
    vmsa->cpl = env->hflags & HF_CPL_MASK;
    vmsa->rip = cpu_to_le64(env->eip);
    vmsa->rflags = cpu_to_le64(cpu_compute_eflags(env));
    vmsa->cr0 = cpu_to_le64(env->cr[0] & ~(CR0_CD_MASK | CR0_NW_MASK));
    vmsa->cr2 = cpu_to_le64(env->cr[2]);
    vmsa->cr3 = cpu_to_le64(env->cr[3]);
    vmsa->cr4 = cpu_to_le64(env->cr[4] | PSP_VMSA_CR4_MCE);
    vmsa->dr6 = cpu_to_le64(env->dr[6]);
    vmsa->dr7 = cpu_to_le64(env->dr[7]);
    vmsa->efer = cpu_to_le64(env->efer | PSP_VMSA_EFER_SVME);
    vmsa->g_pat = cpu_to_le64(env->pat);
    vmsa->xcr0 = cpu_to_le64(env->xcr0);
    vmsa->pkru = cpu_to_le32(env->pkru);
    if (!legacy) {
        vmsa->mxcsr = cpu_to_le32(env->mxcsr);
        vmsa->x87_fcw = cpu_to_le16(env->fpuc);
    }
}

/* EFER.SVME is the host's, and not to be had by the guest. */
void sev_es_vmsa_load(X86CPU *cpu, const PspVmsa *vmsa)
{
    CPUX86State *env = &cpu->env;

    cpu_x86_update_cr0(env, le64_to_cpu(vmsa->cr0));
    cpu_x86_update_cr4(env, le64_to_cpu(vmsa->cr4));
    cpu_x86_update_cr3(env, le64_to_cpu(vmsa->cr3));
    env->cr[2] = le64_to_cpu(vmsa->cr2);
    cpu_load_efer(env, le64_to_cpu(vmsa->efer) & ~PSP_VMSA_EFER_SVME);
    env->eflags = 0;
    cpu_load_eflags(env, le64_to_cpu(vmsa->rflags), ~(CC_FLAGS | DF_MASK));
    load_segments(env, vmsa);
    for (size_t i = 0; i < ARRAY_SIZE(general); i++) {
        env->regs[general[i].reg] = ldq_le_p((void *)vmsa + general[i].vmsa);
    }
    env->eip = le64_to_cpu(vmsa->rip);
    env->dr[6] = le64_to_cpu(vmsa->dr6);
    env->dr[7] = le64_to_cpu(vmsa->dr7);
    env->pat = le64_to_cpu(vmsa->g_pat);
    env->xcr0 = le64_to_cpu(vmsa->xcr0);
    env->pkru = le32_to_cpu(vmsa->pkru);
    cpu_set_mxcsr(env, le32_to_cpu(vmsa->mxcsr));
    cpu_set_fpuc(env, le16_to_cpu(vmsa->x87_fcw));
    cpu_sync_avx_hflag(env);
    tlb_flush(CPU(cpu));
}
