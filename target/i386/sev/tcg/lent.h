/*
 * A vCPU that is lent to the lane, under TCG.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_LENT_H
#define TARGET_I386_SEV_TCG_LENT_H

#include "target/i386/sev/lane/lent.h"

/* Is the vCPU of this thread lent, and what for? */
extern __thread SevLentFor sev_lent;
/* A page could not be had: the program cannot go on. */
extern __thread bool sev_lent_failed;

/* Where the lane's mailboxes lie in the address space of private pages. */
#define SEV_LENT_SHARED_AT (UINT64_C(1) << 62)

#endif /* TARGET_I386_SEV_TCG_LENT_H */
