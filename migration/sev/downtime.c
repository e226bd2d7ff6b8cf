/*
 * What the speed of two secure processors means for the downtime.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/ram.h"
#include "migration/savevm.h"
#include "downtime.h"
#include "lane.h"
#include "pace.h"
#include "pages.h"
#include "seal.h"
#include "trace.h"

/* Fewer packets tell no pace. */
#define PACKETS_MIN     32
/* So often in a row the limit must be out of reach. */
#define LOOKS           3
/* Who waits for the target looks so often whether it still shall. */
#define LOOK_MS         20
/* How often a target that has nothing to do is asked how far away it is. */
#define ASK_NS          (200 * SCALE_MS)
/*
 * From here on a packet takes so long that upstream's bandwidth, measured while
 * this end waits for the target, is far from what the line would carry.
 */
#define SLOW_NS         (50 * SCALE_US)

/* Migration thread; @answered is read by any. */
static struct {
    bool answered;
    unsigned out_of_reach;      /* looks in a row */
    bool warned, line_named;
    bool held;                  /* since pages were pending */
    uint64_t found;             /* dirty pages, at the last look at the log */
    int64_t asked_at;
} state;

void sev_downtime_begin(bool answered)
{
    memset(&state, 0, sizeof(state));
    qatomic_set(&state.answered, answered);
}

/* --- How long --------------------------------------------------------------- */

typedef struct Speed {
    uint64_t seal_ns, open_ns;  /* of a packet; 0: unknown yet */
    uint64_t unopened;          /* packets that were sent */
    uint64_t answer_ns;         /* from the last byte to GO */
    bool known;
    SevPace pace;
} Speed;

static Speed measure(void)
{
    uint64_t packets = stat64_get(&sev_page_stats.packets);
    unsigned channels = migrate_multifd() && sev_method() != SEV_METHOD_LANE
        ? migrate_multifd_channels() : 1;
    Speed s = { .pace = sev_pace_get() };

    if (packets < PACKETS_MIN) {
        return s;
    }
    s.seal_ns = stat64_get(&sev_page_stats.firmware_ns) / packets / channels;
    s.open_ns = MAX(s.seal_ns, s.pace.packet_ns);
    s.known = true;
    if (qatomic_read(&state.answered)) {
        s.unopened = packets - MIN(packets, s.pace.opened);
        /* Stream, ACK, GO: each goes one way. */
        s.answer_ns = s.pace.round_trip_ns / 2 * 3;
    }
    return s;
}

/*
 * The lane's digest: at either end the program goes over its table of page
 * versions, 4 bytes for each page of the guest.  A page of the table costs it
 * less than a page of the guest's.
 */
static uint64_t digest_ns(const Speed *s)
{
    uint64_t table = ram_bytes_total() / SEV_RECORD_PACKET_DATA * 4;

    return DIV_ROUND_UP(table, SEV_RECORD_PACKET_DATA) *
           (s->seal_ns + s->open_ns);
}

/*
 * The target opens one packet while the source makes the next, but has the last
 * batch for itself.
 */
static uint64_t work_ns(const Speed *s, uint64_t unopened, uint64_t pages)
{
    bool lane = sev_method() == SEV_METHOD_LANE;
    size_t batch = lane ? SEV_LANE_BATCH : sev_seal_turn();
    uint64_t made = pages * s->seal_ns + MIN(pages, batch) * s->open_ns;

    return MAX(made, (unopened + pages) * s->open_ns) +
           (lane ? digest_ns(s) : 0);
}

/*
 * What the limit leaves for that.  Nothing shortens the line: who waited until
 * three trips of 100 ms fit into 300 would wait for ever.  So they take half of
 * the limit at most.
 */
static uint64_t allowed_ns(const Speed *s)
{
    uint64_t limit = migrate_downtime_limit() * SCALE_MS;

    return limit - MIN(s->answer_ns, limit / 2);
}

uint64_t sev_downtime_ms(void)
{
    uint64_t pages = ram_bytes_remaining() / SEV_RECORD_PACKET_DATA;
    Speed s = measure();

    return !s.known ? 0 :
           (work_ns(&s, s.unopened, pages) + s.answer_ns) / SCALE_MS;
}

/* --- Holding back ------------------------------------------------------------- */

static void ping(MigrationState *ms, uint32_t value)
{
    if (value) {
        qemu_savevm_send_ping(ms->to_dst_file, value);
    }
}

