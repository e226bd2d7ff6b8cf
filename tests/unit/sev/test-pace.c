/*
 * What a source makes of PONGs: good ones, late ones, ones that nobody asked for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "migration/sev/pace.h"

#define FIRST (SEV_PACE_PING + 1)

static void refused(uint32_t value, const char *words)
{
    SevPace before = sev_pace_get(), after;
    Error *err = NULL;

    g_assert_false(sev_pace_heard(value, 1000, &err));
    if (!strstr(error_get_pretty(err), words)) {
        g_test_message("no \"%s\" in: %s", words, error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
    after = sev_pace_get();
    g_assert_cmpuint(after.answers, ==, before.answers);
    g_assert_cmpuint(after.opened, ==, before.opened);
    g_assert_cmpuint(after.packet_ns, ==, before.packet_ns);
}

static void heard(uint32_t value, int64_t now)
{
    g_assert_true(sev_pace_heard(value, now, &error_abort));
}

static void test_counts(void)
{
    sev_pace_begin();
    g_assert_cmpuint(sev_pace_mark(0, 0), ==, 0);       /* nothing is sent */
    g_assert_cmpuint(sev_pace_mark(10, 0), ==, FIRST);
    g_assert_cmpuint(sev_pace_mark(10, 1), ==, 0);      /* nothing more */
    g_assert_cmpuint(sev_pace_ask(1), ==, 0);           /* one is under way */
    g_assert_cmpuint(sev_pace_mark(25, 2), ==, FIRST + 1);
    g_assert_cmpuint(sev_pace_get().opened, ==, 0);
    g_assert_cmpuint(sev_pace_get().under_way, ==, 2);
    heard(FIRST, 100);
    g_assert_cmpuint(sev_pace_get().opened, ==, 10);
    heard(FIRST + 1, 200);
    g_assert_cmpuint(sev_pace_get().opened, ==, 25);
    g_assert_cmpuint(sev_pace_get().answers, ==, 2);
    g_assert_cmpuint(sev_pace_get().under_way, ==, 0);
    /* Another migration knows nothing. */
    sev_pace_begin();
    g_assert_cmpuint(sev_pace_get().opened, ==, 0);
    refused(FIRST + 2, "answers nothing, all 0");
}

static void test_hostile(void)
{
    static const uint32_t values[] = {
        0, 1, 2, FIRST - 1, FIRST + 1, FIRST + 2, SEV_PACE_PING + 0xffffff,
        UINT32_MAX,
    };

    sev_pace_begin();
    refused(FIRST, "answers nothing, all 0 PINGs");
    g_assert_cmpuint(sev_pace_mark(10, 0), ==, FIRST);
    g_assert_cmpuint(sev_pace_mark(20, 0), ==, FIRST + 1);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        refused(values[i], "out of turn, 0x5e000001 comes next");
    }
    heard(FIRST, 10);
    refused(FIRST, "out of turn, 0x5e000002 comes next");
    heard(FIRST + 1, 20);
    refused(FIRST + 1, "answers nothing, all 2 PINGs");
}

/* A target that never answers costs the ring, and no more. */
static void test_silent(void)
{
    uint32_t value = 0;

    sev_pace_begin();
    for (unsigned i = 1; i <= SEV_PACE_MARKS; i++) {
        value = sev_pace_mark(i, i);
        g_assert_cmpuint(value, ==, SEV_PACE_PING + i);
    }
    for (unsigned i = 0; i < 1000; i++) {
        g_assert_cmpuint(sev_pace_mark(100 + i, 100 + i), ==, 0);
    }
    g_assert_cmpuint(sev_pace_get().under_way, ==, SEV_PACE_MARKS);
    heard(FIRST, 5000);
    g_assert_cmpuint(sev_pace_mark(2000, 5000), ==, value + 1);
    g_assert_cmpuint(sev_pace_get().opened, ==, 1);
}

/* The pace is that of a target which had packets waiting. */
static void test_pace(void)
{
    sev_pace_begin();
    /* It waited for these: they tell nothing. */
    for (unsigned i = 1; i <= 100; i++) {
        g_assert_cmpuint(sev_pace_mark(i * 10, i * 1000), ==,
                         SEV_PACE_PING + i);
        heard(SEV_PACE_PING + i, i * 1000 + 500);
    }
    g_assert_cmpuint(sev_pace_get().packet_ns, ==, 0);

    /* All of these were there when it had opened the first. */
    sev_pace_begin();
    for (unsigned i = 1; i <= 50; i++) {
        sev_pace_mark(i * 10, i);
    }
    for (unsigned i = 1; i <= 50; i++) {
        heard(SEV_PACE_PING + i, i * 1000);
    }
    g_assert_cmpuint(sev_pace_get().packet_ns, ==, 100);

    /* It becomes slower, and that is soon known. */
    for (unsigned i = 51; i <= 110; i++) {
        sev_pace_mark(i * 10 + 1000, 50000);
    }
    for (unsigned i = 51; i <= 110; i++) {
        heard(SEV_PACE_PING + i, 50000 + (i - 50) * 10000);
    }
    g_assert_cmpuint(sev_pace_get().packet_ns, >, 500);
}

static void test_round_trip(void)
{
    sev_pace_begin();
    g_assert_false(sev_pace_get().has_round_trip);
    g_assert_cmpuint(sev_pace_mark(10, 0), ==, FIRST);
    heard(FIRST, 900);
    g_assert_false(sev_pace_get().has_round_trip);      /* it had work to do */
    g_assert_cmpuint(sev_pace_ask(1000), ==, FIRST + 1);
    g_assert_cmpuint(sev_pace_ask(1001), ==, 0);
    heard(FIRST + 1, 1300);
    g_assert_true(sev_pace_get().has_round_trip);
    g_assert_cmpuint(sev_pace_get().round_trip_ns, ==, 300);
    g_assert_cmpuint(sev_pace_ask(2000), ==, FIRST + 2);
    heard(FIRST + 2, 2900);                             /* the least counts */
    g_assert_cmpuint(sev_pace_get().round_trip_ns, ==, 300);
}

static void test_wait(void)
{
    int64_t begin = get_clock();
    SevPace known;

    sev_pace_begin();
    known = sev_pace_get();
    sev_pace_wait(&known, 10000);       /* nothing can come: not at all */
    sev_pace_mark(1, 0);
    sev_pace_mark(2, 0);
    heard(FIRST, 1);
    sev_pace_wait(&known, 10000);       /* it came */
    g_assert_cmpint(get_clock() - begin, <, 5 * NANOSECONDS_PER_SECOND);
    known = sev_pace_get();
    begin = get_clock();
    sev_pace_wait(&known, 20);
    g_assert_cmpint(get_clock() - begin, >=, 10 * SCALE_MS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/pace/counts", test_counts);
    g_test_add_func("/sev/pace/hostile", test_hostile);
    g_test_add_func("/sev/pace/silent", test_silent);
    g_test_add_func("/sev/pace/pace", test_pace);
    g_test_add_func("/sev/pace/round-trip", test_round_trip);
    g_test_add_func("/sev/pace/wait", test_wait);
    return g_test_run();
}
