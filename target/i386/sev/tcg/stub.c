/*
 * Builds without TCG: no emulated memory encryption, no cache.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "smm.h"
#include "cache.h"
#include "lent.h"
#include "sealed.h"
#include "target/i386/sev/es/launch.h"
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

const SevLentOps sev_lent_tcg;

bool sev_smm_may_move(Error **errp)
{
    return true;
}

void sev_es_launch_vmsa(CPUState *cs, PspVmsa *vmsa)
{
    g_assert_not_reached();
}

void sev_es_launched(void)
{
    g_assert_not_reached();
}

size_t sev_vcpus(void)
{
    return 0;
}

uint64_t sev_vcpu_id(size_t n)
{
    g_assert_not_reached();
}

uint64_t sev_vcpus_ghcb(void)
{
    return 0;
}

bool sev_vcpus_can_move(Error **errp)
{
    return true;
}

bool sev_send_vcpu(size_t n, uint8_t *hdr, uint8_t *data, Error **errp)
{
    g_assert_not_reached();
}

bool sev_receive_vcpu(size_t n, const uint8_t *hdr, const uint8_t *data,
                      Error **errp)
{
    g_assert_not_reached();
}

void sev_receive_vcpus_end(void)
{
}

void sev_vcpus_forget(void)
{
}
