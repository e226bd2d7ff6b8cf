/*
 * Hypercalls and MSRs of an emulated SEV guest, for SEV-ES, whose requests come
 * another way.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_INSN_H
#define TARGET_I386_SEV_TCG_INSN_H

#define MSR_AMD64_SEV           0xc0010131      /* SEV_STATUS */

/*
 * Hypercall @nr of a guest at privilege level @cpl; @args: RBX, RCX, RDX.
 * *@again: somebody wants the vCPU; nothing has an answer, and the instruction
 * must begin again.
 */
int64_t sev_tcg_hypercall(CPUState *cs, unsigned cpl, uint64_t nr,
                          const uint64_t args[3], bool *again);

#endif /* TARGET_I386_SEV_TCG_INSN_H */
