/*
 * Two ends of the lane, and a host that does with their mailboxes what it likes.
 *
 * The input is a list of actions.  A model remembers what each end sealed, and
 * where.  Whatever the host does:
 *   - a page of a guest is what it was, or what was sealed as this page of this
 *     block,
 *   - a key that came in packets seals nothing,
 *   - after a digest is found right, all pages that its session sealed are there,
 *     in their last version.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "tests/fuzz/psp/fuzz.h"
#include "tests/unit/lane/lanehost.h"

#define PAGES       8           /* of each block that are looked at */
#define PLACES      (HOST_BLOCKS * PAGES)
#define BATCH       4
#define STRIDE      64          /* words */
#define KEPT        4
#define VERSIONS    64          /* of each place that the model remembers */

/* What a session has sealed, when its digest was */
typedef struct Final {
    uint8_t session[LANE_SESSION];
    uint64_t stamps[PLACES];    /* 0: it was not sealed */
} Final;

static End ends[2];
static Sealed kept[KEPT];
static uint64_t now_at[2][PLACES];      /* stamp of each page, by address */
/* By block and page of a job; where these are, an end's windows say. */
static uint64_t sealed[PLACES][VERSIONS];       /* by either end */
static unsigned nsealed[PLACES];
static uint64_t last[2][PLACES];
static Final finals[2];
static uint64_t next_stamp;

typedef struct Input {
    const uint8_t *at, *end;
} Input;

