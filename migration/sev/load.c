/*
 * The "sev" section on its way in, and the answers of the target's hooks.
 *
 *   load_state     main thread      records, in the order of order.c
 *   sev_load_end   main thread      did they reach END?
 *   load_cleanup   main thread      if not: tell the source why
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "io/channel.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "system/runstate.h"
#include "channels.h"
#include "fail.h"
#include "handover.h"
#include "lane.h"
#include "multifd.h"
#include "ram-spare.h"
#include "return-path.h"
#include "section.h"
#include "sev.h"
#include "order.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/template/template.h"
#include "trace.h"
#include "migration/sev/wire/transcript.h"
#include "target/i386/sev/test/fault.h"

/* Belongs to the main thread; the hooks come without an argument to carry it. */
static SevTarget *target;

int sev_load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ERRP_GUARD();

    if (!runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "SEV: a snapshot inside a disk image cannot hold an "
                   "SEV guest");
        return -EPERM;
    }
    g_clear_pointer(&target, sev_target_free);
    if (sev_fault(SEV_FAULT_LOAD_SETUP, errp)) {
        /* Upstream prints this error and forgets it. */
        migrate_set_error(migrate_get_current(), *errp);
        return -EIO;
    }
    /* What the lane's digest is about, should this be a guest that was saved. */
    if (!sev_transcript_begin(errp)) {
        return -EIO;
    }
    qio_channel_set_delay(qemu_file_get_ioc(f), false);
    target = sev_target_new();
    return 0;
}

int sev_load_state(QEMUFile *f, void *opaque, int version_id)
{
    Error *err = NULL;

    if (sev_stream_load(target, f, &err)) {
        if (target->state == SEV_STREAM_PAGES) {
            sev_multifd_open(target);
        }
        return 0;
    }
    return sev_migration_fail("load", err);
}

void sev_load_other_machine(const char *theirs, uint32_t len,
                            const char *ours)
{
    g_autofree char *name = NULL;
    Error *err = NULL;

    if (!sev_migration_on) {
        return;
    }
    name = g_strndup(theirs, MIN(len, SEV_RECORD_TEXT_MAX));
    error_setg(&err, "SEV: the stream does not fit: field machine is %s, this "
               "guest has %s", name, ours);
    sev_migration_fail("machine", err);
}

/*
 * Devices come behind END, where the lane's digest covers them.  Before END are
 * the sections that have more than one part, and two that check themselves.
 */
void sev_load_section(const char *idstr)
{
    static const char *const early[] = {
        "ram", "sev", "dirty-bitmap", "sev-config", "sev-template", NULL
    };

    if (target && !target->uncovered && !target->seen[SEV_RECORD_END] &&
        !g_strv_contains(early, idstr)) {
        target->uncovered = g_strdup(idstr);
    }
}

/* Did the records reach END? */
static bool load_ended(int ret, Error **errp)
{
    ERRP_GUARD();
    MigrationState *ms = migrate_get_current();
    g_autofree char *where = NULL;

    if (target->state == SEV_STREAM_ENDED) {
        /* A channel that failed may have lost pages that nobody counts. */
        if (migrate_multifd() && migrate_has_error(ms)) {
            QEMU_LOCK_GUARD(&ms->error_mutex);
            error_propagate(errp, error_copy(ms->error));
            return false;
        }
        return true;
    }
    where = sev_stream_where(target);
    if (ret < 0) {
        error_setg(errp, "SEV: the migration stream failed (%s) before the SEV "
                   "section reached its END record; it had: %s",
                   strerror(-ret), *where ? where : "nothing");
        if (!stat64_get(&target->packets)) {
            sev_channels_wonder(errp);
        }
    } else {
        error_setg(errp, "SEV: the migration stream ended before the SEV "
                   "section reached its END record; it had: %s",
                   *where ? where : "nothing, so the source is no SEV guest");
    }
    trace_sev_migration_refused("end", where);
    return false;
}

bool sev_load_end(int ret, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (sev_migration_on) {
        sev_multifd_close();            /* nobody waits for a session now */
    }
    if (!target) {
        return true;
    }
    if (!load_ended(ret, errp)) {
        goto fail;
    }
    if (ret < 0) {
        return true;                    /* upstream's to say */
    }
    if ((target->seen[SEV_RECORD_MANIFEST] && !sev_template_end_seen(errp)) ||
        !sev_lane_load_complete(target, errp) || sev_fault(SEV_FAULT_LOAD_END, errp)) {
        goto fail;
    }
    sev_ram_spare_release();
    if (target->asked) {
        sev_handover_take(target, mis->from_src_file);
    }
    return true;

fail:
    /* Upstream's last message to the source looks there for the verdict. */
    if (ret >= 0) {
        qemu_file_set_error(mis->from_src_file, -EINVAL);
    }
    return false;
}

/* Runs after every incoming migration; if it failed, the source hears why. */
int sev_load_cleanup(void *opaque)
{
    MigrationState *ms = migrate_get_current();
    g_autofree char *why = NULL;

    sev_lane_end();
    g_clear_pointer(&target, sev_target_free);
    sev_transcript_drop();
    sev_tap_drop();
    WITH_QEMU_LOCK_GUARD(&ms->error_mutex) {
        why = ms->error ? g_strdup(error_get_pretty(ms->error)) : NULL;
    }
    if (why && qemu_in_coroutine()) {
        sev_return_path_refuse(why);
    }
    return 0;
}

SevTarget **sev_load_target(void)
{
    return &target;
}
