/*
 * Capability 'multifd' at one end only, or with other numbers of channels.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "channels.h"
#include "fail.h"
#include "return-path.h"
#include "trace.h"

/* How long a source may send on its main channel before the others are open */
#define GRACE_S 5
/*
 * Packets of each channel that a source can make and nobody read: 10 MiB of
 * socket buffers, Linux' limits
 */
#define UNREAD_PACKETS 2560

/* --- Target ------------------------------------------------------------------ */

static struct {
    QEMUTimer *timer;           /* NULL when nobody waits */
    int seconds;                /* that the main channel had bytes */
} late;

static void wait_over(void)
{
    g_clear_pointer(&late.timer, timer_free);
}

/* Once a second, until the load begins, or nothing can begin any more. */
static void wait_look(void *opaque)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (multifd_recv_all_channels_created() ||
        (!mis->from_src_file && late.seconds) ||
        (mis->state != MIGRATION_STATUS_NONE &&
         mis->state != MIGRATION_STATUS_SETUP)) {       /* it began meanwhile */
        wait_over();
        return;
    }
    if (mis->from_src_file && sev_return_path_has_bytes(mis->from_src_file)) {
        late.seconds++;
    }
    if (late.seconds <= GRACE_S) {
        timer_mod(late.timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + 1000);
        return;
    }
    wait_over();
    trace_sev_channels_missing(migrate_multifd_channels());
    /* None that comes now may begin the load a second time. */
    migration_incoming_transport_cleanup(mis);
    migration_incoming_process();
}

void sev_channels_expect(void)
{
    if (!late.timer) {
        late.seconds = 0;
        late.timer = timer_new_ms(QEMU_CLOCK_REALTIME, wait_look, NULL);
        timer_mod(late.timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + 1000);
    }
}

bool sev_channels_complete(Error **errp)
{
    if (!multifd_recv_all_channels_created()) {
        error_setg(errp, "SEV: capability 'multifd' is on at the target, with "
                   "%d channels, and the source did not open them: set it at "
                   "both ends, with the same 'multifd-channels'",
                   migrate_multifd_channels());
        return false;
    }
    return true;
}

void sev_channels_wonder(Error **errp)
{
    if (migrate_multifd()) {
        error_prepend(errp, "'multifd-channels' is %d here, and may be another "
                      "at the source: ",
                      migrate_multifd_channels());
    }
}

/* --- Source ------------------------------------------------------------------ */

bool sev_channels_explain(MigrationState *ms, uint64_t packets)
{
    QEMU_LOCK_GUARD(&ms->error_mutex);
    if (!migrate_multifd() || ms->state != MIGRATION_STATUS_FAILED ||
        packets > migrate_multifd_channels() * UNREAD_PACKETS ||
        !sev_return_path_broke(ms)) {
        return false;
    }
    error_prepend(&ms->error, "SEV: the line was lost before the target read "
                  "its channels, as when capability 'multifd' is off there, or "
                  "'multifd-channels' is not %d: ", migrate_multifd_channels());
    sev_migration_error_explained();
    return true;
}
