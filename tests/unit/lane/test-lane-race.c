/*
 * The host changes its mailbox while the lane runs, and runs other commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include "lanehost.h"
#include "openssl-gcm.h"

#define SECONDS 1.0

static volatile int stopping;

static double now(void)
{
    return g_get_monotonic_time() / 1e6;
}

#define BATCH   64

/* Where the host flips one bit: in the last job or page of the batch */
static const struct Place {
    const char *name;
    size_t at;
    uint8_t mask;
} places[] = {
    { "first-byte", LANE_PAGES + (BATCH - 1) * LANE_PAGE, 1 },
    { "middle", LANE_PAGES + (BATCH - 1) * LANE_PAGE + 2048, 0x10 },
    { "last-byte", LANE_PAGES + BATCH * LANE_PAGE - 1, 0x80 },
#define LAST_JOB(field) (LANE_JOBS + (BATCH - 1) * sizeof(LaneJob) +         \
                         offsetof(LaneJob, field))
    { "tag", LAST_JOB(tag) + 3, 1 },
    { "nonce", LAST_JOB(nonce), 1 },
    { "epoch", LAST_JOB(epoch), 1 },
    { "offset", LAST_JOB(offset) + 1, 0x10 },
    { "block", LAST_JOB(block), 1 },
    { "command", offsetof(LaneMailbox, command), 1 },
    { "count", offsetof(LaneMailbox, count), 2 },
};

static struct {
    volatile uint8_t *at;
    uint8_t mask;
    volatile unsigned flips;
} flipper;

/* Counts to @turns. The compiler may not drop a loop over a volatile number. */
static void spin(int turns)
{
    for (volatile int i = 0; i < turns; i++) {
        continue;
    }
}

/* The bit goes back and forth, as often as it can. */
static void *flip(void *unused)
{
    while (!stopping) {
        *flipper.at ^= flipper.mask;
        flipper.flips++;
        spin(30);
    }
    return NULL;
}

/* A target with an empty page for each that the source has sealed */
static void begin(End *source, End *target)
{
    g_assert_cmpuint(end_new_key(source), ==, LANE_OK);
    end_carry(source, target);
    memset(end_own(target), 0x77, sizeof(LaneOwn));
    g_assert_cmpuint(end_adopt(target), ==, LANE_OK);
    memset(end_page(target, 0, 0), 0, HOST_RAM);
    for (int i = 0; i < BATCH; i++) {
        *end_job(source, 0, i) = (LaneJob) { .offset = i * LANE_PAGE };
    }
    g_assert_cmpuint(end_run(source, 0, LANE_SEAL, BATCH), ==, LANE_OK);
    memcpy(end_job(target, 0, 0), end_job(source, 0, 0),
           BATCH * sizeof(LaneJob));
    memcpy(end_sealed(target, 0, 0), end_sealed(source, 0, 0), BATCH * LANE_PAGE);
}

/*
 * Whatever comes of it, a page of the guest is what it was or what was sealed
 * for that very place.
 */
static void test_open(gconstpointer data)
{
    static const uint8_t empty[LANE_PAGE];
    const struct Place *place = data;
    unsigned opened = 0, refused = 0;
    End source, target;
    double end;

    end_init(&source);
    end_init(&target);
    flipper.mask = place->mask;
    flipper.at = (uint8_t *)end_box(&target, 0) + place->at;
    end = now() + SECONDS / 2;
    while (now() < end || opened + refused < 5) {
        uint32_t status;
        pthread_t thread;

        begin(&source, &target);
        stopping = flipper.flips = 0;
        g_assert(!pthread_create(&thread, NULL, flip, NULL));
        while (!flipper.flips) {
            sched_yield();
        }
        status = end_run(&target, 0, LANE_OPEN, BATCH);
        stopping = 1;
        pthread_join(thread, NULL);
        opened += status == LANE_OK;
        refused += status != LANE_OK;
        for (int i = 0; i < HOST_PAGES + HOST_PAGES1; i++) {
            unsigned block = i >= HOST_PAGES, page = block ? i - HOST_PAGES : i;
            const uint8_t *at = end_page(&target, block, page);

            g_assert_true(!memcmp(at, empty, LANE_PAGE) ||
                          !memcmp(at, end_page(&source, block, page), LANE_PAGE));
        }
    }
    g_test_message("%s: %u opened, %u refused", place->name, opened, refused);
    end_clear(&source);
    end_clear(&target);
}

