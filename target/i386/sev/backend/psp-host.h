/*
 * The world as the software secure processor sees it: guest RAM, the VMM's
 * buffers, randomness, the identity's folder.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_BACKEND_PSP_HOST_H
#define TARGET_I386_SEV_BACKEND_PSP_HOST_H

#include "hw/psp/psp.h"

/* opaque: the PspStore of the chip */
extern const PspHost sev_psp_host;

/*
 * Open window @n (0 .. PSP_WINDOWS - 1) of this thread on a buffer of this
 * process, until it is opened on another.  Returns its paddr as it goes into
 * a command buffer (little endian); 0 for an empty or NULL buffer.
 */
#define PSP_WINDOWS (2 * PSP_BATCH_MAX)     /* a header and data each */
uint64_t psp_window(unsigned int n, uint64_t uaddr, size_t len);

#endif /* TARGET_I386_SEV_BACKEND_PSP_HOST_H */