static uint8_t byte(Input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static uint64_t *page_words(int end, int place)
{
    return (uint64_t *)end_page(&ends[end], place / PAGES, place % PAGES);
}

/* A page of the model is one number, here and there. */
static void write_page(int end, int place, uint64_t stamp)
{
    uint64_t *words = page_words(end, place);

    for (int i = 0; i < LANE_PAGE / 8; i += STRIDE) {
        words[i] = stamp;
    }
    now_at[end][place] = stamp;
}

static uint64_t read_page(int end, int place)
{
    uint64_t *words = page_words(end, place);

    for (int i = STRIDE; i < LANE_PAGE / 8; i += STRIDE) {
        g_assert(words[i] == words[0]);
    }
    return words[0];
}

/* Where an end has page @id % PAGES of block @id / PAGES; -1: not in the model */
static int place_of(int end, unsigned id)
{
    const LaneOwn *own = end_own(&ends[end]);
    const LaneWindow *w = &own->windows[id / PAGES];

    if (id / PAGES >= own->nwindows || (id % PAGES + 1ULL) * LANE_PAGE > w->size) {
        return -1;
    }
    return w->base / HOST_BASE1 * PAGES + id % PAGES;
}

static gboolean was_sealed(int end, int place, uint64_t stamp)
{
    for (int id = 0; id < PLACES; id++) {
        for (unsigned i = 0; i < MIN(nsealed[id], VERSIONS); i++) {
            if (place_of(end, id) == place && sealed[id][i] == stamp) {
                return TRUE;
            }
        }
    }
    return FALSE;
}

static void look_at_pages(int end, gboolean opening)
{
    for (int place = 0; place < PLACES; place++) {
        uint64_t stamp = read_page(end, place);

        if (stamp != now_at[end][place]) {
            g_assert(opening && was_sealed(end, place, stamp));
            now_at[end][place] = stamp;
        }
    }
}

static void remember_sealed(int end, unsigned slot, uint32_t count)
{
    g_assert(count <= LANE_MAX_JOBS);
    for (uint32_t i = 0; i < count; i++) {
        const LaneJob *job = end_job(&ends[end], slot, i);
        uint64_t page = job->offset / LANE_PAGE;
        int id = job->block * PAGES + page;

        if (job->block < HOST_BLOCKS && page < PAGES) {
            uint64_t stamp = now_at[end][place_of(end, id)];

            sealed[id][nsealed[id]++ % VERSIONS] = stamp;
            last[end][id] = stamp;
        }
    }
}

static void check_final(int end, const uint8_t *session)
{
    for (int i = 0; i < 2; i++) {
        if (memcmp(session, finals[i].session, LANE_SESSION)) {
            continue;
        }
        for (int id = 0; id < PLACES; id++) {
            uint64_t stamp = finals[i].stamps[id];

            g_assert(!stamp || now_at[end][place_of(end, id)] == stamp);
        }
    }
}

/* A batch that was refused has sealed what is before the bad job. */
static uint32_t sealed_pages(int who, int slot, uint32_t status, uint32_t count)
{
    if (status == LANE_OK) {
        return count;
    }
    return status == LANE_BAD_ADDRESS || status == LANE_STALE
           ? end_box(&ends[who], slot)->bad : 0;
}

static void run_lane(Input *in)
{
    int who = byte(in) & 1, slot = byte(in) & 1;
    uint32_t command = byte(in) % 10, count = byte(in);
    uint32_t role = end_own(&ends[who])->role, status;
    uint8_t session[LANE_SESSION];

    count = count < 0xf0 ? count % (BATCH + 1) : count << 24 | count;
    memcpy(session, end_own(&ends[who])->session, LANE_SESSION);
    status = end_run(&ends[who], slot, command, count);
    look_at_pages(who, command == LANE_OPEN && role == LANE_ROLE_TARGET);
    g_assert(status != LANE_IDLE && status < LANE_FAULT);
    if (status != LANE_OK && command != LANE_SEAL) {
        return;
    }
    switch (command) {
    case LANE_NEW_KEY:
        g_assert(role != LANE_ROLE_TARGET && role != LANE_ROLE_FAILED);
        memset(last[who], 0, sizeof(last[who]));
        break;
    case LANE_SEAL:             /* some pages, when it refused a later one */
        if (role == LANE_ROLE_SOURCE) {
            remember_sealed(who, slot, sealed_pages(who, slot, status, count));
        } else {
            g_assert(status != LANE_OK);
        }
        break;
    case LANE_SEAL_DIGEST:
        g_assert(role == LANE_ROLE_SOURCE);
        memcpy(finals[who].session, session, LANE_SESSION);
        memcpy(finals[who].stamps, last[who], sizeof(last[who]));
        break;
    case LANE_CHECK_DIGEST:
        g_assert(role == LANE_ROLE_TARGET);
        check_final(who, session);
        break;
    }
}

/* Addresses of jobs: mostly good ones */
static void set_jobs(Input *in)
{
    int who = byte(in) & 1, slot = byte(in) & 1;

    for (int i = 0; i < BATCH; i++) {
        LaneJob *job = end_job(&ends[who], slot, i);
        uint8_t b = byte(in);

        job->block = b >> 7;
        job->offset = (uint64_t)(b & 7) * LANE_PAGE;
        if ((b & 0x78) == 0x78) {
            job->block = byte(in);
            job->offset = (uint64_t)byte(in) << 56 | byte(in) << 8 | byte(in);
        }
    }
}

/* Windows stay inside of what this process has mapped. */
static void set_windows(Input *in)
{
    int who = byte(in) & 1;
    LaneWindow *w = end_box(&ends[who], byte(in) & 1)->windows;
    uint8_t kind = byte(in);

    end_windows(&ends[who]);
    memmove(w, end_box(&ends[who], 0)->windows, 2 * sizeof(*w));
    if (kind > 0xc0) {
        w += kind & 1;
        w->base = (uint64_t)byte(in) << 20 | (byte(in) & 1);
        w->size = (uint64_t)byte(in) << 12 | (byte(in) & 1);
        if (w->base >= HOST_RAM || w->size > HOST_RAM - w->base) {
            w->size |= 1;
        }
    }
}

static void take(int who, unsigned i, Sealed *to)
{
    to->job = *end_job(&ends[who], 0, i);
    memcpy(to->page, end_sealed(&ends[who], 0, i), LANE_PAGE);
}

static void give(int who, unsigned i, const Sealed *from)
{
    *end_job(&ends[who], 0, i) = from->job;
    memcpy(end_sealed(&ends[who], 0, i), from->page, LANE_PAGE);
}

static void move_jobs(Input *in)
{
    int from = byte(in) & 1;
    Sealed one;

    for (int i = 0; i < BATCH; i++) {
        take(from, i, &one);
        give(!from, i, &one);
    }
}

static void flip(Input *in)
{
    int who = byte(in) & 1, what = byte(in), i = byte(in) % BATCH;
    unsigned at = byte(in) << 8 | byte(in);
    uint8_t *bytes = what & 1 ? end_sealed(&ends[who], 0, i) + at % LANE_PAGE
                              : (uint8_t *)end_job(&ends[who], 0, i) +
                                at % sizeof(LaneJob);

    *bytes ^= byte(in);
}

static void action(Input *in)
{
    uint8_t what = byte(in), a, b;

    switch (what % 10) {
    case 0:
    case 1:
        run_lane(in);
        break;
    case 2:
        set_jobs(in);
        break;
    case 3:
        set_windows(in);
        break;
    case 4:
        a = byte(in) & 1;
        end_carry(&ends[a], &ends[!a]);
        break;
    case 5:
        move_jobs(in);
        break;
    case 6:
        flip(in);
        break;
    case 7:
        a = byte(in) & 1, b = byte(in) % PLACES;
        if (end_own(&ends[a])->role != LANE_ROLE_TARGET) {
            write_page(a, b, ++next_stamp);
        }
        break;
    case 8:
        a = byte(in), b = byte(in);
        if (a & 2) {
            take(a & 1, b % BATCH, &kept[b / BATCH % KEPT]);
        } else {
            give(a & 1, b % BATCH, &kept[b / BATCH % KEPT]);
        }
        break;
    default:
        a = byte(in);
        if (a & 2) {            /* another guest in its place */
            memset(end_own(&ends[a & 1]), a, LANE_OWN_PAGES * LANE_PAGE);
        } else {
            end_box(&ends[a & 1], 0)->sums[byte(in) % LANE_SUMS][0] ^= byte(in);
        }
    }
}

static void begin(void)
{
    static gboolean ready;

    for (int who = 0; who < 2; who++) {
        if (!ready) {
            end_init(&ends[who]);
        }
        memset(end_own(&ends[who]), 0x77, LANE_OWN_PAGES * LANE_PAGE);
        memset(end_carried(&ends[who]), 0x33, LANE_PAGE);
        memset(end_box(&ends[who], 0), 0, LANE_PAGES + BATCH * LANE_PAGE);
        memset(end_box(&ends[who], 1), 0, LANE_PAGES + BATCH * LANE_PAGE);
        end_windows(&ends[who]);
        for (int place = 0; place < PLACES; place++) {
            write_page(who, place, ++next_stamp);
        }
    }
    memset(kept, 0, sizeof(kept));
    memset(nsealed, 0, sizeof(nsealed));
    memset(last, 0, sizeof(last));
    memset(finals, 0, sizeof(finals));
    ready = TRUE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Input in = { data, data + MIN(len, 1024) };

    if (!host_has_aes()) {
        return 0;
    }
    begin();
    if (len) {
        fake_path = byte(&in) % 3;
    }
    while (in.at < in.end) {
        action(&in);
    }
    return 0;
}