typedef struct Wiper {
    End *end;
    unsigned slot;
    pthread_t thread;
    unsigned made, wiped, busy;
} Wiper;

static void count(Wiper *w, uint32_t status, unsigned *good)
{
    *good += status == LANE_OK;
    w->busy += status == LANE_BUSY;
}

/* New keys and none, from another slot */
static void *wipe(void *opaque)
{
    Wiper *w = opaque;
    LaneMailbox *box = end_box(w->end, w->slot);

    while (!stopping) {
        box->windows[0] = (LaneWindow) { 0, HOST_PAGES * LANE_PAGE };
        count(w, end_run(w->end, w->slot, LANE_NEW_KEY, 1), &w->made);
        spin(20000);
        count(w, end_run(w->end, w->slot, LANE_WIPE, 0), &w->wiped);
    }
    return NULL;
}

static void begin_wiping(Wiper *w, End *end, unsigned slot)
{
    *w = (Wiper) { .end = end, .slot = slot };
    g_assert(!pthread_create(&w->thread, NULL, wipe, w));
}

static void end_wiping(Wiper *w)
{
    pthread_join(w->thread, NULL);
    g_test_message("slot %u: %u keys, %u wiped, %u times busy", w->slot, w->made,
                   w->wiped, w->busy);
}

/*
 * A page is never sealed with a key that is half wiped, or zero; not when two slots
 * make keys and wipe them at the same time, either.
 */
static void test_seal_and_wipe(gconstpointer data)
{
    unsigned wipers = GPOINTER_TO_UINT(data);
    static const uint8_t zero[AEAD_KEY];
    AeadKey *nothing = g_aligned_alloc0(1, sizeof(AeadKey), 64);
    double end = now() + SECONDS;
    unsigned sealed_some = 0;
    uint8_t out[LANE_PAGE];
    Wiper w[2];
    End source;

    end_init(&source);
    stopping = 0;
    for (unsigned i = 0; i < wipers; i++) {
        begin_wiping(&w[i], &source, i + 1);
    }
    while (now() < end || !sealed_some) {
        uint8_t aad[AEAD_BLOCK];
        Sealed sealed;

        memset(&sealed, 0, sizeof(sealed));
        if (end_seal(&source, 0, 0, &sealed) != LANE_OK) {
            continue;
        }
        sealed_some++;
        memcpy(aad, &sealed.job.offset, 8);
        memcpy(aad + 8, &sealed.job.block, 4);
        memcpy(aad + 12, &sealed.job.epoch, 4);
        /* No secret of zeros, and no expanded key of zeros */
        g_assert_false(openssl_open(zero, sealed.job.nonce, aad, sealed.page, out,
                                    sealed.job.tag));
        g_assert_false(aead_open_aesni(nothing, sealed.job.nonce, aad, sealed.page,
                                       out, sealed.job.tag));
        g_assert_true(memcmp(sealed.page, end_page(&source, 0, 0), LANE_PAGE));
    }
    stopping = 1;
    for (unsigned i = 0; i < wipers; i++) {
        end_wiping(&w[i]);
    }
    end_clear(&source);
    g_aligned_free(nothing);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!host_has_aes()) {
        g_print("1..0 # SKIP this CPU has no AES, PCLMULQDQ or RDRAND\n");
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *name = g_strdup_printf("/lane/race/%s", places[i].name);

        g_test_add_data_func(name, &places[i], test_open);
    }
    g_test_add_data_func("/lane/race/seal-and-wipe", GUINT_TO_POINTER(1),
                         test_seal_and_wipe);
    g_test_add_data_func("/lane/race/seal-and-two-wipe", GUINT_TO_POINTER(2),
                         test_seal_and_wipe);
    return g_test_run();
}
