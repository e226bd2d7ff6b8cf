/*
 * How the chip makes memory keys; what others may do with them is in
 * psp-memory.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_MEMORY_INT_H
#define PSP_MEMORY_INT_H

#include "psp-memory.h"
#include "util.h"

/* A fresh VEK, or NULL when the crypto library refuses. */
PspMemKey *psp_mem_key_new(const PspRng *rng);

#endif /* PSP_MEMORY_INT_H */