/* Upstream stops the guest when less is pending than the threshold. */
static void say_more(MigrationState *ms, uint64_t *pending)
{
    *pending = MAX(*pending, MAX(ms->threshold_size, 1));
}

/*
 * Is what the target has still to open so little that the guest can be stopped,
 * if as many pages are dirty as last time?
 */
static bool target_is_near(const Speed *s)
{
    uint64_t allowed = allowed_ns(s);
    uint64_t expected = work_ns(s, 0, state.found);
    uint64_t room = expected < allowed ? allowed - expected : allowed / 2;

    return s->pace.has_round_trip && s->unopened * s->open_ns <= room;
}

/* Nothing is on its way: a good time to ask how long an answer takes. */
static void ask(MigrationState *ms)
{
    int64_t now = get_clock();

    if (!state.asked_at || now - state.asked_at > ASK_NS) {
        uint32_t value = sev_pace_ask(now);

        ping(ms, value);
        state.asked_at = value ? now : state.asked_at;
    }
}

void sev_downtime_estimate(uint64_t *pending)
{
    MigrationState *ms = migrate_get_current();
    Speed s;

    if (!state.answered) {
        return;
    }
    ping(ms, sev_pace_mark(stat64_get(&sev_page_stats.packets), get_clock()));
    s = measure();
    if (!s.known) {
        return;
    }
    if (state.held && s.open_ns > SLOW_NS &&
        !migrate_avail_switchover_bandwidth()) {
        ms->threshold_size = MAX(ms->threshold_size,
                                 migrate_downtime_limit() * SCALE_MS /
                                 s.open_ns * SEV_RECORD_PAGE_LEN);
    }
    if (*pending && *pending >= ms->threshold_size) {
        state.held = false;
        return;
    }
    ask(ms);
    if (!target_is_near(&s)) {
        int64_t start = get_clock();

        state.held = true;
        sev_pace_wait(&s.pace, LOOK_MS);
        stat64_add(&sev_page_stats.target_wait_ns, get_clock() - start);
        s = measure();
    }
    if (!target_is_near(&s)) {
        say_more(ms, pending);
    }
    trace_sev_downtime_estimate(s.unopened, s.seal_ns, s.open_ns, s.answer_ns,
                                *pending, ms->threshold_size);
}

static void warn_of_pages(const Speed *s, uint64_t pages, uint64_t ms)
{
    warn_report("SEV: after each round the guest has dirtied pages for which "
                "it would have to stand still for %" PRIu64 " ms (%" PRIu64
                " packets of %" PRIu64 " us, %" PRIu64 " not opened, and %"
                PRIu64 " ms for answers), and downtime-limit is %" PRIu64
                " ms: the migration will not end. Raise downtime-limit above "
                "that, use capability 'auto-converge', or let the guest write "
                "less", ms, pages, s->open_ns / SCALE_US, s->unopened,
                s->answer_ns / SCALE_MS, migrate_downtime_limit());
}

static void warn_of_line(const Speed *s, uint64_t ms)
{
    warn_report("SEV: the guest will stand still for about %" PRIu64 " ms, "
                "and downtime-limit is %" PRIu64 " ms: three trips over this "
                "line take %" PRIu64 " ms, which no waiting shortens", ms,
                migrate_downtime_limit(), s->answer_ns / SCALE_MS);
}

void sev_downtime_exact(uint64_t *pending)
{
    uint64_t pages = *pending / SEV_RECORD_PACKET_DATA;
    Speed s = measure();
    uint64_t work = s.known ? work_ns(&s, s.unopened, pages) : 0;
    uint64_t ms = s.known ? (work + s.answer_ns) / SCALE_MS : 0;
    bool fits = !s.known || work <= allowed_ns(&s);

    trace_sev_downtime_exact(ms, migrate_downtime_limit(), pages, s.unopened);
    state.found = pages;
    state.out_of_reach = fits ? 0 : state.out_of_reach + 1;
    if (fits && ms > migrate_downtime_limit() && !state.line_named) {
        state.line_named = true;
        warn_of_line(&s, ms);
    }
    if (fits) {
        return;
    }
    if (state.answered) {
        say_more(migrate_get_current(), pending);
    }
    if (state.out_of_reach >= LOOKS && !state.warned) {
        state.warned = true;
        warn_of_pages(&s, pages, ms);
    }
}
