/*
 * Builds without TCG: no emulated memory encryption, no cache.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "smm.h"
#include "cache.h"
#include "sealed.h"
#include "target/i386/sev/transfer.h"

void sev_cache_set_key(struct PspMemKey *key)
{
}

void sev_cache_forget(void)
{
}

void sev_cache_writeback(SevPageMap *map, size_t page)
{
}

bool sev_sealed_settle_range(SevPageMap *map, ram_addr_t offset, size_t length)
{
    return true;
}

bool sev_first_touch_possible(void)
{
    return false;
}

bool sev_first_touch_begin(Error **errp)
{
    error_setg(errp, "SEV: packets are opened at first touch under TCG only");
    return false;
}

void sev_first_touch_add(SevSealedBlock *sealed)
{
    g_assert_not_reached();
}

void sev_first_touch_mark(RAMBlock *rb, ram_addr_t offset, ram_addr_t length)
{
    g_assert_not_reached();
}

void sev_first_touch_sweep(void)
{
    g_assert_not_reached();
}

bool sev_smm_may_move(Error **errp)
{
    return true;
}
