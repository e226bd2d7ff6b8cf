/*
 * The host changes its mailbox while the lane runs, and runs other commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <pthread.h>
#include <string.h>
#include "lanehost.h"
#include "openssl-gcm.h"

#define SECONDS 1.0

static volatile int stopping;

static double now(void)
{
    return g_get_monotonic_time() / 1e6;
}

typedef struct Flipper {
    volatile uint8_t *at;
    uint8_t mask;
    pthread_t thread;
} Flipper;

/* One bit goes back and forth, as often as it can. */
static void *flip(void *opaque)
{
    Flipper *f = opaque;

    while (!stopping) {
        *f->at ^= f->mask;
        for (volatile int i = 0; i < 200; i++) {
        }
    }
    return NULL;
}

static void flipper_start(Flipper *f)
{
    stopping = 0;
    g_assert(!pthread_create(&f->thread, NULL, flip, f));
}

static void flipper_stop(Flipper *f)
{
    stopping = 1;
    pthread_join(f->thread, NULL);
}

/* Where the host flips, from the mailbox of slot 0 */
static const struct Place {
    const char *name;
    size_t at;
    uint8_t mask;
} places[] = {
    { "first-byte", LANE_PAGES, 1 },
    { "middle", LANE_PAGES + 2048, 0x10 },
    { "last-byte", LANE_PAGES + LANE_PAGE - 1, 0x80 },
    { "tag", LANE_JOBS + offsetof(LaneJob, tag) + 3, 1 },
    { "nonce", LANE_JOBS + offsetof(LaneJob, nonce), 1 },
    { "epoch", LANE_JOBS + offsetof(LaneJob, epoch), 1 },
    { "offset", LANE_JOBS + offsetof(LaneJob, offset) + 1, 0x10 },
    { "block", LANE_JOBS + offsetof(LaneJob, block), 1 },
    { "command", 0, 1 },
    { "count", 4, 2 },
};

/*
 * Whatever comes of it, a page of the guest is what it was or what was sealed
 * for that very place.
 */
static void test_open(gconstpointer data)
{
    const struct Place *place = data;
    double end = now() + SECONDS / 2;
    unsigned opened = 0, refused = 0;
    End source, target;

    end_init(&source);
    end_init(&target);
    memset(end_page(&target, 0, 0), 0, 2 * LANE_PAGE);
    memset(end_page(&target, 1, 0), 0, LANE_PAGE);
    while (now() < end) {
        Flipper f = { .mask = place->mask };
        uint32_t status;
        Sealed sealed;

        g_assert_cmpuint(end_new_key(&source), ==, LANE_OK);
        end_carry(&source, &target);
        memset(end_own(&target), 0x77, sizeof(LaneOwn));    /* a fresh target */
        g_assert_cmpuint(end_adopt(&target), ==, LANE_OK);
        g_assert_cmpuint(end_seal(&source, 0, 0, &sealed), ==, LANE_OK);
        f.at = (uint8_t *)end_box(&target, 0) + place->at;
        flipper_start(&f);
        status = end_open(&target, &sealed);
        flipper_stop(&f);
        if (status == LANE_OK && !memcmp(end_page(&target, 0, 0),
                                         end_page(&source, 0, 0), LANE_PAGE)) {
            opened++;
        } else {
            refused++;
            g_assert_cmphex(end_page(&target, 0, 0)[0], ==, 0);
            g_assert_false(memcmp(end_page(&target, 0, 0),
                                  end_page(&target, 0, 0) + 1, LANE_PAGE - 1));
        }
        g_assert_cmphex(end_page(&target, 0, 1)[0], ==, 0);
        g_assert_cmphex(end_page(&target, 1, 0)[0], ==, 0);
        memset(end_page(&target, 0, 0), 0, LANE_PAGE);
    }
    g_test_message("%s: %u opened, %u refused", place->name, opened, refused);
    end_clear(&source);
    end_clear(&target);
}

typedef struct Wiper {
    End *end;
    pthread_t thread;
} Wiper;

/* New keys and none, from another slot */
static void *wipe(void *opaque)
{
    Wiper *w = opaque;
    LaneMailbox *box = end_box(w->end, 1);

    while (!stopping) {
        box->windows[0] = (LaneWindow) { 0, HOST_PAGES * LANE_PAGE };
        end_run(w->end, 1, LANE_NEW_KEY, 1);
        for (volatile int i = 0; i < 20000; i++) {
        }
        end_run(w->end, 1, LANE_WIPE, 0);
    }
    return NULL;
}

/* A page is never sealed with a key that is half wiped, or zero. */
static void test_seal_and_wipe(void)
{
    static const uint8_t zero[AEAD_KEY];
    AeadKey *nothing = g_aligned_alloc0(1, sizeof(AeadKey), 64);
    double end = now() + SECONDS;
    unsigned sealed_some = 0;
    uint8_t out[LANE_PAGE];
    Wiper w;
    End source;

    end_init(&source);
    w.end = &source;
    stopping = 0;
    g_assert(!pthread_create(&w.thread, NULL, wipe, &w));
    while (now() < end) {
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
    pthread_join(w.thread, NULL);
    g_assert_cmpuint(sealed_some, >, 0);
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
    g_test_add_func("/lane/race/seal-and-wipe", test_seal_and_wipe);
    return g_test_run();
}
