/*
 * Many packets at once, by the best provider there is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "packet.h"
#include "psp.h"

/* --- Choice -------------------------------------------------------------- */

typedef enum PspProvider {
    PSP_PROVIDER_UNKNOWN,
    PSP_PROVIDER_NETTLE,
    PSP_PROVIDER_WIDE,
} PspProvider;

static int psp_provider_now;

static PspProvider psp_provider_choose(const char *name)
{
    if (g_strcmp0(name, "nettle") == 0 || !psp_wide_available()) {
        return PSP_PROVIDER_NETTLE;
    }
    return PSP_PROVIDER_WIDE;
}

static bool psp_provider_is_wide(void)
{
    int now = g_atomic_int_get(&psp_provider_now);

    if (now == PSP_PROVIDER_UNKNOWN) {
        now = psp_provider_choose(g_getenv("SEV_PSP_PACKETS"));
        g_atomic_int_set(&psp_provider_now, now);
    }
    return now == PSP_PROVIDER_WIDE;
}

const char *psp_packet_provider(void)
{
    return psp_provider_is_wide() ? "ipsec-mb" : "nettle";
}

bool psp_packet_set_provider(const char *name)
{
    g_atomic_int_set(&psp_provider_now, psp_provider_choose(name));
    return strcmp(psp_packet_provider(), name) == 0;
}

/* --- Work ---------------------------------------------------------------- */

void psp_transport_init(PspTransport *t, const PspTransportKeys *keys)
{
    psp_ctr_init(&t->tek, keys->tek);
    psp_hmac_init(&t->tik, keys->tik, sizeof(keys->tik));
    if (psp_wide_available()) {
        psp_wide_schedule(&t->wide, keys);
    }
}

static void psp_wide_seal(const PspTransport *t, PspPacketType type,
                          PspPacketJob *jobs, size_t n)
{
    uint8_t macs[PSP_BATCH_MAX][PSP_SHA256_LEN];

    g_assert(n <= PSP_BATCH_MAX);
    for (size_t i = 0; i < n; i++) {
        jobs[i].hdr.flags = 0;
    }
    psp_wide_crypt(t, jobs, n, false);
    psp_wide_mac(t, type, jobs, n, macs);
    for (size_t i = 0; i < n; i++) {
        memcpy(jobs[i].hdr.mac, macs[i], PSP_SHA256_LEN);
    }
}

static void psp_wide_open(const PspTransport *t, PspPacketType type,
                          PspPacketJob *jobs, size_t n)
{
    uint8_t macs[PSP_BATCH_MAX][PSP_SHA256_LEN];

    g_assert(n <= PSP_BATCH_MAX);
    psp_wide_mac(t, type, jobs, n, macs);
    for (size_t i = 0; i < n; i++) {
        jobs[i].authentic = psp_equal(macs[i], jobs[i].hdr.mac,
                                      PSP_SHA256_LEN);
    }
    psp_wipe(macs, sizeof(macs));
    psp_wide_crypt(t, jobs, n, true);
}

void psp_packet_seal_many(const PspTransport *t, PspPacketType type,
                          PspPacketJob *jobs, size_t n)
{
    if (psp_provider_is_wide()) {
        psp_wide_seal(t, type, jobs, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        psp_packet_seal(t, type, NULL, &jobs[i].hdr, jobs[i].data,
                        jobs[i].data, jobs[i].len);
    }
}

void psp_packet_open_many(const PspTransport *t, PspPacketType type,
                          PspPacketJob *jobs, size_t n)
{
    if (psp_provider_is_wide()) {
        psp_wide_open(t, type, jobs, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        jobs[i].authentic = psp_packet_open(t, type, NULL, &jobs[i].hdr,
                                            jobs[i].data, jobs[i].data,
                                            jobs[i].len);
    }
}
