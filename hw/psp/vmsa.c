/*
 * The first state of an SEV-ES vCPU.
 *
 * Written from the APM's table of a processor after INIT (vol. 2, 14.1.3) and
 * from what QEMU and KVM change in it; QEMU's own vCPUs make theirs from their
 * registers (target/i386/sev/es/vmsa.c), so that each checks the other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "psp-vmsa.h"

#define ATTR_CODE       0x9b            /* present, readable, accessed */
#define ATTR_DATA       0x93            /* present, writable, accessed */
#define ATTR_LDT        0x82
#define ATTR_BUSY_TSS   0x8b

#define RESET_IP        0xfff0
#define RESET_CS_BASE   0xffff0000
#define RESET_CS        0xf000

static void vmsa_segment(PspVmsaSegment *seg, uint16_t attrib)
{
    seg->attrib = GUINT16_TO_LE(attrib);
    seg->limit = GUINT32_TO_LE(0xffff);
}

static void vmsa_segments(PspVmsa *vmsa)
{
    vmsa_segment(&vmsa->es, ATTR_DATA);
    vmsa_segment(&vmsa->cs, ATTR_CODE);
    vmsa_segment(&vmsa->ss, ATTR_DATA);
    vmsa_segment(&vmsa->ds, ATTR_DATA);
    vmsa_segment(&vmsa->fs, ATTR_DATA);
    vmsa_segment(&vmsa->gs, ATTR_DATA);
    vmsa_segment(&vmsa->gdtr, 0);
    vmsa_segment(&vmsa->ldtr, ATTR_LDT);
    vmsa_segment(&vmsa->idtr, 0);
    vmsa_segment(&vmsa->tr, ATTR_BUSY_TSS);
}

void psp_vmsa_start(PspVmsa *vmsa, const PspVmsaStart *start)
{
    uint32_t cs_base = RESET_CS_BASE, ip = RESET_IP;

    if (start->reset_addr) {
        cs_base = start->reset_addr & 0xffff0000;
        ip = start->reset_addr & 0xffff;
    }
    memset(vmsa, 0, sizeof(*vmsa));
    vmsa_segments(vmsa);
    vmsa->cs.selector = GUINT16_TO_LE(RESET_CS);
    vmsa->cs.base = GUINT64_TO_LE(cs_base);
    vmsa->rip = GUINT64_TO_LE(ip);
    vmsa->rdx = GUINT64_TO_LE(start->signature);
    vmsa->efer = GUINT64_TO_LE(PSP_VMSA_EFER_SVME);
    vmsa->cr4 = GUINT64_TO_LE(PSP_VMSA_CR4_MCE);
    vmsa->cr0 = GUINT64_TO_LE(0x10);
    vmsa->dr7 = GUINT64_TO_LE(0x400);
    vmsa->dr6 = GUINT64_TO_LE(0xffff0ff0);
    vmsa->rflags = GUINT64_TO_LE(0x2);
    vmsa->g_pat = GUINT64_TO_LE(UINT64_C(0x0007040600070406));
    vmsa->xcr0 = GUINT64_TO_LE(0x1);
    if (!start->legacy) {
        vmsa->mxcsr = GUINT32_TO_LE(0x1f80);
        vmsa->x87_fcw = GUINT16_TO_LE(0x37f);
    }
}
