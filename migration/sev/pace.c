/*
 * How many packets the target has opened, and how long it takes for one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "pace.h"

#define NUMBER(n) (SEV_PACE_PING | ((n) & 0xffffff))

/* Fewer packets tell no pace; newer ones count more than those before. */
#define PACKETS_MIN 16
#define PACKETS_MAX 512

/* A PING that was written. */
typedef struct Mark {
    uint64_t packets;           /* that are before it */
    int64_t when;
    bool bare;                  /* nothing was before it that was not opened */
} Mark;

static struct {
    QemuMutex lock;             /* protects the rest */
    QemuCond news;
    Mark ring[SEV_PACE_MARKS];
    uint32_t sent, heard;       /* heard <= sent <= heard + SEV_PACE_MARKS */
    uint64_t marked, opened;    /* packets before the last of either */
    int64_t heard_at;
    uint64_t busy_ns, busy_packets;
    uint64_t round_trip_ns;     /* UINT64_MAX: unknown */
} pace;

static void __attribute__((constructor)) pace_init(void)
{
    qemu_mutex_init(&pace.lock);
    qemu_cond_init(&pace.news);
    pace.round_trip_ns = UINT64_MAX;
}

void sev_pace_begin(void)
{
    QEMU_LOCK_GUARD(&pace.lock);
    pace.sent = pace.heard = 0;
    pace.marked = pace.opened = 0;
    pace.heard_at = 0;
    pace.busy_ns = pace.busy_packets = 0;
    pace.round_trip_ns = UINT64_MAX;
}

/* --- The migration thread asks ---------------------------------------------- */

static uint32_t put_mark(uint64_t packets, int64_t now)
{
    pace.ring[pace.sent % SEV_PACE_MARKS] = (Mark) {
        .packets = packets,
        .when = now,
        .bare = pace.sent == pace.heard && packets == pace.opened,
    };
    pace.marked = packets;
    pace.sent++;
    return NUMBER(pace.sent);
}

uint32_t sev_pace_mark(uint64_t packets, int64_t now)
{
    QEMU_LOCK_GUARD(&pace.lock);
    if (packets == pace.marked || pace.sent - pace.heard == SEV_PACE_MARKS) {
        return 0;
    }
    return put_mark(packets, now);
}

uint32_t sev_pace_ask(int64_t now)
{
    QEMU_LOCK_GUARD(&pace.lock);
    return pace.sent == pace.heard ? put_mark(pace.marked, now) : 0;
}

/* --- The return path thread hears -------------------------------------------- */

/*
 * The target had these packets to open all the time since its last answer if
 * they were under way by then.  Else it may have waited for them.
 */
static void measure(const Mark *mark, int64_t now)
{
    uint64_t packets = mark->packets - pace.opened;

    if (mark->bare) {
        pace.round_trip_ns = MIN(pace.round_trip_ns,
                                 (uint64_t)(now - mark->when));
    } else if (packets && pace.heard && mark->when <= pace.heard_at) {
        if (pace.busy_packets > PACKETS_MAX) {
            pace.busy_packets /= 2;
            pace.busy_ns /= 2;
        }
        pace.busy_packets += packets;
        pace.busy_ns += now - pace.heard_at;
    }
}

bool sev_pace_heard(uint32_t value, int64_t now, Error **errp)
{
    const Mark *mark;

    QEMU_LOCK_GUARD(&pace.lock);
    if (pace.heard == pace.sent) {
        error_setg(errp, "SEV return path: PONG 0x%08x answers nothing, all %u "
                   "PINGs are answered", value, pace.sent);
        return false;
    }
    if (value != NUMBER(pace.heard + 1)) {
        error_setg(errp, "SEV return path: PONG 0x%08x is out of turn, 0x%08x "
                   "comes next", value, NUMBER(pace.heard + 1));
        return false;
    }
    mark = &pace.ring[pace.heard % SEV_PACE_MARKS];
    measure(mark, now);
    pace.opened = mark->packets;
    pace.heard_at = now;
    pace.heard++;
    qemu_cond_signal(&pace.news);
    return true;
}

/* --- What is known ------------------------------------------------------------- */

SevPace sev_pace_get(void)
{
    QEMU_LOCK_GUARD(&pace.lock);
    return (SevPace) {
        .answers = pace.heard,
        .under_way = pace.sent - pace.heard,
        .opened = pace.opened,
        .packet_ns = pace.busy_packets >= PACKETS_MIN
            ? pace.busy_ns / pace.busy_packets : 0,
        .has_round_trip = pace.round_trip_ns != UINT64_MAX,
        .round_trip_ns = pace.round_trip_ns != UINT64_MAX
            ? pace.round_trip_ns : 0,
    };
}

void sev_pace_wait(const SevPace *known, int ms)
{
    QEMU_LOCK_GUARD(&pace.lock);
    if (pace.heard == known->answers && pace.sent != pace.heard) {
        qemu_cond_timedwait(&pace.news, &pace.lock, ms);
    }
}
