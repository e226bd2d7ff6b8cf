/*
 * How the migration at hand is sealed, by packets or by the lane, and what is told
 * of that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "qapi/qapi-commands-sev-overlay-target.h"
#include "target/i386/sev/lane/lend.h"
#include "lane.h"
#include "params.h"
#include "trace.h"

/* Pages of a trial: some 10 ms of either, at the pace of a real chip. */
#define TRIAL_PACKETS   4
#define TRIAL_PAGES     64

/* Main thread; the migration thread reads it when it exists. */
static struct {
    uint64_t method;
    char *why;
    bool chosen;                /* for some migration */
    uint64_t packet_ns, page_ns;        /* of the last trial; 0: there was none */
} choice = { .method = SEV_METHOD_PACKET };

uint64_t sev_method(void)
{
    return choice.method;
}

const char *sev_method_why(void)
{
    return choice.why;
}

/*
 * Sealed pages are on the main channel.  The others' pages are kept behind them by
 * RAM_SAVE_FLAG_MULTIFD_FLUSH, which older machine types do without.
 */
static bool lane_possible(Error **errp)
{
    if (migrate_multifd() && migrate_multifd_flush_after_each_section()) {
        error_setg(errp, "SEV: the lane cannot be used with capability 'multifd' "
                   "where channels are flushed after each section, as with machine "
                   "types up to 8.0: unset 'multifd', or use sev-method=packets");
        return false;
    }
    return sev_lane_usable(errp);
}

/* Try both; the guest may run. */
static bool try_both(Error **errp)
{
    int64_t ns;

    if (!sev_lane_try_packets(TRIAL_PACKETS, &ns, errp)) {
        return false;
    }
    choice.packet_ns = ns / TRIAL_PACKETS;
    if (!sev_lane_try_pages(TRIAL_PAGES, &ns, errp)) {
        return false;
    }
    choice.page_ns = ns / TRIAL_PAGES;
    return true;
}

static void choose_fastest(void)
{
    Error *err = NULL;
    bool lane;

    choice.packet_ns = choice.page_ns = 0;
    if (!lane_possible(&err) || !try_both(&err)) {
        choice.method = SEV_METHOD_PACKET;
        choice.why = g_strdup_printf("packets, because the lane cannot be "
                                     "used: %s", error_get_pretty(err));
        error_free(err);
        return;
    }
    lane = choice.page_ns < choice.packet_ns;
    choice.method = lane ? SEV_METHOD_LANE : SEV_METHOD_PACKET;
    choice.why = g_strdup_printf("%s, because a packet takes %.1f us and a page "
                                 "through the lane %.1f us",
                                 lane ? "lane" : "packets",
                                 choice.packet_ns / (double)SCALE_US,
                                 choice.page_ns / (double)SCALE_US);
}

bool sev_method_choose(Error **errp)
{
    g_clear_pointer(&choice.why, g_free);
    choice.method = SEV_METHOD_PACKET;
    choice.chosen = true;
    switch (sev_params_method()) {
    case SEV_SEAL_METHOD_AUTO:
        choose_fastest();
        trace_sev_method(choice.method, choice.why);
        return true;
    case SEV_SEAL_METHOD_LANE:
        choice.method = SEV_METHOD_LANE;
        return lane_possible(errp);
    default:
        return true;
    }
}

/* --- What became of it --------------------------------------------------------- */

SevLaneInfo *qmp_query_sev_lane(Error **errp)
{
    SevLaneInfo *info = g_new0(SevLaneInfo, 1);
    Error *err = NULL;

    info->present = sev_lane_present();
    info->program = g_strdup(sev_lane_program());
    info->has_is_claim = info->present;
    info->is_claim = sev_lane_is_claim();
    if (sev_lane_usable(&err)) {
        info->has_vcpus = true;
        info->vcpus = sev_lend_vcpus();
    } else {
        info->unusable = g_strdup(error_get_pretty(err));
        error_free(err);
    }
    info->has_method = choice.chosen;
    info->method = choice.method == SEV_METHOD_LANE ? SEV_SEAL_METHOD_LANE
                                                    : SEV_SEAL_METHOD_PACKETS;
    info->method_reason = g_strdup(choice.why);
    info->has_packet_time = choice.packet_ns;
    info->packet_time = choice.packet_ns;
    info->has_page_time = choice.page_ns;
    info->page_time = choice.page_ns;
    return info;
}
