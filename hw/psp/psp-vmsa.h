/*
 * The save area of an SEV-ES vCPU: what LAUNCH_UPDATE_VMSA measures, encrypts
 * and gives to the processor as the vCPU's first state.
 *
 * The layout is the APM's (vol. 2, table B-4).  Every integer is little endian.
 * Nothing here needs QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_VMSA_H
#define PSP_VMSA_H

#include <stdbool.h>
#include "psp-abi.h"

typedef struct PSP_PACKED PspVmsaSegment {
    uint16_t selector;
    uint16_t attrib;            /* type, S, DPL, P; then AVL, L, D/B, G */
    uint32_t limit;
    uint64_t base;
} PspVmsaSegment;

typedef struct PSP_PACKED PspVmsa {
    PspVmsaSegment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint64_t vmpl_ssp[4];
    uint64_t u_cet;
    uint8_t rsvd1[2];
    uint8_t vmpl;
    uint8_t cpl;
    uint8_t rsvd2[4];
    uint64_t efer;
    uint8_t rsvd3[104];
    uint64_t xss, cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint64_t dr[4];
    uint64_t dr_mask[4];
    uint8_t rsvd4[24];
    uint64_t rsp;
    uint64_t s_cet, ssp, isst_addr;
    uint64_t rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t cr2;
    uint8_t rsvd5[32];
    uint64_t g_pat;
    uint64_t dbgctl, br_from, br_to, excp_from, excp_to;
    uint8_t rsvd6[80];
    uint32_t pkru;
    uint32_t tsc_aux;
    uint8_t rsvd7[16];
    uint64_t rsvd_rax;          /* RAX and RSP are above */
    uint64_t rcx, rdx, rbx;
    uint64_t rsvd_rsp;
    uint64_t rbp, rsi, rdi;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint8_t rsvd8[16];
    uint64_t exit_info_1, exit_info_2, exit_int_info, nrip;
    uint64_t sev_features;
    uint64_t vintr_ctrl;
    uint64_t exit_code;
    uint64_t virtual_tom, tlb_id, pcpu_id, event_inj;
    uint64_t xcr0;
    uint8_t rsvd9[16];
    uint64_t x87_dp;
    uint32_t mxcsr;
    uint16_t x87_ftw;
    uint16_t x87_fsw;
    uint16_t x87_fcw;
    uint16_t x87_fop;
    uint16_t x87_ds;
    uint16_t x87_cs;
    uint64_t x87_rip;
    uint8_t x87_regs[80];
    uint8_t xmm[256];
    uint8_t ymm_high[256];
    uint8_t rsvd10[2448];
} PspVmsa;
_Static_assert(sizeof(PspVmsa) == PSP_PAGE_SIZE, "VMSA");
_Static_assert(__builtin_offsetof(PspVmsa, efer) == 0x0d0, "VMSA: EFER");
_Static_assert(__builtin_offsetof(PspVmsa, rip) == 0x178, "VMSA: RIP");
_Static_assert(__builtin_offsetof(PspVmsa, rax) == 0x1f8, "VMSA: RAX");
_Static_assert(__builtin_offsetof(PspVmsa, g_pat) == 0x268, "VMSA: PAT");
_Static_assert(__builtin_offsetof(PspVmsa, rcx) == 0x308, "VMSA: RCX");
_Static_assert(__builtin_offsetof(PspVmsa, sev_features) == 0x3b0,
               "VMSA: SEV_FEATURES");
_Static_assert(__builtin_offsetof(PspVmsa, xcr0) == 0x3e8, "VMSA: XCR0");
_Static_assert(__builtin_offsetof(PspVmsa, mxcsr) == 0x408, "VMSA: MXCSR");

/* What Linux' KVM adds to the state that QEMU gives to a vCPU */
#define PSP_VMSA_EFER_SVME      (UINT64_C(1) << 12)
#define PSP_VMSA_CR4_MCE        (UINT64_C(1) << 6)

/*
 * What a vCPU starts with under QEMU and Linux' KVM.
 *
 * @signature: EAX of CPUID leaf 1 (QEMU's family, model, stepping), which a
 *     processor has in EDX after a reset.
 * @reset_addr: 0 for vCPU 0, which starts at 0xfffffff0; for the others what
 *     the firmware names in its SEV-ES reset block: CS base and IP.
 * @legacy: as under KVM_SEV_ES_INIT, which leaves the FPU out (Linux before
 *     6.10, or legacy-vm-type=on); false as under KVM_SEV_INIT2.
 */
typedef struct PspVmsaStart {
    uint32_t signature;
    uint32_t reset_addr;
    bool legacy;
} PspVmsaStart;

void psp_vmsa_start(PspVmsa *vmsa, const PspVmsaStart *start);

#endif /* PSP_VMSA_H */
