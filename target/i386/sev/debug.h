/*
 * sev-guest property debug-decrypt: debuggers see the guest's plaintext.
 *
 * Off by default.  With a policy that allows debugging (NODBG clear) the
 * gdbstub and the monitor's "x" read and write private pages through the
 * firmware's DBG_DECRYPT and DBG_ENCRYPT, and walk the guest's encrypted page
 * tables with them.  Nothing else does: "xp", "info tlb", pmemsave and dumps
 * are ciphertext as before.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_DEBUG_H
#define TARGET_I386_SEV_DEBUG_H

#include "cpu.h"
#ifndef CONFIG_USER_ONLY
#include CONFIG_DEVICES                 /* CONFIG_SEV */
#endif

#if defined(CONFIG_SEV) && !defined(CONFIG_USER_ONLY)

/* The C-bit when debuggers see plaintext, else 0. */
extern uint64_t sev_debug_cbit;

/* An entry of the guest's page tables, in the clear and without its C-bit. */
uint64_t sev_debug_read_entry(CPUState *cs, hwaddr addr);

/* Give sev-guest the property. */
void sev_debug_class_init(ObjectClass *oc);

/*
 * The guest is set up: do what the property says, or say why its owner's
 * policy forbids it.  BQL held, before any vCPU runs.
 */
bool sev_debug_init(uint32_t policy, uint32_t cbitpos, Error **errp);

#else

#define sev_debug_cbit UINT64_C(0)

static inline uint64_t sev_debug_read_entry(CPUState *cs, hwaddr addr)
{
    return 0;
}

#endif

/* x86_ldq_phys() of page walks that a debugger asks for. */
static inline uint64_t sev_debug_ldq(CPUState *cs, hwaddr addr)
{
    return unlikely(sev_debug_cbit) ? sev_debug_read_entry(cs, addr)
                                    : x86_ldq_phys(cs, addr);
}

#endif /* TARGET_I386_SEV_DEBUG_H */
