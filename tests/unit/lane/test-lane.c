/*
 * Every command of the lane, and every refusal.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "lanehost.h"
#include "openssl-gcm.h"

typedef struct Pair {
    End source, target;
} Pair;

static void pair_init(Pair *p)
{
    fake_path = LANE_PATH_VAES512;
    fake_random_left = -1;
    fake_no_aes = 0;
    end_init(&p->source);
    end_init(&p->target);
}

static void pair_clear(Pair *p)
{
    end_clear(&p->source);
    end_clear(&p->target);
}

/* A source with a key, and a target that adopted it */
static void pair_begin(Pair *p)
{
    pair_init(p);
    g_assert_cmpuint(end_new_key(&p->source), ==, LANE_OK);
    end_carry(&p->source, &p->target);
    g_assert_cmpuint(end_adopt(&p->target), ==, LANE_OK);
}

static gboolean is_zero(const void *at, size_t bytes)
{
    const uint8_t *p = at;

    while (bytes && !*p) {
        p++, bytes--;
    }
    return !bytes;
}

static void assert_wiped(End *end, uint32_t role)
{
    g_assert_true(is_zero(end_carried(end), LANE_PAGE));
    g_assert_true(is_zero(&end_own(end)->key, sizeof(AeadKey)));
    g_assert_cmpuint(end_own(end)->role, ==, role);
    g_assert_cmpuint(end_box(end, 0)->role, ==, role);
}

static void assert_page(Pair *p, unsigned block, unsigned page)
{
    g_assert_cmpmem(end_page(&p->target, block, page), LANE_PAGE,
                    end_page(&p->source, block, page), LANE_PAGE);
}

/* All that a source has, and then its digest, to a target */
static void move_all(Pair *p, Sealed *digest)
{
    Sealed sealed;

    for (int i = 0; i < HOST_PAGES + HOST_PAGES1; i++) {
        unsigned block = i >= HOST_PAGES, page = block ? i - HOST_PAGES : i;

        g_assert_cmpuint(end_seal(&p->source, block, page, &sealed), ==, LANE_OK);
        g_assert_cmpuint(end_open(&p->target, &sealed), ==, LANE_OK);
    }
    g_assert_cmpuint(end_seal_digest(&p->source, digest), ==, LANE_OK);
}

static void test_hello(void)
{
    Pair p;

    pair_init(&p);
    for (fake_path = 0; fake_path <= LANE_PATH_VAES512; fake_path++) {
        g_assert_cmpuint(end_run(&p.source, 1, LANE_HELLO, 0), ==, LANE_OK);
        g_assert_cmpuint(end_box(&p.source, 1)->path, <=, fake_path);
        g_assert_cmpuint(end_box(&p.source, 1)->role, ==, LANE_ROLE_NONE);
    }
    fake_no_aes = 1;
    g_assert_cmpuint(end_run(&p.source, 0, LANE_HELLO, 0), ==, LANE_NO_AES);
    g_assert_cmpuint(end_new_key(&p.source), ==, LANE_NO_AES);
    fake_no_aes = 0;
    g_assert_cmpuint(end_run(&p.source, 0, 0, 0), ==, LANE_BAD_COMMAND);
    g_assert_cmpuint(end_run(&p.source, 0, LANE_WIPE + 1, 0), ==, LANE_BAD_COMMAND);
    pair_clear(&p);
}

/* Private memory is rubbish at first: no command takes it for a key. */
static void test_no_key(void)
{
    static const uint32_t commands[] = {
        LANE_SEAL, LANE_SEAL_DIGEST, LANE_OPEN, LANE_CHECK_DIGEST, LANE_ADOPT,
    };
    Pair p;

    pair_init(&p);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        end_windows(&p.source);
        g_assert_cmpuint(end_run(&p.source, 0, commands[i], 1), ==, LANE_NO_KEY);
    }
    g_assert_cmpuint(end_run(&p.source, 0, LANE_WIPE, 0), ==, LANE_OK);
    assert_wiped(&p.source, LANE_ROLE_NONE);
    pair_clear(&p);
}

