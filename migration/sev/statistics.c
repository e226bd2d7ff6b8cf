/*
 * What query-migrate and "info migrate" say of an SEV guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "monitor/monitor.h"
#include "downtime.h"
#include "lane.h"
#include "pace.h"
#include "pages.h"
#include "section.h"
#include "sev.h"

void sev_migration_populate_info(MigrationInfo *info)
{
    uint64_t packets = stat64_get(&sev_page_stats.packets);
    SevPace pace = sev_pace_get();
    int64_t start = stat64_get(&sev_page_stats.start_ns);
    int64_t ns = stat64_get(&sev_page_stats.last_ns) - start;

    if (info->status == MIGRATION_STATUS_FAILED) {
        sev_save_explain();
    }
    /* A choice is told even of a migration that was refused before it began. */
    if (!sev_migration_on || !info->ram || (!start && !sev_method_why())) {
        return;
    }
    info->sev = g_new(MigrationSevStats, 1);
    *info->sev = (MigrationSevStats) {
        .packets = packets,
        .method = sev_method() == SEV_METHOD_LANE ? SEV_SEAL_METHOD_LANE
                                                  : SEV_SEAL_METHOD_PACKETS,
        .method_reason = g_strdup(sev_method_why()),
        .packet_bytes = stat64_get(&sev_page_stats.bytes),
        .skipped = stat64_get(&sev_page_stats.skipped),
        .private_pages = stat64_get(&sev_page_stats.private_pages),
        .firmware_time = stat64_get(&sev_page_stats.firmware_ns) / SCALE_US,
        .firmware_downtime = sev_downtime_ms(),
        .target_packets = pace.opened,
        .target_packet_time = pace.packet_ns / SCALE_US,
        .line_wait_time = stat64_get(&sev_page_stats.line_wait_ns) / SCALE_US,
        .page_wait_time = stat64_get(&sev_page_stats.page_wait_ns) / SCALE_US,
        .target_wait_time = stat64_get(&sev_page_stats.target_wait_ns) /
                            SCALE_US,
        .packets_per_second = start && ns > 0
            ? packets * (double)NANOSECONDS_PER_SECOND / ns : 0,
    };
}

void sev_migration_print(Monitor *mon, const MigrationInfo *info)
{
    const MigrationSevStats *s = info->sev;

    if (!s) {
        return;
    }
    monitor_printf(mon, "sev packets: %" PRIu64 " (%" PRIu64 " kbytes, %" PRIu64
                   " us in the %s, %" PRIu64 " per second)\n", s->packets,
                   s->packet_bytes >> 10, s->firmware_time,
                   s->method == SEV_SEAL_METHOD_LANE ? "lane"
                                                     : "secure processor",
                   s->packets_per_second);
    monitor_printf(mon, "sev method: %s%s%s\n", SevSealMethod_str(s->method),
                   s->method_reason ? ": " : "", s->method_reason ?: "");
}
