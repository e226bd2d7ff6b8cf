/*
 * A guest that was sent does not start again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "gdbstub/commands.h"
#include "gdbstub/internals.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "system/runstate.h"
#include "target/i386/sev/lane/lend.h"
#include "sev.h"
#include "trace.h"

/*
 * The last pages and the devices are on their way: the target gets the guest
 * as it is now, or nobody does and the migration lets it go on.
 */
static bool is_being_handed_over(void)
{
    return runstate_check(RUN_STATE_FINISH_MIGRATE) &&
           migration_is_running() &&
           migrate_get_current()->state != MIGRATION_STATUS_CANCELLING;
}

static bool may_start(Error **errp)
{
    if (is_being_handed_over()) {
        error_setg(errp, "SEV: the guest is being handed over to the target: "
                   "wait for the end of its migration, or cancel that");
        return false;
    }
    return sev_migration_may_run(errp);
}

bool sev_migration_reset_is_ours(void)
{
    return sev_lend_shut_down();
}

/* A debugger waits for the answer to "c" or "s": it shows this one. */
static void tell_debugger(const char *why)
{
    g_autofree char *answer = g_strdup_printf("E.%s", why);

    if (gdbserver_state.init && gdbserver_state.allow_stop_reply) {
        gdb_put_packet(answer);
        gdbserver_state.allow_stop_reply = false;
    }
}

bool sev_migration_may_start(void)
{
    Error *err = NULL;

    if (may_start(&err)) {
        return true;
    }
    trace_sev_migration_refused("start", error_get_pretty(err));
    tell_debugger(error_get_pretty(err));
    error_report_err(err);
    return false;
}