/* Both ends with every pair of paths */
static void test_round_trip(void)
{
    for (uint32_t paths = 0; paths < 9; paths++) {
        LaneMailbox *box;
        Sealed digest;
        Pair p;

        pair_init(&p);
        fake_path = paths / 3;
        g_assert_cmpuint(end_new_key(&p.source), ==, LANE_OK);
        end_carry(&p.source, &p.target);
        fake_path = paths % 3;
        g_assert_cmpuint(end_adopt(&p.target), ==, LANE_OK);
        g_assert_true(is_zero(end_carried(&p.target), LANE_PAGE));
        move_all(&p, &digest);
        for (int i = 0; i < HOST_PAGES; i++) {
            assert_page(&p, 0, i);
        }
        box = end_box(&p.source, 0);
        g_assert_cmpuint(box->pages_done, ==, HOST_PAGES + HOST_PAGES1);
        g_assert_cmpuint(box->role, ==, LANE_ROLE_SEALED);
        g_assert_cmpuint(end_check_digest(&p.target, &digest), ==, LANE_OK);
        assert_wiped(&p.target, LANE_ROLE_NONE);
        pair_clear(&p);
    }
}

/* A whole batch: one epoch, nonces of their own; an independent library opens. */
static void test_batch(void)
{
    uint8_t aad[AEAD_BLOCK], out[LANE_PAGE];
    uint32_t last = 0;
    Pair p;

    pair_begin(&p);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LANE_MAX_JOBS; i++) {
            *end_job(&p.source, 1, i) = (LaneJob) { .offset = i * LANE_PAGE };
        }
        g_assert_cmpuint(end_run(&p.source, 1, LANE_SEAL, LANE_MAX_JOBS), ==,
                         LANE_OK);
        for (int i = 0; i < LANE_MAX_JOBS; i++) {
            const LaneJob *job = end_job(&p.source, 1, i);

            g_assert_cmpuint(job->epoch, ==, last + 1);
            for (int j = 0; j < i; j++) {
                g_assert_true(memcmp(job->nonce, end_job(&p.source, 1, j)->nonce,
                                     AEAD_NONCE));
            }
            memcpy(aad, &job->offset, 8);
            memcpy(aad + 8, &job->block, 4);
            memcpy(aad + 12, &job->epoch, 4);
            g_assert_true(openssl_open(end_carried(&p.source)->secret, job->nonce,
                                       aad, end_sealed(&p.source, 1, i), out,
                                       job->tag));
            g_assert_cmpmem(out, LANE_PAGE, end_page(&p.source, 0, i), LANE_PAGE);
        }
        last++;
    }
    pair_clear(&p);
}

static void test_counts(void)
{
    static const uint32_t counts[] = { 0, LANE_MAX_JOBS + 1, 1u << 31, UINT32_MAX };
    Pair p;

    pair_begin(&p);
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_assert_cmpuint(end_run(&p.source, 0, LANE_SEAL, counts[i]), ==,
                         LANE_BAD_COUNT);
        g_assert_cmpuint(end_run(&p.target, 0, LANE_OPEN, counts[i]), ==,
                         LANE_BAD_COUNT);
        g_assert_cmpuint(end_run(&p.source, 0, LANE_NEW_KEY, counts[i]), ==,
                         LANE_BAD_COUNT);
    }
    g_assert_cmpuint(end_run(&p.source, 0, LANE_NEW_KEY, LANE_MAX_WINDOWS + 1), ==,
                     LANE_BAD_COUNT);
    pair_clear(&p);
}

