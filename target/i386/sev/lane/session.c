/*
 * One session of the lane: key, packets, sealed pages, digest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/runstate.h"
#include "command.h"
#include "lane.h"
#include "lent.h"
#include "setup.h"
#include "target/i386/sev/page-state.h"
#include "target/i386/sev/test/fault.h"
#include "target/i386/sev/trace.h"

QEMU_BUILD_BUG_ON(SEV_LANE_BATCH > LANE_MAX_JOBS);
QEMU_BUILD_BUG_ON(SEV_LANE_SUM_LEN != LANE_SUM);
QEMU_BUILD_BUG_ON(sizeof(SevLaneSums) != LANE_SUMS * LANE_SUM);

/* A key of this guest's program may be about; thread that has the session. */
static bool is_open;

/* --- Headers ---------------------------------------------------------------- */

enum {
    HDR_EPOCH = 0,
    HDR_NONCE = 4,
    HDR_TAG = 16,
    HDR_REST = 32,
};

static void put_header(uint8_t *hdr, const LaneJob *job)
{
    memset(hdr, 0, SEV_PACKET_HDR_LEN);
    stl_le_p(hdr + HDR_EPOCH, le32_to_cpu(job->epoch));
    memcpy(hdr + HDR_NONCE, job->nonce, sizeof(job->nonce));
    memcpy(hdr + HDR_TAG, job->tag, sizeof(job->tag));
}

/* No byte of a header is without meaning. */
static bool get_header(LaneJob *job, const uint8_t *hdr)
{
    job->epoch = cpu_to_le32(ldl_le_p(hdr + HDR_EPOCH));
    job->unused = 0;
    memcpy(job->nonce, hdr + HDR_NONCE, sizeof(job->nonce));
    memcpy(job->tag, hdr + HDR_TAG, sizeof(job->tag));
    return buffer_is_zero(hdr + HDR_REST, SEV_PACKET_HDR_LEN - HDR_REST);
}

/* --- Windows and batches ---------------------------------------------------- */

static bool with_windows(uint32_t command, SevLentFor what, Error **errp)
{
    unsigned n = sev_windows_list(sev_lane_mailbox(0)->windows);

    return sev_lane_command(0, command, n, what, NULL, errp);
}

static bool put_address(LaneJob *to, const SevPage *page, Error **errp)
{
    int number = sev_windows_number(page->rb);

    if (number < 0) {
        error_setg(errp, "SEV: the lane has no window onto RAM block %s",
                   page->rb->idstr);
        return false;
    }
    to->block = cpu_to_le32(number);
    to->offset = cpu_to_le64(page->offset);
    return true;
}

/* While no vCPU of the guest runs nothing stays in the emulated cache. */
static void evict(const SevPageJob *jobs, size_t n)
{
    for (size_t i = 0, run; !runstate_is_running() && i < n; i += run) {
        const SevPage *page = &jobs[i].page;

        for (run = 1; i + run < n && jobs[i + run].page.rb == page->rb &&
                      jobs[i + run].page.offset == page->offset +
                      run * TARGET_PAGE_SIZE; run++) {
            /* pages that follow each other go together */
        }
        sev_lent_ops()->evict(page->rb, page->offset, run, false);
    }
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

bool sev_lane_seal(const SevPageJob *jobs, size_t n, Error **errp)
{
    LaneJob *to = sev_lane_jobs(0);
    bool ok;

    assert(n <= SEV_LANE_BATCH);
    for (size_t i = 0; i < n; i++) {
        if (!put_address(&to[i], &jobs[i].page, errp)) {
            return false;
        }
    }
    ok = !sev_fault(SEV_FAULT_LANE_SEAL, errp) &&
         sev_lane_command(0, LANE_SEAL, n, SEV_LENT_READ, jobs, errp);
    for (size_t i = 0; ok && i < n; i++) {
        put_header(jobs[i].hdr, &to[i]);
        memcpy(jobs[i].data, sev_lane_page(0, i), LANE_PAGE);
    }
    evict(jobs, n);
    return ok;
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
    put_header(hdr, sev_lane_jobs(0));
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

/* A batch into the mailbox of @slot. */
static bool put_batch(unsigned slot, const SevPageJob *jobs, size_t n,
                      Error **errp)
{
    LaneJob *to = sev_lane_jobs(slot);

    for (size_t i = 0; i < n; i++) {
        if (!get_header(&to[i], jobs[i].hdr)) {
            error_setg(errp, "SEV: page 0x" RAM_ADDR_FMT " of RAM block %s: "
                       "its header was changed", jobs[i].page.offset,
                       jobs[i].page.rb->idstr);
            return false;
        }
        if (!put_address(&to[i], &jobs[i].page, errp)) {
            return false;
        }
        memcpy(sev_lane_page(slot, i), jobs[i].data, LANE_PAGE);
    }
    return !sev_fault(SEV_FAULT_LANE_OPEN, errp);
}

/* A batch that was opened. */
static void opened(const SevPageJob *jobs, size_t n)
{
    evict(jobs, n);
    for (size_t i = 0; i < n; i++) {
        sev_page_set_private(jobs[i].page.rb, jobs[i].page.offset,
                             TARGET_PAGE_SIZE, true);
    }
}

/*
 * While the program opens one batch, the next is put into another mailbox and
 * the last leaves the cache.
 */
bool sev_lane_open(const SevPageJob *jobs, size_t n, Error **errp)
{
    size_t under_way = 0;       /* pages of the batch before @jobs */
    unsigned slot = 0;

    while (n || under_way) {
        size_t next = MIN(n, SEV_LANE_BATCH), done = under_way;
        bool ok = !next || put_batch(slot, jobs, next, errp);

        if (done && !sev_lane_command_finish(jobs - done, ok ? errp : NULL)) {
            evict(jobs - done, done);
            return false;
        }
        under_way = ok ? next : 0;
        if (under_way) {
            sev_lane_command_start(slot, LANE_OPEN, next, SEV_LENT_WRITE);
        }
        opened(jobs - done, done);
        if (!ok) {
            return false;
        }
        jobs += next;
        n -= next;
        slot ^= 1;
    }
    return true;
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
    if (!get_header(job, hdr)) {
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
