/*
 * The launch of an SEV-ES guest: what its vCPUs start with is measured.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_ES_LAUNCH_H
#define TARGET_I386_SEV_ES_LAUNCH_H

#include "qapi/error.h"
#include "hw/psp/psp-vmsa.h"

/*
 * This machine has an SEV-ES guest that TCG runs.  Before its vCPUs exist, BQL.
 * @legacy: as Linux' KVM_SEV_ES_INIT has it, not KVM_SEV_INIT2: GHCB version 1,
 * no FPU state in the VMSA.
 */
bool sev_es_init(uint32_t cbitpos, bool legacy, Error **errp);

/* A vCPU of it is realized. */
void sev_es_cpu_realize(CPUState *cs);

/*
 * LAUNCH_UPDATE_VMSA: *@vmsa gets what the vCPU starts with.  When all vCPUs
 * had their turn, their registers are not QEMU's any more.
 */
void sev_es_launch_vmsa(CPUState *cs, PspVmsa *vmsa);
void sev_es_launched(void);

#endif /* TARGET_I386_SEV_ES_LAUNCH_H */