static void test_windows(void)
{
    static const LaneWindow bad[] = {
        { 0, 0 }, { 0, 4095 }, { 4096, 4096 }, { 1 << 20, 4096 },
        { LANE_RAM_MAX, 4096 }, { 0, LANE_RAM_MAX + 4096 },
        { UINT64_MAX - (2 << 20) + 1, 4096 }, { 2 << 20, UINT64_MAX - 4095 },
    };
    Pair p;

    pair_init(&p);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        end_box(&p.source, 0)->windows[0] = bad[i];
        g_assert_cmpuint(end_run(&p.source, 0, LANE_NEW_KEY, 1), ==,
                         LANE_BAD_WINDOW);
    }
    end_windows(&p.source);                     /* the second below the first */
    end_box(&p.source, 0)->windows[1].base = 0;
    g_assert_cmpuint(end_run(&p.source, 0, LANE_NEW_KEY, 2), ==, LANE_BAD_WINDOW);
    g_assert_cmpuint(end_box(&p.source, 0)->bad, ==, 1);
    pair_clear(&p);
}

static void test_addresses(void)
{
    static const LaneJob bad[] = {
        { .offset = HOST_PAGES * LANE_PAGE }, { .offset = 1 }, { .offset = 4095 },
        { .block = HOST_BLOCKS }, { .block = UINT32_MAX },
        { .offset = UINT64_MAX - 4095 }, { .offset = 1ULL << 63 },
        { .block = 1, .offset = HOST_PAGES1 * LANE_PAGE },
    };
    Pair p;

    pair_begin(&p);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        *end_job(&p.source, 0, 0) = (LaneJob) { .offset = i * LANE_PAGE };
        *end_job(&p.source, 0, 1) = bad[i];
        g_assert_cmpuint(end_run(&p.source, 0, LANE_SEAL, 2), ==,
                         LANE_BAD_ADDRESS);
        g_assert_cmpuint(end_box(&p.source, 0)->bad, ==, 1);
        *end_job(&p.target, 0, 0) = bad[i];
        g_assert_cmpuint(end_run(&p.target, 0, LANE_OPEN, 1), ==,
                         LANE_BAD_ADDRESS);
    }
    pair_clear(&p);
}

/* A key that came in packets never seals; one that was made here never opens. */
static void test_roles(void)
{
    Sealed sealed, digest;
    Pair p;

    pair_begin(&p);
    g_assert_cmpuint(end_seal(&p.source, 0, 3, &sealed), ==, LANE_OK);
    g_assert_cmpuint(end_seal(&p.target, 0, 3, &sealed), ==, LANE_MAY_NOT_SEAL);
    g_assert_cmpuint(end_seal_digest(&p.target, &digest), ==, LANE_MAY_NOT_SEAL);
    g_assert_cmpuint(end_new_key(&p.target), ==, LANE_MAY_NOT_SEAL);
    g_assert_cmpuint(end_open(&p.source, &sealed), ==, LANE_MAY_NOT_OPEN);
    g_assert_cmpuint(end_check_digest(&p.source, &digest), ==, LANE_MAY_NOT_OPEN);
    g_assert_cmpuint(end_adopt(&p.source), ==, LANE_MAY_NOT_OPEN);
    /* Packets that come again do not begin the session again. */
    end_carry(&p.source, &p.target);
    g_assert_cmpuint(end_adopt(&p.target), ==, LANE_STALE);

    g_assert_cmpuint(end_seal_digest(&p.source, &digest), ==, LANE_OK);
    g_assert_cmpuint(end_seal(&p.source, 0, 4, &sealed), ==, LANE_MAY_NOT_SEAL);
    g_assert_cmpuint(end_adopt(&p.source), ==, LANE_MAY_NOT_OPEN);
    /* The carried page stays for more platforms, until it is wiped. */
    g_assert_false(is_zero(end_carried(&p.source)->secret, AEAD_KEY));
    g_assert_cmpuint(end_run(&p.source, 0, LANE_WIPE, 0), ==, LANE_OK);
    assert_wiped(&p.source, LANE_ROLE_NONE);
    g_assert_cmpuint(end_new_key(&p.source), ==, LANE_OK);
    pair_clear(&p);
}

