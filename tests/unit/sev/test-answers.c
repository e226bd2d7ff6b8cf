/*
 * What a target may say when: every message in every state and length against a
 * grid written by hand, which is also what the document shows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/sev/answers.h"

static const char *const states[SEV_RP__MAX] = {
    "quiet", "asked", "sending", "sent", "judging", "given", "over",
};

/*
 * The lengths that are good where the message is: "+", once in a migration; "*",
 * any number of times; else it is refused.
 */
typedef struct GridRow {
    uint16_t type;
    const char *name;
    unsigned min, max;
    const char *legal;          /* a character for each state */
} GridRow;

static const GridRow grid[] = {
    /*
     *                                          quiet, asked, sending, sent,
     *                                          judging, given, over
     */
    { 1,      "SHUT",            4,  4,     ".....+." },
    { 2,      "PONG",            4,  4,     "++**..." },
    { 3,      "REQ_PAGES_ID",    0,  0,     "......." },
    { 4,      "REQ_PAGES",       0,  0,     "......." },
    { 5,      "RECV_BITMAP",     0,  0,     "......." },
    { 6,      "RESUME_ACK",      0,  0,     "......." },
    { 7,      "SWITCHOVER_ACK",  0,  0,     "+++...." },
    { 0x5e01, "certificates",    16, 65535, ".+....." },
    { 0x5e02, "refusal",         1,  1024,  "+++++++" },
    { 0x5e03, "acknowledgement", 16, 65535, "...+..." },
};

static const GridRow *row_of(uint16_t type)
{
    for (size_t i = 0; i < ARRAY_SIZE(grid); i++) {
        if (grid[i].type == type) {
            return &grid[i];
        }
    }
    return NULL;
}

static bool judge(SevRpState state, uint32_t *seen, uint16_t type,
                  uint16_t len, const char *word)
{
    Error *err = NULL;
    bool legal = sev_answer_legal(state, seen, type, len, true, &err);

    g_assert_cmpint(legal, ==, !err);
    if (!legal) {
        g_autofree char *number = g_strdup_printf("%u", len);

        if (!strstr(error_get_pretty(err), word) ||
            !strstr(error_get_pretty(err), number)) {
            g_test_message("no \"%s\" or %u in: %s", word, len,
                           error_get_pretty(err));
            g_test_fail();
        }
    }
    error_free(err);
    return legal;
}

static void check_message(SevRpState state, uint16_t type, uint16_t len)
{
    const GridRow *row = row_of(type);
    bool here = row && row->legal[state] != '.';
    bool fits = here && len >= row->min && len <= row->max;
    uint32_t seen = 0;

    g_assert_cmpint(judge(state, &seen, type, len, !row ? "unknown type" :
                          here ? "bytes, not" : "out of place"), ==, fits);
    g_assert_cmpint(seen != 0, ==, fits);
    if (fits) {
        g_assert_cmpint(judge(state, &seen, type, len, "a second time"), ==,
                        row->legal[state] == '*');
    }
}

static void test_every_message(void)
{
    static const uint16_t lengths[] = {
        0, 1, 3, 4, 5, 12, 15, 16, 17, 1023, 1024, 1025, 65534, 65535,
    };

    for (int state = 0; state < SEV_RP__MAX; state++) {
        for (unsigned type = 0; type <= UINT16_MAX; type++) {
            if (type > 16 && (type < 0x5df0 || type > 0x5e10) &&
                type % 257) {
                continue;
            }
            for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                check_message(state, type, lengths[i]);
            }
        }
    }
}

/* It is an answer only to somebody who asked. */
static void test_switchover_ack(void)
{
    uint32_t seen = 0;
    Error *err = NULL;

    g_assert_false(sev_answer_legal(SEV_RP_SENDING, &seen,
                                    SEV_RP_SWITCHOVER_ACK, 0, false, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "out of place"));
    error_free(err);
    g_assert_cmpuint(seen, ==, 0);
}

/* One good move, as it is heard. */
static void test_whole(void)
{
    static const struct {
        SevRpState state;
        uint16_t type, len;
    } heard[] = {
        { SEV_RP_QUIET, SEV_RP_SWITCHOVER_ACK, 0 },
        { SEV_RP_ASKED, SEV_RP_PONG, 4 },
        { SEV_RP_ASKED, SEV_RP_CERTS, 12000 },
        { SEV_RP_SENDING, SEV_RP_PONG, 4 },
        { SEV_RP_SENDING, SEV_RP_PONG, 4 },
        { SEV_RP_SENT, SEV_RP_PONG, 4 },
        { SEV_RP_SENT, SEV_RP_ACK, 288 },
        { SEV_RP_GIVEN, SEV_RP_SHUT, 4 },
    };
    uint32_t seen = 0;

    for (size_t i = 0; i < ARRAY_SIZE(heard); i++) {
        g_assert_true(sev_answer_legal(heard[i].state, &seen, heard[i].type,
                                       heard[i].len, true, &error_abort));
    }
    /* None of them may come again, but for what pace.c counts. */
    for (size_t i = 0; i < ARRAY_SIZE(heard); i++) {
        for (int state = 0; state < SEV_RP__MAX; state++) {
            const GridRow *row = row_of(heard[i].type);

            g_assert_cmpint(sev_answer_legal(state, &seen, heard[i].type,
                                             heard[i].len, true, NULL), ==,
                            row->legal[state] == '*');
        }
    }
}

/* docs/interop/sev-record.rst has the same table for people. */
static void test_document(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(SEV_RECORD_DOCUMENT, &text, NULL, NULL));
    for (size_t i = 0; i < ARRAY_SIZE(grid); i++) {
        g_autoptr(GString) want = g_string_new(NULL);
        const GridRow *r = &grid[i];
        const char *comma = "";

        g_string_printf(want, "^0x%x +%s +", r->type, r->name);
        if (r->min == r->max) {
            g_string_append_printf(want, strpbrk(r->legal, "+*") ? "%u +"
                                                                : "\\\\- +",
                                   r->min);
        } else {
            g_string_append_printf(want, "%u to %u +", r->min, r->max);
        }
        for (int state = 0; state < SEV_RP__MAX; state++) {
            if (r->legal[state] != '.') {
                g_string_append_printf(want, "%s%s", comma, states[state]);
                comma = ", ";
            }
        }
        g_string_append(want, *comma ? "$" : "never$");
        if (!g_regex_match_simple(want->str, text, G_REGEX_MULTILINE, 0)) {
            g_test_message("the document lacks: %s", want->str);
            g_test_fail();
        }
    }
}

static void test_names(void)
{
    for (int state = 0; state < SEV_RP__MAX; state++) {
        g_assert_cmpstr(sev_rp_state_name(state), ==, states[state]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(grid); i++) {
        g_assert_cmpstr(sev_answer_name(grid[i].type), ==, grid[i].name);
    }
    g_assert_null(sev_answer_name(0));
    g_assert_null(sev_answer_name(0x5e04));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/answers/every-message", test_every_message);
    g_test_add_func("/sev/answers/switchover-ack", test_switchover_ack);
    g_test_add_func("/sev/answers/whole", test_whole);
    g_test_add_func("/sev/answers/document", test_document);
    g_test_add_func("/sev/answers/names", test_names);
    return g_test_run();
}
