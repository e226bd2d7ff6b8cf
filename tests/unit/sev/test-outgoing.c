/*
 * The sending side's table, cell by cell: every purpose, state and event
 * against a grid written by hand, which is also what the document shows.
 *
 * The two commands are replaced by ones that count, and fail on demand.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/sev/outgoing.h"
#include "migration/sev/trace.h"
#include "target/i386/sev/transfer.h"

/* --- The secure processor ---------------------------------------------------- */

static struct {
    unsigned cancels, finishes;
    bool fail;
} psp;

static bool command(unsigned *count, Error **errp)
{
    (*count)++;
    if (psp.fail) {
        error_setg(errp, "the secure processor is tired");
    }
    return !psp.fail;
}

bool sev_send_cancel(Error **errp)
{
    return command(&psp.cancels, errp);
}

bool sev_send_finish(Error **errp)
{
    return command(&psp.finishes, errp);
}

/* --- The grid ------------------------------------------------------------------ */

static const char *const purposes[SEV_PURPOSE__MAX] = {
    "move", "save", "template", "in place",
};
static const char *const states[SEV_OUTGOING__MAX] = {
    "idle", "setup", "open", "spoiled", "given", "stuck", "gone",
};

/* "-": refused; a state: the next; "CANCEL" or "FINISH" with it: the command. */
typedef struct GridRow {
    SevPurpose purpose;
    SevOutgoingState state;
    const char *cells[SEV_OUTGOING_EVENT__MAX];
    const char *runs;           /* "yes", "waits", "no" */
} GridRow;

#define S(state) SEV_OUTGOING_##state
#define P(purpose) SEV_PURPOSE_##purpose
#define C_IDLE "CANCEL, idle"
#define F_GONE "FINISH, gone"

static const GridRow grid[] = {
    /* prepare, begin, start, overwrite, give, complete, fail; may it run? */
    { P(MOVE), S(IDLE),
      { "idle", "setup", "-", "-", "-", "idle", "idle" }, "yes" },
    { P(MOVE), S(SETUP),
      { "-", "-", "open", "-", "-", "idle", "idle" }, "yes" },
    { P(MOVE), S(OPEN),
      { "-", "-", "-", "-", "given", C_IDLE, C_IDLE }, "yes" },
    { P(MOVE), S(GIVEN),
      { "-", "-", "-", "-", "-", F_GONE, F_GONE }, "no" },
    { P(MOVE), S(STUCK),
      { C_IDLE, "-", "-", "-", "-", "stuck", "stuck" }, "yes" },
    { P(MOVE), S(GONE),
      { "-", "-", "-", "-", "-", "gone", "gone" }, "no" },
    { P(SAVE), S(IDLE),
      { "idle", "setup", "-", "-", "-", "idle", "idle" }, "yes" },
    { P(SAVE), S(SETUP),
      { "-", "-", "open", "-", "-", "idle", "idle" }, "yes" },
    { P(SAVE), S(OPEN),
      { "-", "-", "-", "-", "-", C_IDLE, C_IDLE }, "yes" },
    { P(SAVE), S(STUCK),
      { C_IDLE, "-", "-", "-", "-", "stuck", "stuck" }, "yes" },
    { P(SAVE), S(GONE),
      { "-", "-", "-", "-", "-", "gone", "gone" }, "no" },
    { P(TEMPLATE), S(IDLE),
      { "idle", "setup", "-", "-", "-", "idle", "idle" }, "waits" },
    { P(TEMPLATE), S(SETUP),
      { "-", "-", "open", "-", "-", "idle", "idle" }, "waits" },
    { P(TEMPLATE), S(OPEN),
      { "-", "-", "-", "-", "-", C_IDLE, C_IDLE }, "waits" },
    { P(TEMPLATE), S(STUCK),
      { C_IDLE, "-", "-", "-", "-", "stuck", "stuck" }, "yes" },
    { P(TEMPLATE), S(GONE),
      { "-", "-", "-", "-", "-", "gone", "gone" }, "no" },
    { P(IN_PLACE), S(IDLE),
      { "idle", "setup", "-", "-", "-", "idle", "idle" }, "waits" },
    { P(IN_PLACE), S(SETUP),
      { "-", "-", "open", "-", "-", "idle", "idle" }, "waits" },
    { P(IN_PLACE), S(OPEN),
      { "-", "-", "-", "spoiled", "-", C_IDLE, C_IDLE }, "waits" },
    { P(IN_PLACE), S(SPOILED),
      { "-", "-", "-", "spoiled", "-", F_GONE, F_GONE }, "no" },
    { P(IN_PLACE), S(STUCK),
      { C_IDLE, "-", "-", "-", "-", "stuck", "stuck" }, "yes" },
    { P(IN_PLACE), S(GONE),
      { "-", "-", "-", "-", "-", "gone", "gone" }, "no" },
};

/* States that a purpose never has: everything is refused there. */
static const GridRow never = {
    .cells = { "-", "-", "-", "-", "-", "-", "-" }, .runs = "no",
};

