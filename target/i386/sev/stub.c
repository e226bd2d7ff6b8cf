/*
 * Builds without SEV: the helpers of the cache instructions have a name, and
 * no code that calls them is generated (emit.c.inc).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"

#ifdef CONFIG_TCG

#include "exec/helper-proto.h"

void helper_sev_clflush(CPUX86State *env, target_ulong addr)
{
    g_assert_not_reached();
}

void helper_sev_wbinvd(CPUX86State *env)
{
    g_assert_not_reached();
}

#endif
