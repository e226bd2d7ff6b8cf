/*
 * Pages of a session of the lane: sealed and opened on several vCPUs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "batch.h"
#include "command.h"
#include "lane.h"
#include "lent.h"
#include "target/i386/sev/page-state.h"
#include "target/i386/sev/test/fault.h"

QEMU_BUILD_BUG_ON(SEV_LANE_BATCH > LANE_MAX_JOBS);
QEMU_BUILD_BUG_ON(SEV_LEND_MAX > LANE_MAX_SLOTS);

/* --- Headers ---------------------------------------------------------------- */

enum {
    HDR_EPOCH = 0,
    HDR_NONCE = 4,
    HDR_TAG = 16,
    HDR_REST = 32,
};

void sev_lane_put_header(uint8_t *hdr, const LaneJob *job)
{
    memset(hdr, 0, SEV_PACKET_HDR_LEN);
    stl_le_p(hdr + HDR_EPOCH, le32_to_cpu(job->epoch));
    memcpy(hdr + HDR_NONCE, job->nonce, sizeof(job->nonce));
    memcpy(hdr + HDR_TAG, job->tag, sizeof(job->tag));
}

/* No byte of a header is without meaning. */
bool sev_lane_get_header(LaneJob *job, const uint8_t *hdr)
{
    job->epoch = cpu_to_le32(ldl_le_p(hdr + HDR_EPOCH));
    job->unused = 0;
    memcpy(job->nonce, hdr + HDR_NONCE, sizeof(job->nonce));
    memcpy(job->tag, hdr + HDR_TAG, sizeof(job->tag));
    return buffer_is_zero(hdr + HDR_REST, SEV_PACKET_HDR_LEN - HDR_REST);
}

/* --- Batches ---------------------------------------------------------------- */

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

/* Fewer pages are not worth another vCPU's loan. */
#define PART_MIN 32
/* So many batches wait for each vCPU at most, each in a mailbox of 1 MiB. */
#define DEPTH 4

/* How many of @n pages each of @vcpus takes at a time. */
static size_t part_of(size_t n, unsigned vcpus)
{
    size_t part = DIV_ROUND_UP(n, vcpus);

    return MIN(MAX(part, PART_MIN), SEV_LANE_BATCH);
}

/* How many of @n pages follow each other, from the first one on. */
static size_t run_of(const SevPageJob *jobs, size_t n)
{
    const SevPage *page = &jobs[0].page;
    size_t run = 1;

    while (run < n && jobs[run].page.rb == page->rb &&
           jobs[run].page.offset == page->offset + run * TARGET_PAGE_SIZE) {
        run++;
    }
    return run;
}

static void evict(const SevPageJob *jobs, size_t n)
{
    for (size_t i = 0, run; i < n; i += run) {
        run = run_of(jobs + i, n - i);
        sev_lent_ops()->evict(jobs[i].page.rb, jobs[i].page.offset, run, false);
    }
}

static void make_ready(const SevPageJob *jobs, size_t n, SevLentFor what)
{
    const SevLentOps *ops = sev_lent_ops();

    for (size_t i = 0, run; ops->ready && i < n; i += run) {
        run = run_of(jobs + i, n - i);
        ops->ready(jobs[i].page.rb, jobs[i].page.offset, run, what);
    }
}

/* --- Source ----------------------------------------------------------------- */

/* A part of a batch: jobs of one slot. */
static bool put_addresses(unsigned slot, const SevPageJob *jobs, size_t n,
                          Error **errp)
{
    LaneJob *to = sev_lane_jobs(slot);

    for (size_t i = 0; i < n; i++) {
        if (!put_address(&to[i], &jobs[i].page, errp)) {
            return false;
        }
    }
    return true;
}

static bool take_sealed(unsigned slot, const SevPageJob *jobs, size_t n,
                        Error **errp)
{
    const LaneJob *from = sev_lane_jobs(slot);

    if (!sev_lane_command_finish(slot, jobs, errp)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        sev_lane_put_header(jobs[i].hdr, &from[i]);
        memcpy(jobs[i].data, sev_lane_page(slot, i), LANE_PAGE);
    }
    return true;
}

