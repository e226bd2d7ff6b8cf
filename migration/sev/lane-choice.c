/*
 * How the migration at hand is sealed: by packets or by the lane.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/options.h"
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
} choice = { .method = SEV_METHOD_PACKET };

uint64_t sev_method(void)
{
    return choice.method;
}

const char *sev_method_why(void)
{
    return choice.why;
}

/* The lane's pages come from one thread, in the order of the main channel. */
static bool lane_possible(Error **errp)
{
    if (migrate_multifd()) {
        error_setg(errp, "SEV: the lane seals for one channel: unset "
                   "capability 'multifd', or use sev-method=packets");
        return false;
    }
    return sev_lane_usable(errp);
}

/* Try both; the guest may run. */
static bool try_both(double *packet_us, double *page_us, Error **errp)
{
    int64_t ns;

    if (!sev_lane_try_packets(TRIAL_PACKETS, &ns, errp)) {
        return false;
    }
    *packet_us = (double)ns / TRIAL_PACKETS / SCALE_US;
    if (!sev_lane_try_pages(TRIAL_PAGES, &ns, errp)) {
        return false;
    }
    *page_us = (double)ns / TRIAL_PAGES / SCALE_US;
    return true;
}

static void choose_fastest(void)
{
    double packet_us, page_us;
    Error *err = NULL;

    if (!lane_possible(&err) || !try_both(&packet_us, &page_us, &err)) {
        choice.method = SEV_METHOD_PACKET;
        choice.why = g_strdup_printf("packets, because the lane cannot be "
                                     "used: %s", error_get_pretty(err));
        error_free(err);
        return;
    }
    choice.method = page_us < packet_us ? SEV_METHOD_LANE : SEV_METHOD_PACKET;
    choice.why = g_strdup_printf("%s, because a packet takes %.1f us and a page "
                                 "through the lane %.1f us",
                                 page_us < packet_us ? "lane" : "packets",
                                 packet_us, page_us);
}

bool sev_method_choose(Error **errp)
{
    g_clear_pointer(&choice.why, g_free);
    choice.method = SEV_METHOD_PACKET;
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
