/*
 * The multi-buffer provider where its library was missing at build time: it
 * is never available, so nothing else here is ever called.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "packet.h"

bool psp_wide_available(void)
{
    return false;
}

void psp_wide_schedule(PspWideKeys *wide, const PspTransportKeys *keys)
{
    g_assert_not_reached();
}

void psp_wide_crypt(const PspTransport *t, PspPacketJob *jobs, size_t n,
                    bool authentic_only)
{
    g_assert_not_reached();
}

void psp_wide_mac(const PspTransport *t, PspPacketType type,
                  PspPacketJob *jobs, size_t n,
                  uint8_t (*macs)[PSP_SHA256_LEN])
{
    g_assert_not_reached();
}
