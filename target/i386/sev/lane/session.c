/*
 * One session of the lane: key, packets, digest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "batch.h"
#include "command.h"
#include "lane.h"
#include "lent.h"
#include "setup.h"
#include "target/i386/sev/page-state.h"
#include "target/i386/sev/test/fault.h"
#include "target/i386/sev/trace.h"

QEMU_BUILD_BUG_ON(SEV_LANE_SUM_LEN != LANE_SUM);
QEMU_BUILD_BUG_ON(sizeof(SevLaneSums) != LANE_SUMS * LANE_SUM);

/* A key of this guest's program may be about; thread that has the session. */
static bool is_open;

/* --- Windows ---------------------------------------------------------------- */

static bool with_windows(uint32_t command, SevLentFor what, Error **errp)
{
    unsigned n = sev_windows_list(sev_lane_mailbox(0)->windows);

    return sev_lane_free_slots(errp) &&
           sev_lane_command(0, command, n, what, NULL, errp);
}

/* --- Source ----------------------------------------------------------------- */

static bool send_page(uint64_t at, SevLanePacket *packet, Error **errp)
{
    SevPageJob job = {
        .page = { sev_windows_private(), at - LANE_IMAGE },
        .hdr = packet->hdr,
        .data = packet->data,
    };

    packet->at = at;
    sev_lent_ops()->write_back(job.page.rb, job.page.offset);
    return sev_send_pages(&job, 1, errp);
}

/* Image, tables and the page with the key. */
static bool send_program(SevLanePacket *packets, size_t *n, Error **errp)
{
    size_t pages = sev_lane_program_pages();

    *n = 0;
    for (size_t i = 0; i < pages; i++) {
        if (!send_page(LANE_IMAGE + i * LANE_PAGE, &packets[(*n)++], errp)) {
            return false;
        }
    }
    for (size_t i = 0; i < sev_lane_tables_pages(); i++) {
        if (!send_page(LANE_TABLES + i * LANE_PAGE, &packets[(*n)++], errp)) {
            return false;
        }
    }
    return send_page(LANE_CARRIED, &packets[(*n)++], errp);
}

/* The windows of a session.  A migration thread comes without the BQL. */
static bool take_windows(RAMBlock *const *blocks, size_t n, bool writable,
                         Error **errp)
{
    BQL_LOCK_GUARD();
    sev_lane_make_room();
    return sev_windows_set(blocks, n, errp) &&
           sev_lent_ops()->open(writable, errp);
}

bool sev_lane_new_key(RAMBlock *const *blocks, size_t n_blocks, Error **errp)
{
    if (!sev_lane_usable(errp) ||
        !take_windows(blocks, n_blocks, false, errp)) {
        return false;
    }
    is_open = true;
    return !sev_fault(SEV_FAULT_LANE_KEY, errp) &&
           with_windows(LANE_NEW_KEY, SEV_LENT_READ, errp);
}

bool sev_lane_send_begin(RAMBlock *const *blocks, size_t n_blocks,
                         SevLanePacket *packets, size_t *n, Error **errp)
{
    if (!sev_lane_new_key(blocks, n_blocks, errp) ||
        !send_program(packets, n, errp)) {
        return false;
    }
    trace_sev_lane_travels(true, *n);
    return true;
}

bool sev_lane_seal_digest(const SevLaneSums *sums,
                          uint8_t hdr[SEV_PACKET_HDR_LEN],
                          uint8_t data[SEV_PACKET_DATA_LEN], Error **errp)
{
    memcpy(sev_lane_mailbox(0)->sums, sums, sizeof(*sums));
    if (sev_fault(SEV_FAULT_LANE_DIGEST, errp) ||
        !sev_lane_command_alone(LANE_SEAL_DIGEST, errp)) {
        return false;
    }
    sev_lane_put_header(hdr, sev_lane_jobs(0));
    memcpy(data, sev_lane_page(0, 0), LANE_PAGE);
    return true;
}

/* --- Target ----------------------------------------------------------------- */