bool sev_lane_seal(const SevPageJob *jobs, size_t n, Error **errp)
{
    unsigned vcpus = sev_lend_vcpus();
    size_t part = part_of(n, vcpus), begun = 0;
    bool ok = !sev_fault(SEV_FAULT_LANE_SEAL, errp);

    assert(n <= SEV_LANE_SEAL_MAX);
    for (unsigned slot = 0; ok && begun < n; slot++) {
        size_t some = MIN(n - begun, part);

        ok = put_addresses(slot, jobs + begun, some, errp);
        if (ok) {
            make_ready(jobs + begun, some, SEV_LENT_READ);
            sev_lane_command_start(slot, slot % vcpus, LANE_SEAL, some,
                                   SEV_LENT_READ);
            begun += some;
        }
    }
    /* All that began must end, and the first error is told. */
    for (size_t i = 0; i < begun; i += part) {
        ok = take_sealed(i / part, jobs + i, MIN(begun - i, part),
                         ok ? errp : NULL) && ok;
    }
    evict(jobs, n);
    return ok;
}

/* --- Target ----------------------------------------------------------------- */

/* A batch into the mailbox of @slot. */
static bool put_batch(unsigned slot, const SevPageJob *jobs, size_t n,
                      Error **errp)
{
    LaneJob *to = sev_lane_jobs(slot);

    for (size_t i = 0; i < n; i++) {
        if (!sev_lane_get_header(&to[i], jobs[i].hdr)) {
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
 * Each vCPU that is lent has some slots: while it opens one batch, others are
 * put into their mailboxes, and those that are open leave the cache.  Batch
 * number k is in slot k modulo @slots, on vCPU k modulo @vcpus.
 */
typedef struct Opening {
    const SevPageJob *jobs;     /* all of them */
    size_t n, part;             /* pages in all, and of one batch */
    unsigned vcpus, slots;
} Opening;

static size_t pages_of(const Opening *o, size_t batch)
{
    return MIN(o->n - batch * o->part, o->part);
}

static bool begin_batch(const Opening *o, size_t batch, Error **errp)
{
    const SevPageJob *jobs = o->jobs + batch * o->part;
    unsigned slot = batch % o->slots;
    size_t n = pages_of(o, batch);

    if (!put_batch(slot, jobs, n, errp)) {
        return false;
    }
    make_ready(jobs, n, SEV_LENT_WRITE);
    sev_lane_command_start(slot, batch % o->vcpus, LANE_OPEN, n,
                           SEV_LENT_WRITE);
    return true;
}

static bool finish_batch(const Opening *o, size_t batch, Error **errp)
{
    const SevPageJob *jobs = o->jobs + batch * o->part;

    if (!sev_lane_command_finish(batch % o->slots, jobs, errp)) {
        evict(jobs, pages_of(o, batch));
        return false;
    }
    opened(jobs, pages_of(o, batch));
    return true;
}

bool sev_lane_open(const SevPageJob *jobs, size_t n, Error **errp)
{
    unsigned vcpus = sev_lend_vcpus();
    Opening o = {
        .jobs = jobs,
        .n = n,
        .part = part_of(n, vcpus),
        .vcpus = vcpus,
        .slots = MIN(DEPTH * vcpus, LANE_MAX_SLOTS),
    };
    size_t batches = DIV_ROUND_UP(n, o.part), ended = 0, begun = 0;
    bool ok = true;

    /* What fails is told once; nothing begins after it, and all that began ends. */
    while (ok ? ended < batches : ended < begun) {
        if (ok && begun < batches && begun - ended < o.slots) {
            ok = begin_batch(&o, begun, errp);
            begun += ok;
        } else {
            ok = finish_batch(&o, ended, ok ? errp : NULL) && ok;
            ended++;
        }
    }
    return ok;
}
