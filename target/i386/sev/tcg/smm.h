/*
 * SMM of an SEV guest under TCG.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_SMM_H
#define TARGET_I386_SEV_TCG_SMM_H

#include "qapi/error.h"

/*
 * May the memory of the stopped guest become packets?  Not while a vCPU is in
 * SMM and its state lies as it is in DRAM, in a private page: it would arrive
 * as noise.  BQL held.
 */
bool sev_smm_may_move(Error **errp);

#endif /* TARGET_I386_SEV_TCG_SMM_H */