/* May a packet go to @at, and is it the one that comes next? */
static bool place_fits(uint64_t at, size_t *image, size_t *tables,
                       bool *carried)
{
    if (at == LANE_IMAGE + *image * LANE_PAGE && at < LANE_IMAGE +
        LANE_IMAGE_MAX && !*tables) {
        ++*image;
        return true;
    }
    if (at == LANE_TABLES + *tables * LANE_PAGE &&
        *tables < sev_lane_tables_pages() && *image) {
        ++*tables;
        return true;
    }
    if (at == LANE_CARRIED && *tables == sev_lane_tables_pages() && !*carried) {
        *carried = true;
        return true;
    }
    return false;
}

static bool receive_program(const SevLanePacket *packets, size_t n,
                            const char *claim, Error **errp)
{
    size_t image = 0, tables = 0;
    bool carried = false;

    for (size_t i = 0; i < n; i++) {
        SevPageJob job = {
            .page = { sev_windows_private(), packets[i].at - LANE_IMAGE },
            .hdr = (uint8_t *)packets[i].hdr,
            .data = (uint8_t *)packets[i].data,
        };

        if (!place_fits(packets[i].at, &image, &tables, &carried)) {
            error_setg(errp, "SEV stream: a packet of the lane for 0x%" PRIx64
                       " is out of place", packets[i].at);
            return false;
        }
        if (!sev_receive_pages(&job, 1, errp)) {
            return false;
        }
    }
    if (!carried) {
        error_setg(errp, "SEV stream: %zu packets of the lane, its key is not "
                   "among them", n);
        return false;
    }
    sev_lane_received(image, claim);
    return true;
}

bool sev_lane_receive_begin(RAMBlock *const *blocks, size_t n_blocks,
                            const SevLanePacket *packets, size_t n,
                            const char *claim, Error **errp)
{
    if (!sev_lend_possible(errp) ||
        !take_windows(blocks, n_blocks, true, errp)) {
        return false;
    }
    is_open = true;
    /* A guest can run, and the program is one, when RECEIVE_FINISH is over. */
    if (!receive_program(packets, n, claim, errp) || !sev_receive_finish(errp) ||
        sev_fault(SEV_FAULT_LANE_ADOPT, errp) ||
        !with_windows(LANE_ADOPT, SEV_LENT_WRITE, errp)) {
        return false;
    }
    trace_sev_lane_travels(false, n);
    return true;
}

/*
 * Nobody runs the program here, so its windows are onto nothing, and the key that
 * came is not taken out of its page.
 */
bool sev_lane_take(const SevLanePacket *packets, size_t n, const char *claim,
                   Error **errp)
{
    sev_lane_make_room();
    return receive_program(packets, n, claim, errp) && sev_receive_finish(errp);
}

bool sev_lane_pass_on(SevLanePacket *packets, size_t *n, Error **errp)
{
    return send_program(packets, n, errp);
}

bool sev_lane_check_digest(const SevLaneSums *sums,
                           const uint8_t hdr[SEV_PACKET_HDR_LEN],
                           const uint8_t data[SEV_PACKET_DATA_LEN],
                           Error **errp)
{
    LaneJob *job = sev_lane_jobs(0);

    memcpy(sev_lane_mailbox(0)->sums, sums, sizeof(*sums));
    memset(job, 0, sizeof(*job));
    memcpy(sev_lane_page(0, 0), data, LANE_PAGE);
    if (!sev_lane_get_header(job, hdr)) {
        error_setg(errp, "SEV: the header of the lane's digest was changed");
        return false;
    }
    return !sev_fault(SEV_FAULT_LANE_CHECK, errp) &&
           sev_lane_command_alone(LANE_CHECK_DIGEST, errp);
}

/* --- Both ------------------------------------------------------------------- */

void sev_lane_end(void)
{
    Error *err = NULL;

    if (!is_open) {
        return;
    }
    is_open = false;
    if (!sev_lane_command_alone(LANE_WIPE, &err)) {
        warn_report("SEV: the lane's key may not be wiped: %s",
                    error_get_pretty(err));
        error_free(err);
    }
    sev_lane_leave_cache();
    sev_lent_ops()->close();
}
