/*
 * What the secure processor's speed means for the downtime.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/ram.h"
#include "downtime.h"
#include "pages.h"
#include "trace.h"

/* Fewer packets tell no pace. */
#define PACKETS_MIN     256
/* So often in a row the limit must be out of reach. */
#define LOOKS           3

/* Migration thread only. */
static struct {
    unsigned out_of_reach;      /* looks in a row */
    bool given;
} advice;

void sev_advice_begin(void)
{
    advice.out_of_reach = 0;
    advice.given = false;
}

uint64_t sev_advice_firmware_ms(void)
{
    uint64_t packets = stat64_get(&sev_page_stats.packets);
    uint64_t pages = ram_bytes_remaining() / SEV_RECORD_PACKET_DATA;
    unsigned channels = migrate_multifd() ? migrate_multifd_channels() : 1;

    if (packets < PACKETS_MIN) {
        return 0;
    }
    return (double)stat64_get(&sev_page_stats.firmware_ns) / packets * pages /
           channels / SCALE_MS;
}

void sev_advice_look(void)
{
    uint64_t ms = sev_advice_firmware_ms();
    uint64_t limit = migrate_downtime_limit();

    trace_sev_advice(ms, limit);
    advice.out_of_reach = ms > limit ? advice.out_of_reach + 1 : 0;
    if (advice.out_of_reach < LOOKS || advice.given) {
        return;
    }
    advice.given = true;
    warn_report("SEV: after each round the guest has dirtied pages for which "
                "the secure processor needs %" PRIu64 " ms, and downtime-limit"
                " is %" PRIu64 " ms: the migration will not end. Raise "
                "downtime-limit above that, use capability 'auto-converge', or "
                "let the guest write less", ms, limit);
}
