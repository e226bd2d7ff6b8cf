/*
 * The pace of the secure processor's packets, and of the lane's program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "lane.h"
#include "setup.h"
#include "windows.h"

static bool make_packets(size_t n, int64_t *ns, Error **errp)
{
    uint8_t packet[SEV_PACKET_HDR_LEN + SEV_PACKET_DATA_LEN];
    int64_t start = get_clock();

    for (size_t i = 0; i < n; i++) {
        SevPageJob job = {
            .page = {
                sev_windows_private(),
                i % sev_lane_program_pages() * TARGET_PAGE_SIZE,
            },
            .hdr = packet,
            .data = packet + SEV_PACKET_HDR_LEN,
        };

        if (!sev_send_pages(&job, 1, errp)) {
            return false;
        }
    }
    *ns = get_clock() - start;
    return true;
}

/* The program is no secret, and nobody gets this session. */
bool sev_lane_try_packets(size_t n, int64_t *ns, Error **errp)
{
    g_auto(SevPlatformCerts) own = { 0 };
    uint8_t session[SEV_SESSION_LEN];
    bool ok;

    if (!sev_platform_chain(&own, errp) ||
        !sev_certs_complete_own(&own, errp) ||
        !sev_send_start(&own, session, errp)) {
        return false;
    }
    ok = make_packets(n, ns, errp);
    return sev_send_cancel(ok ? errp : NULL) && ok;
}

bool sev_lane_try_pages(size_t n, int64_t *ns, Error **errp)
{
    g_autofree SevPageJob *jobs = g_new(SevPageJob, n);
    g_autofree uint8_t *packets = g_malloc(n * (SEV_PACKET_HDR_LEN +
                                                SEV_PACKET_DATA_LEN));
    RAMBlock *rb = sev_lane_some_memory(n);
    int64_t start;
    bool ok;

    if (!rb) {
        error_setg(errp, "SEV: no RAM block has the %zu pages of a trial", n);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        jobs[i] = (SevPageJob) {
            .page = { rb, i * TARGET_PAGE_SIZE },
            .hdr = packets + i * (SEV_PACKET_HDR_LEN + SEV_PACKET_DATA_LEN),
        };
        jobs[i].data = jobs[i].hdr + SEV_PACKET_HDR_LEN;
    }
    if (!sev_lane_new_key(&rb, 1, errp)) {
        sev_lane_end();
        return false;
    }
    /* The first run translates the program, where it is translated. */
    ok = sev_lane_seal(jobs, n / 2, errp);
    start = get_clock();
    ok = ok && sev_lane_seal(jobs, n, errp);
    *ns = get_clock() - start;
    sev_lane_end();
    return ok;
}