/* A clone that becomes a source has a key of its own. */
static void test_chain(void)
{
    uint8_t secret[AEAD_KEY];
    Sealed digest;
    Pair p;

    pair_begin(&p);
    memcpy(secret, end_carried(&p.source)->secret, AEAD_KEY);
    move_all(&p, &digest);
    g_assert_cmpuint(end_check_digest(&p.target, &digest), ==, LANE_OK);
    g_assert_cmpuint(end_new_key(&p.target), ==, LANE_OK);
    g_assert_true(memcmp(secret, end_carried(&p.target)->secret, AEAD_KEY));
    g_assert_cmpuint(end_seal(&p.target, 0, 0, &digest), ==, LANE_OK);
    g_assert_cmpuint(digest.job.epoch, ==, 1);
    pair_clear(&p);
}

/* Each field of what travels, changed in one bit */
static void test_tampered(void)
{
    static const struct { size_t at; uint32_t status; } fields[] = {
        { offsetof(Sealed, job.offset) + 2, LANE_BAD_TAG },     /* moved */
        { offsetof(Sealed, job.block), LANE_BAD_TAG },
        { offsetof(Sealed, job.epoch), LANE_BAD_TAG },
        { offsetof(Sealed, job.epoch) + 3, LANE_STALE },
        { offsetof(Sealed, job.nonce), LANE_BAD_TAG },
        { offsetof(Sealed, job.nonce) + 11, LANE_BAD_TAG },
        { offsetof(Sealed, job.tag), LANE_BAD_TAG },
        { offsetof(Sealed, job.tag) + 15, LANE_BAD_TAG },
        { offsetof(Sealed, page), LANE_BAD_TAG },
        { offsetof(Sealed, page) + LANE_PAGE - 1, LANE_BAD_TAG },
    };
    uint8_t ram[HOST_RAM / 1024];

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        Sealed sealed, good;
        Pair p;

        pair_begin(&p);
        memcpy(ram, end_page(&p.target, 0, 0), sizeof(ram));
        g_assert_cmpuint(end_seal(&p.source, 0, 0, &good), ==, LANE_OK);
        g_assert_cmpuint(end_seal(&p.source, 0, 0, &good), ==, LANE_OK);
        sealed = good;
        ((uint8_t *)&sealed)[fields[i].at] ^= fields[i].status == LANE_STALE ? 0x40
                                                                            : 1;
        g_assert_cmpuint(end_open(&p.target, &sealed), ==, fields[i].status);
        g_assert_cmpmem(ram, sizeof(ram), end_page(&p.target, 0, 0), sizeof(ram));
        assert_wiped(&p.target, LANE_ROLE_FAILED);
        /* It stays failed: no good page, no WIPE, no same key helps. */
        g_assert_cmpuint(end_open(&p.target, &good), ==, LANE_FAILED);
        g_assert_cmpuint(end_run(&p.target, 0, LANE_WIPE, 0), ==, LANE_OK);
        g_assert_cmpuint(end_open(&p.target, &good), ==, LANE_FAILED);
        g_assert_cmpuint(end_new_key(&p.target), ==, LANE_FAILED);
        end_carry(&p.source, &p.target);
        g_assert_cmpuint(end_adopt(&p.target), ==, LANE_FAILED);
        /* Another session does. */
        g_assert_cmpuint(end_new_key(&p.source), ==, LANE_OK);
        end_carry(&p.source, &p.target);
        g_assert_cmpuint(end_adopt(&p.target), ==, LANE_OK);
        pair_clear(&p);
    }
}

/* Two pages exchanged with all that belongs to them but their addresses */
static void test_exchanged(void)
{
    Sealed a, b;
    LaneJob job;
    Pair p;

    pair_begin(&p);
    g_assert_cmpuint(end_seal(&p.source, 0, 5, &a), ==, LANE_OK);
    g_assert_cmpuint(end_seal(&p.source, 0, 6, &b), ==, LANE_OK);
    job = a.job;
    b.job.offset = job.offset;
    g_assert_cmpuint(end_open(&p.target, &b), ==, LANE_BAD_TAG);
    pair_clear(&p);
}

