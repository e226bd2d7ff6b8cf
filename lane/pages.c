/*
 * Sealing and opening the guest's pages.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "state.h"

void lane_seal_page(const LaneScratch *scratch, const uint8_t *nonce,
                    const uint8_t *aad, const void *in, void *out, uint8_t *tag)
{
    switch (scratch->path) {
    case LANE_PATH_VAES512:
        aead_seal_vaes512(&scratch->key, nonce, aad, in, out, tag);
        return;
    case LANE_PATH_VAES256:
        aead_seal_vaes256(&scratch->key, nonce, aad, in, out, tag);
        return;
    default:
        aead_seal_aesni(&scratch->key, nonce, aad, in, out, tag);
    }
}

int lane_open_page(const LaneScratch *scratch, const uint8_t *nonce,
                   const uint8_t *aad, const void *in, void *out,
                   const uint8_t *tag)
{
    switch (scratch->path) {
    case LANE_PATH_VAES512:
        return aead_open_vaes512(&scratch->key, nonce, aad, in, out, tag);
    case LANE_PATH_VAES256:
        return aead_open_vaes256(&scratch->key, nonce, aad, in, out, tag);
    default:
        return aead_open_aesni(&scratch->key, nonce, aad, in, out, tag);
    }
}

static void copy_page(const LaneScratch *scratch, void *to)
{
    switch (scratch->path) {
    case LANE_PATH_VAES512:
        aead_copy_vaes512(to, scratch->page);
        return;
    case LANE_PATH_VAES256:
        aead_copy_vaes256(to, scratch->page);
        return;
    default:
        aead_copy_aesni(to, scratch->page);
    }
}

/* Little-endian, as the CPU has them */
void lane_put_aad(uint8_t aad[AEAD_BLOCK], uint64_t offset, uint32_t block,
                  uint32_t epoch)
{
    lane_give(aad, &offset, 8);
    lane_give(aad + 8, &block, 4);
    lane_give(aad + 12, &epoch, 4);
}

/*
 * SEV has no integrity, so a host can put an old ciphertext of a counter back,
 * and GCM breaks when a nonce comes twice.  So nonces are random, 80 bits for
 * a batch; the count of its pages stays in a register.
 */
int lane_nonce_prefix(uint64_t prefix[2])
{
    return lane_random(&prefix[0]) && lane_random(&prefix[1]);
}

void lane_put_nonce(uint8_t nonce[AEAD_NONCE], const uint64_t prefix[2],
                    uint16_t count)
{
    lane_give(nonce, &prefix[0], 8);
    lane_give(nonce + 8, &prefix[1], 2);
    lane_give(nonce + 10, &count, 2);
}

/* Where the page of a job is, from LANE_RAM; ~0 when it is nowhere. */
static uint64_t place(const LaneScratch *scratch, const LaneJob *job)
{
    const LaneWindow *w;

    if (job->block >= scratch->nwindows) {
        return ~0ULL;
    }
    w = &scratch->windows[job->block];
    if (job->offset % LANE_PAGE || job->offset >= w->size) {
        return ~0ULL;
    }
    return w->base + job->offset;
}

/*
 * This slot alone works on the page, when @epoch is later than what it had.
 * The entry stays BUSY when a run ends in a fault: that session is over.
 */
