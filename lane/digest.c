/*
 * The end of a session: are these all pages, and each in its last version?
 *
 * The source seals one page, LaneDigest.  The target opens it and compares it
 * with its own.  `hash` decides, by GHASH over the whole version table; under
 * a key that nobody else has it is a universal hash, and it travels encrypted.
 * The parts only name what differs: for each part of the table the sums of
 * epoch, epoch * i and epoch * i * i, modulo 2^64.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "state.h"

#define PARTS           128
#define DIGEST_BLOCK    0xffffffffu     /* in the AAD: no page of the guest's */
#define DIGEST_COUNT    0xffff          /* in the nonce: after all of a batch */

typedef struct Part {
    uint64_t moment[3];
} Part;

typedef struct LaneDigest {
    uint32_t nwindows;
    uint32_t unused;
    uint64_t pages_done;
    LaneWindow windows[LANE_MAX_WINDOWS];
    uint8_t sums[LANE_SUMS][LANE_SUM];
    uint8_t hash[AEAD_BLOCK];
    Part parts[PARTS];
} LaneDigest;

_Static_assert(sizeof(LaneDigest) <= LANE_PAGE, "the digest is one page");

/* Entries of the version table in each part */
static uint64_t part_size(void)
{
    return (LANE_OWN_STATE->pages + PARTS - 1) / PARTS;
}

static void sum_part(LaneDigest *digest, int part)
{
    uint64_t size = part_size(), first = part * size;
    uint64_t end = first + size, m0 = 0, m1 = 0, m2 = 0;

    end = end < LANE_OWN_STATE->pages ? end : LANE_OWN_STATE->pages;
    for (uint64_t i = first; i < end; i++) {
        uint64_t epoch = LANE_TABLE[i], n = i - first;

        digest->pages_done += !!epoch;
        m0 += epoch;
        m1 += epoch * n;
        m2 += epoch * n * n;
    }
    digest->parts[part].moment[0] = m0;
    digest->parts[part].moment[1] = m1;
    digest->parts[part].moment[2] = m2;
}

/* What this end knows; @digest is one page, and private. */
static void make_digest(LaneDigest *digest, const LaneScratch *scratch,
                        volatile LaneMailbox *box)
{
    LaneOwn *own = LANE_OWN_STATE;

    lane_zero(digest, LANE_PAGE);
    digest->nwindows = scratch->nwindows;
    lane_give(digest->windows, scratch->windows, sizeof(digest->windows));
    lane_take(digest->sums, box->sums, sizeof(digest->sums));
    aead_hash(&scratch->key, (const void *)LANE_TABLE,
              own->pages * sizeof(LaneVersion), digest->hash);
    for (int i = 0; i < PARTS; i++) {
        sum_part(digest, i);
    }
    box->pages_done = digest->pages_done;
}

uint32_t lane_seal_digest(LaneScratch *scratch, volatile LaneMailbox *box)
{
    volatile uint8_t *out = (volatile uint8_t *)box;
    uint32_t status = lane_take_key(scratch, LANE_ROLE_SOURCE);
    LaneJob job = { .block = DIGEST_BLOCK };
    uint8_t aad[AEAD_BLOCK];
    uint64_t prefix[2];

    if (status != LANE_OK) {
        return status;
    }
    if (!lane_nonce_prefix(prefix)) {
        return LANE_NO_RANDOM;
    }
    job.epoch = lane_next_epoch();
    if (!job.epoch) {
        return LANE_FULL;
    }
    make_digest((void *)scratch->page, scratch, box);
    lane_put_aad(aad, job.offset, job.block, job.epoch);
    lane_put_nonce(job.nonce, prefix, DIGEST_COUNT);
    lane_seal_page(scratch, job.nonce, aad, scratch->page,
                   (void *)(out + LANE_PAGES), job.tag);
    lane_give(out + LANE_JOBS, &job, sizeof(job));
    lane_seal_no_more();
    return LANE_OK;
}

/*
 * One page of the part differs when the differences of the moments are d, d * n
 * and d * n * n.  No two pages with older versions look like that.
 */
static int one_page(const Part *theirs, const Part *ours, uint64_t *page)
{
    uint64_t d[3];

    for (int i = 0; i < 3; i++) {
        d[i] = theirs->moment[i] - ours->moment[i];
    }
    if (!d[0] || d[1] % d[0] || d[1] / d[0] >= part_size() ||
        d[2] != d[1] * (d[1] / d[0])) {
        return 0;
    }
    *page = d[1] / d[0];
    return 1;
}

/* The first part that differs; PARTS when only the hash does. */
static int first_difference(const LaneDigest *theirs, const LaneDigest *ours)
{
    int i = 0;

    while (i < PARTS &&
           lane_same(&theirs->parts[i], &ours->parts[i], sizeof(Part))) {
        i++;
    }
    return i;
}

static void name_page(const LaneDigest *theirs, const LaneDigest *ours,
                      volatile LaneMailbox *box)
{
    int first = first_difference(theirs, ours);
    uint64_t size = part_size(), page = 0;
    int one = first < PARTS &&
              one_page(&theirs->parts[first], &ours->parts[first], &page);

    box->what = one ? LANE_WHAT_PAGE : LANE_WHAT_PAGES;
    box->where = first < PARTS ? (first * size + page) * LANE_PAGE : 0;
    box->bad = one ? 1 : first < PARTS ? size : LANE_OWN_STATE->pages;
}

static int is_same(const LaneDigest *theirs, const LaneDigest *ours,
                   volatile LaneMailbox *box)
{
    if (theirs->nwindows != ours->nwindows ||
        !lane_same(theirs->windows, ours->windows, sizeof(ours->windows))) {
        box->what = LANE_WHAT_WINDOWS;
        return 0;
    }
    if (!lane_same(theirs->hash, ours->hash, sizeof(ours->hash))) {
        name_page(theirs, ours, box);
        return 0;
    }
    for (int i = 0; i < LANE_SUMS; i++) {
        if (!lane_same(theirs->sums[i], ours->sums[i], LANE_SUM)) {
            box->what = LANE_WHAT_SHARED + i;
            return 0;
        }
    }
    return 1;
}

uint32_t lane_check_digest(LaneScratch *scratch, volatile LaneMailbox *box)
{
    volatile uint8_t *in = (volatile uint8_t *)box;
    uint32_t status = lane_take_key(scratch, LANE_ROLE_TARGET);
    LaneDigest *theirs = (void *)scratch->page;
    LaneDigest *ours = (void *)scratch->ours;
    uint8_t aad[AEAD_BLOCK];
    LaneJob job;

    if (status != LANE_OK) {
        return status;
    }
    lane_take(&job, in + LANE_JOBS, sizeof(job));
    lane_put_aad(aad, 0, DIGEST_BLOCK, job.epoch);
    if (!lane_open_page(scratch, job.nonce, aad, (void *)(in + LANE_PAGES), theirs,
                        job.tag)) {
        box->bad = 0;
        lane_wipe(LANE_ROLE_FAILED);
        return LANE_BAD_TAG;
    }
    make_digest(ours, scratch, box);
    if (!is_same(theirs, ours, box)) {
        lane_wipe(LANE_ROLE_FAILED);
        return LANE_BAD_DIGEST;
    }
    if (!lane_key_is_current(scratch)) {
        return LANE_NO_KEY;
    }
    lane_wipe(LANE_ROLE_NONE);
    return LANE_OK;
}