static void test_replayed(void)
{
    Sealed first, second;
    Pair p;

    pair_begin(&p);
    g_assert_cmpuint(end_seal(&p.source, 0, 7, &first), ==, LANE_OK);
    end_page(&p.source, 0, 7)[0] ^= 1;
    g_assert_cmpuint(end_seal(&p.source, 0, 7, &second), ==, LANE_OK);
    g_assert_cmpuint(second.job.epoch, >, first.job.epoch);
    g_assert_cmpuint(end_open(&p.target, &second), ==, LANE_OK);
    g_assert_cmpuint(end_open(&p.target, &first), ==, LANE_STALE);
    assert_page(&p, 0, 7);
    pair_clear(&p);

    pair_begin(&p);                             /* the same one again */
    g_assert_cmpuint(end_seal(&p.source, 0, 7, &first), ==, LANE_OK);
    g_assert_cmpuint(end_open(&p.target, &first), ==, LANE_OK);
    g_assert_cmpuint(end_open(&p.target, &first), ==, LANE_STALE);
    pair_clear(&p);

    pair_begin(&p);                             /* twice in one batch */
    *end_job(&p.source, 0, 0) = *end_job(&p.source, 0, 1) = (LaneJob) { 0 };
    g_assert_cmpuint(end_run(&p.source, 0, LANE_SEAL, 2), ==, LANE_STALE);
    g_assert_cmpuint(end_box(&p.source, 0)->bad, ==, 1);
    pair_clear(&p);
}

/* A page that the target left out, or has in an older version, has a name. */
static void test_named(void)
{
    for (int old = 0; old < 2; old++) {
        for (int page = 0; page < HOST_PAGES; page += 29) {
            LaneMailbox *box;
            Sealed sealed, digest;
            Pair p;

            pair_begin(&p);
            for (int i = 0; i < HOST_PAGES; i++) {
                g_assert_cmpuint(end_seal(&p.source, 0, i, &sealed), ==, LANE_OK);
                if (i != page || old) {
                    g_assert_cmpuint(end_open(&p.target, &sealed), ==, LANE_OK);
                }
            }
            if (old) {
                g_assert_cmpuint(end_seal(&p.source, 0, page, &sealed), ==, LANE_OK);
            }
            g_assert_cmpuint(end_seal_digest(&p.source, &digest), ==, LANE_OK);
            g_assert_cmpuint(end_check_digest(&p.target, &digest), ==,
                             LANE_BAD_DIGEST);
            box = end_box(&p.target, 0);
            g_assert_cmpuint(box->what, ==, LANE_WHAT_PAGE);
            g_assert_cmpuint(box->where, ==, page * LANE_PAGE);
            assert_wiped(&p.target, LANE_ROLE_FAILED);
            pair_clear(&p);
        }
    }
}

static void test_several_left_out(void)
{
    LaneMailbox *box;
    Sealed sealed, digest;
    Pair p;

    pair_begin(&p);
    for (int i = 0; i < HOST_PAGES; i++) {
        g_assert_cmpuint(end_seal(&p.source, 0, i, &sealed), ==, LANE_OK);
        if (i < 96 || i > 102) {
            g_assert_cmpuint(end_open(&p.target, &sealed), ==, LANE_OK);
        }
    }
    g_assert_cmpuint(end_seal_digest(&p.source, &digest), ==, LANE_OK);
    g_assert_cmpuint(end_check_digest(&p.target, &digest), ==, LANE_BAD_DIGEST);
    box = end_box(&p.target, 0);
    g_assert_cmpuint(box->what, ==, LANE_WHAT_PAGES);
    g_assert_cmpuint(box->where / LANE_PAGE, <=, 96);
    g_assert_cmpuint(box->where / LANE_PAGE + box->bad, >, 96);
    pair_clear(&p);
}

/* Block 1 is in the digest, too: the page before it is not confused with it. */
static void test_second_block(void)
{
    Sealed sealed, digest;
    Pair p;

    pair_begin(&p);
    g_assert_cmpuint(end_seal(&p.source, 1, 2, &sealed), ==, LANE_OK);
    g_assert_cmpuint(end_seal_digest(&p.source, &digest), ==, LANE_OK);
    g_assert_cmpuint(end_check_digest(&p.target, &digest), ==, LANE_BAD_DIGEST);
    g_assert_cmpuint(end_box(&p.target, 0)->where, ==, HOST_BASE1 + 2 * LANE_PAGE);
    pair_clear(&p);
}