static int claim(LaneVersion *version, uint32_t epoch)
{
    uint32_t old = *version;

    return old < epoch &&
           __atomic_compare_exchange_n(version, &old, epoch | LANE_VERSION_BUSY,
                                       0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void release(LaneVersion *version, uint32_t epoch)
{
    __atomic_store_n(version, epoch, __ATOMIC_RELEASE);
}

/* A private copy of job @i; its address is checked. */
static uint32_t take_job(const LaneScratch *scratch, volatile LaneMailbox *box,
                         uint32_t i, LaneJob *job, uint64_t *at)
{
    volatile uint8_t *jobs = (volatile uint8_t *)box + LANE_JOBS;

    lane_take(job, jobs + i * sizeof(*job), sizeof(*job));
    *at = place(scratch, job);
    return *at == ~0ULL ? LANE_BAD_ADDRESS : LANE_OK;
}

static uint8_t *page_of(volatile LaneMailbox *box, uint32_t i)
{
    return (uint8_t *)box + LANE_PAGES + (uint64_t)i * LANE_PAGE;
}

static uint32_t seal_job(LaneScratch *scratch, volatile LaneMailbox *box,
                         uint32_t i, uint32_t epoch, const uint64_t prefix[2])
{
    volatile uint8_t *jobs = (volatile uint8_t *)box + LANE_JOBS;
    uint8_t aad[AEAD_BLOCK];
    LaneVersion *version;
    LaneJob job;
    uint64_t at;

    if (take_job(scratch, box, i, &job, &at) != LANE_OK) {
        return LANE_BAD_ADDRESS;
    }
    version = &LANE_TABLE[at / LANE_PAGE];
    if (!claim(version, epoch)) {
        return LANE_STALE;
    }
    job.epoch = epoch;
    job.unused = 0;
    lane_put_aad(aad, job.offset, job.block, epoch);
    lane_put_nonce(job.nonce, prefix, i);
    lane_seal_page(scratch, job.nonce, aad, LANE_AT(LANE_RAM + at),
                   page_of(box, i), job.tag);
    release(version, epoch);
    lane_give(jobs + i * sizeof(job), &job, sizeof(job));
    return LANE_OK;
}

uint32_t lane_seal(LaneScratch *scratch, volatile LaneMailbox *box)
{
    uint32_t count = box->count, epoch;
    uint32_t status = lane_take_key(scratch, LANE_ROLE_SOURCE);
    uint64_t prefix[2];

    if (status != LANE_OK) {
        return status;
    }
    if (!count || count > LANE_MAX_JOBS) {
        return LANE_BAD_COUNT;
    }
    if (!lane_nonce_prefix(prefix)) {
        return LANE_NO_RANDOM;
    }
    epoch = lane_next_epoch();
    if (!epoch) {
        return LANE_FULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        status = seal_job(scratch, box, i, epoch, prefix);
        if (status != LANE_OK) {
            box->bad = i;
            return status;
        }
    }
    return LANE_OK;
}

static uint32_t open_job(LaneScratch *scratch, volatile LaneMailbox *box,
                         uint32_t i)
{
    uint8_t aad[AEAD_BLOCK];
    LaneVersion *version;
    LaneJob job;
    uint64_t at;

    if (take_job(scratch, box, i, &job, &at) != LANE_OK) {
        return LANE_BAD_ADDRESS;
    }
    version = &LANE_TABLE[at / LANE_PAGE];
    if (job.epoch >= LANE_MAX_EPOCH || !claim(version, job.epoch)) {
        return LANE_STALE;
    }
    lane_put_aad(aad, job.offset, job.block, job.epoch);
    if (!lane_open_page(scratch, job.nonce, aad, page_of(box, i), scratch->page,
                        job.tag)) {
        return LANE_BAD_TAG;
    }
    if (!lane_key_is_current(scratch)) {
        return LANE_NO_KEY;
    }
    copy_page(scratch, LANE_AT(LANE_RAM + at));
    release(version, job.epoch);
    return LANE_OK;
}

uint32_t lane_open(LaneScratch *scratch, volatile LaneMailbox *box)
{
    uint32_t count = box->count;
    uint32_t status = lane_take_key(scratch, LANE_ROLE_TARGET);

    if (status != LANE_OK) {
        return status;
    }
    if (!count || count > LANE_MAX_JOBS) {
        return LANE_BAD_COUNT;
    }
    for (uint32_t i = 0; i < count; i++) {
        status = open_job(scratch, box, i);
        if (status != LANE_OK) {
            box->bad = i;
            if (status == LANE_BAD_TAG || status == LANE_STALE) {
                lane_wipe(LANE_ROLE_FAILED);
            }
            return status;
        }
    }
    return LANE_OK;
}