static const GridRow *row_of(SevPurpose purpose, SevOutgoingState state)
{
    for (size_t i = 0; i < ARRAY_SIZE(grid); i++) {
        if (grid[i].purpose == purpose && grid[i].state == state) {
            return &grid[i];
        }
    }
    return &never;
}

static SevOutgoingState state_named(const char *name)
{
    for (int i = 0; i < SEV_OUTGOING__MAX; i++) {
        if (g_str_equal(states[i], name)) {
            return i;
        }
    }
    g_assert_not_reached();
}

/* --- Tests --------------------------------------------------------------------- */

static void check_cell(SevPurpose purpose, SevOutgoingState state,
                       SevOutgoingEvent event, bool fail)
{
    const char *want = row_of(purpose, state)->cells[event];
    bool refused = g_str_equal(want, "-");
    bool cancel = g_str_has_prefix(want, "CANCEL, ");
    bool finish = g_str_has_prefix(want, "FINISH, ");
    SevOutgoing o = { .purpose = purpose, .state = state };
    SevOutgoingState next = state;
    Error *err = NULL;
    bool ok;

    memset(&psp, 0, sizeof(psp));
    psp.fail = fail;
    if (!refused) {
        next = state_named(cancel || finish ? want + strlen("CANCEL, ") : want);
    }
    if (cancel && fail) {
        next = SEV_OUTGOING_STUCK;
    }
    ok = sev_outgoing_take(&o, event, &err);
    g_test_message("%s, %s, event %d: %s", purposes[purpose], states[state],
                   event, want);
    g_assert_cmpint(ok, ==, !refused && !(fail && (cancel || finish)));
    g_assert_cmpint(ok, ==, !err);
    g_assert_cmpint(o.state, ==, next);
    g_assert_cmpint(o.purpose, ==, purpose);
    g_assert_cmpuint(psp.cancels, ==, cancel);
    g_assert_cmpuint(psp.finishes, ==, finish);
    error_free(err);
}

static void test_events(void)
{
    for (int purpose = 0; purpose < SEV_PURPOSE__MAX; purpose++) {
        for (int state = 0; state < SEV_OUTGOING__MAX; state++) {
            for (int event = 0; event < SEV_OUTGOING_EVENT__MAX; event++) {
                check_cell(purpose, state, event, false);
                check_cell(purpose, state, event, true);
            }
        }
    }
}

static void test_may_run(void)
{
    for (int i = 0; i < SEV_PURPOSE__MAX * SEV_OUTGOING__MAX * 2; i++) {
        SevOutgoing o = {
            .purpose = i / 2 / SEV_OUTGOING__MAX,
            .state = i / 2 % SEV_OUTGOING__MAX,
        };
        const char *runs = row_of(o.purpose, o.state)->runs;
        bool running = i % 2;
        bool want = g_str_equal(runs, "yes") ||
                    (g_str_equal(runs, "waits") && !running);
        Error *err = NULL;

        g_assert_cmpint(sev_outgoing_may_run(&o, running, &err), ==, want);
        g_assert_cmpint(want, ==, !err);
        error_free(err);
    }
}

/* No sequence of events brings back a guest that was given, or is gone. */
static void test_gone_for_good(void)
{
    for (int i = 0; i < SEV_OUTGOING_EVENT__MAX * SEV_OUTGOING_EVENT__MAX; i++) {
        SevOutgoing o = { SEV_PURPOSE_MOVE, SEV_OUTGOING_GIVEN };

        memset(&psp, 0, sizeof(psp));
        sev_outgoing_take(&o, i / SEV_OUTGOING_EVENT__MAX, NULL);
        sev_outgoing_take(&o, i % SEV_OUTGOING_EVENT__MAX, NULL);
        g_assert_true(o.state == SEV_OUTGOING_GIVEN ||
                      o.state == SEV_OUTGOING_GONE);
        g_assert_false(sev_outgoing_may_run(&o, false, NULL));
        g_assert_cmpuint(psp.cancels, ==, 0);
        g_assert_cmpuint(psp.finishes, ==, o.state == SEV_OUTGOING_GONE);
    }
}

/* docs/devel/sev-migration.rst has the same table for people. */
static void test_document(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(SEV_DOCUMENT, &text, NULL, NULL));
    for (size_t i = 0; i < ARRAY_SIZE(grid); i++) {
        const GridRow *r = &grid[i];
        g_autoptr(GString) want = g_string_new(NULL);

        g_string_printf(want, "^%s +%s", purposes[r->purpose],
                        states[r->state]);
        for (int event = 0; event < SEV_OUTGOING_EVENT__MAX; event++) {
            g_string_append_printf(want, " +\\\\?%s", r->cells[event]);
        }
        g_string_append_printf(want, " +%s$", r->runs);
        if (!g_regex_match_simple(want->str, text, G_REGEX_MULTILINE, 0)) {
            g_test_message("the document lacks: %s", want->str);
            g_test_fail();
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/outgoing/events", test_events);
    g_test_add_func("/sev/outgoing/may-run", test_may_run);
    g_test_add_func("/sev/outgoing/gone", test_gone_for_good);
    g_test_add_func("/sev/outgoing/document", test_document);
    return g_test_run();
}