static void test_sums(void)
{
    for (int i = 0; i < LANE_SUMS; i++) {
        Sealed digest;
        Pair p;

        pair_begin(&p);
        memset(end_box(&p.source, 0)->sums, 0x5a, LANE_SUMS * LANE_SUM);
        memset(end_box(&p.target, 0)->sums, 0x5a, LANE_SUMS * LANE_SUM);
        end_box(&p.target, 0)->sums[i][LANE_SUM - 1] ^= 0x80;
        move_all(&p, &digest);
        g_assert_cmpuint(end_check_digest(&p.target, &digest), ==, LANE_BAD_DIGEST);
        g_assert_cmpuint(end_box(&p.target, 0)->what, ==, LANE_WHAT_SHARED + i);
        assert_wiped(&p.target, LANE_ROLE_FAILED);
        pair_clear(&p);
    }
}

static void test_other_windows(void)
{
    Sealed digest;
    Pair p;

    pair_init(&p);
    g_assert_cmpuint(end_new_key(&p.source), ==, LANE_OK);
    end_carry(&p.source, &p.target);
    end_windows(&p.target);
    end_box(&p.target, 0)->windows[1].size -= LANE_PAGE;
    g_assert_cmpuint(end_run(&p.target, 0, LANE_ADOPT, 2), ==, LANE_OK);
    g_assert_cmpuint(end_seal_digest(&p.source, &digest), ==, LANE_OK);
    g_assert_cmpuint(end_check_digest(&p.target, &digest), ==, LANE_BAD_DIGEST);
    g_assert_cmpuint(end_box(&p.target, 0)->what, ==, LANE_WHAT_WINDOWS);
    pair_clear(&p);
}

/* The digest itself; and a page is no digest, nor a digest a page. */
static void test_digest_tampered(void)
{
    for (size_t at = 0; at < sizeof(Sealed); at += 401) {
        Sealed digest;
        Pair p;

        pair_begin(&p);
        move_all(&p, &digest);
        if (at < sizeof(LaneJob)) {
            digest.job.epoch ^= 1;
        } else {
            ((uint8_t *)&digest)[at] ^= 4;
        }
        g_assert_cmpuint(end_check_digest(&p.target, &digest), ==, LANE_BAD_TAG);
        assert_wiped(&p.target, LANE_ROLE_FAILED);
        pair_clear(&p);
    }
}

static void test_digest_is_no_page(void)
{
    Sealed sealed, digest;
    Pair p;

    pair_begin(&p);
    g_assert_cmpuint(end_seal(&p.source, 0, 0, &sealed), ==, LANE_OK);
    g_assert_cmpuint(end_check_digest(&p.target, &sealed), ==, LANE_BAD_TAG);
    pair_clear(&p);

    pair_begin(&p);
    g_assert_cmpuint(end_seal_digest(&p.source, &digest), ==, LANE_OK);
    digest.job.block = 0;
    g_assert_cmpuint(end_open(&p.target, &digest), ==, LANE_BAD_TAG);
    pair_clear(&p);
}

static void test_no_random(void)
{
    Sealed sealed;
    Pair p;

    pair_begin(&p);
    for (fake_random_left = 0; fake_random_left < 2; fake_random_left++) {
        int left = fake_random_left;

        g_assert_cmpuint(end_seal(&p.source, 0, 0, &sealed), ==, LANE_NO_RANDOM);
        fake_random_left = left;
        g_assert_cmpuint(end_seal_digest(&p.source, &sealed), ==, LANE_NO_RANDOM);
        fake_random_left = left;
    }
    for (int left = 0; left < 6; left++) {
        fake_random_left = left;
        g_assert_cmpuint(end_new_key(&p.source), ==, LANE_NO_RANDOM);
        assert_wiped(&p.source, LANE_ROLE_NONE);
    }
    pair_clear(&p);
}

