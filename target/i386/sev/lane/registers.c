/*
 * The registers with which the lane's program begins: lane/abi.h, "ENTRY".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "lane/abi.h"
#include "lent.h"
#include "setup.h"

static void load_segment(CPUX86State *env, int seg, unsigned selector,
                         uint32_t flags)
{
    cpu_x86_load_seg_cache(env, seg, selector, 0, selector ? UINT32_MAX : 0,
                           flags);
}

static void load_segments(CPUX86State *env, unsigned slot)
{
    const int ring = sev_lane_ring();
    const unsigned ds = ring ? LANE_DS3 : LANE_DS0;
    const uint32_t any = DESC_G_MASK | DESC_P_MASK | DESC_S_MASK | DESC_A_MASK |
                         ring << DESC_DPL_SHIFT;

    load_segment(env, R_CS, ring ? LANE_CS3 : LANE_CS0,
                 any | DESC_L_MASK | DESC_CS_MASK | DESC_R_MASK);
    load_segment(env, R_SS, ds, any | DESC_B_MASK | DESC_W_MASK);
    load_segment(env, R_DS, ds, any | DESC_B_MASK | DESC_W_MASK);
    load_segment(env, R_ES, ds, any | DESC_B_MASK | DESC_W_MASK);
    load_segment(env, R_FS, 0, 0);
    load_segment(env, R_GS, 0, 0);
    env->ldt = (SegmentCache) { 0 };
    env->gdt = (SegmentCache) { .base = LANE_GDT, .limit = LANE_GDT_SIZE - 1 };
    env->idt = (SegmentCache) { .base = LANE_IDT, .limit = LANE_IDT_SIZE - 1 };
    env->tr = (SegmentCache) {
        .selector = LANE_TR,
        .base = LANE_TSS + slot * LANE_TSS_STRIDE,
        .limit = 103,
        .flags = DESC_P_MASK | (11 << DESC_TYPE_SHIFT),     /* a busy TSS */
    };
}

void sev_lane_load_registers(CPUX86State *env, unsigned slot)
{
    uint64_t xcr0 = env->features[FEAT_XSAVE_XCR0_LO];

    /* No guest of the guest, no SMM, nothing in a shadow. */
    env->hflags &= ~(HF_SMM_MASK | HF_GUEST_MASK | HF_INHIBIT_IRQ_MASK |
                     HF_RF_MASK);
    env->hflags2 &= ~(HF2_NPT_MASK | HF2_VINTR_MASK | HF2_SMM_INSIDE_NMI_MASK);
    env->a20_mask = -1;
    env->eflags = 2;
    env->old_exception = -1;
    cpu_load_efer(env, LANE_EFER & ~MSR_EFER_LMA);
    env->cr[0] = CR0_PE_MASK;
    cpu_x86_update_cr4(env, LANE_CR4 | (env->features[FEAT_1_ECX] &
                                        CPUID_EXT_XSAVE ? LANE_CR4_OSXSAVE
                                                        : 0));
    cpu_x86_update_cr3(env, (LANE_GPA + LANE_TABLES) | sev_lane_cbit());
    cpu_x86_update_cr0(env, LANE_CR0);
    load_segments(env, slot);
    memset(env->regs, 0, sizeof(env->regs));
    env->regs[R_EDI] = slot;
    env->eip = LANE_IMAGE;
    env->xcr0 = XSTATE_FP_MASK | (xcr0 & LANE_XCR0);
    cpu_set_mxcsr(env, 0x1f80);
    env->fpstt = 0;
    memset(env->fptags, 1, sizeof(env->fptags));
    x86_update_hflags(env);
    cpu_sync_avx_hflag(env);
}