static void test_full(void)
{
    Sealed sealed;
    Pair p;

    pair_begin(&p);
    end_own(&p.source)->batches = LANE_MAX_EPOCH - 2;
    g_assert_cmpuint(end_seal(&p.source, 0, 0, &sealed), ==, LANE_OK);
    g_assert_cmpuint(end_open(&p.target, &sealed), ==, LANE_OK);
    g_assert_cmpuint(end_seal(&p.source, 0, 0, &sealed), ==, LANE_FULL);
    g_assert_cmpuint(end_seal_digest(&p.source, &sealed), ==, LANE_FULL);
    pair_clear(&p);
}

/* What a slot that is at work lets the others do.  It never ended: HELLO frees it. */
static void test_busy(void)
{
    Sealed sealed;
    Pair p;

    pair_begin(&p);
    end_own(&p.source)->running = LANE_SHARING(3);
    g_assert_cmpuint(end_seal(&p.source, 0, 0, &sealed), ==, LANE_OK);
    g_assert_cmpuint(end_new_key(&p.source), ==, LANE_BUSY);
    g_assert_cmpuint(end_seal_digest(&p.source, &sealed), ==, LANE_BUSY);
    g_assert_cmpuint(end_own(&p.source)->running, ==, LANE_SHARING(3));
    end_own(&p.source)->running = LANE_CHANGING(3);
    g_assert_cmpuint(end_seal(&p.source, 0, 0, &sealed), ==, LANE_BUSY);
    g_assert_cmpuint(end_run(&p.source, 0, LANE_WIPE, 0), ==, LANE_BUSY);
    g_assert_cmpuint(end_run(&p.source, 0, LANE_HELLO, 0), ==, LANE_OK);
    g_assert_cmpuint(end_box(&p.source, 0)->role, ==, LANE_ROLE_SOURCE);
    g_assert_cmpuint(end_run(&p.source, 3, LANE_HELLO, 0), ==, LANE_OK);
    g_assert_cmpuint(end_seal(&p.source, 0, 0, &sealed), ==, LANE_OK);

    end_own(&p.target)->running = LANE_SHARING(3);
    g_assert_cmpuint(end_adopt(&p.target), ==, LANE_BUSY);
    g_assert_cmpuint(end_check_digest(&p.target, &sealed), ==, LANE_BUSY);
    g_assert_cmpuint(end_open(&p.target, &sealed), ==, LANE_OK);
    g_assert_cmpuint(end_run(&p.target, 0, LANE_WIPE, 0), ==, LANE_OK);
    assert_wiped(&p.target, LANE_ROLE_NONE);
    pair_clear(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!host_has_aes()) {
        g_print("1..0 # SKIP this CPU has no AES, PCLMULQDQ or RDRAND\n");
        return 0;
    }
    g_test_add_func("/lane/hello", test_hello);
    g_test_add_func("/lane/no-key", test_no_key);
    g_test_add_func("/lane/round-trip", test_round_trip);
    g_test_add_func("/lane/batch", test_batch);
    g_test_add_func("/lane/counts", test_counts);
    g_test_add_func("/lane/windows", test_windows);
    g_test_add_func("/lane/addresses", test_addresses);
    g_test_add_func("/lane/roles", test_roles);
    g_test_add_func("/lane/chain", test_chain);
    g_test_add_func("/lane/tampered", test_tampered);
    g_test_add_func("/lane/exchanged", test_exchanged);
    g_test_add_func("/lane/replayed", test_replayed);
    g_test_add_func("/lane/named", test_named);
    g_test_add_func("/lane/several-left-out", test_several_left_out);
    g_test_add_func("/lane/second-block", test_second_block);
    g_test_add_func("/lane/sums", test_sums);
    g_test_add_func("/lane/other-windows", test_other_windows);
    g_test_add_func("/lane/digest-tampered", test_digest_tampered);
    g_test_add_func("/lane/digest-is-no-page", test_digest_is_no_page);
    g_test_add_func("/lane/no-random", test_no_random);
    g_test_add_func("/lane/full", test_full);
    g_test_add_func("/lane/busy", test_busy);
    return g_test_run();
}
