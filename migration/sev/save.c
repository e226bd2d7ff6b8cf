/*
 * The "sev" section on its way out.
 *
 *   save_prepare   main thread      may this guest migrate this way?
 *   save_setup     migration thread handshake, SEND_START, SESSION, BLOCKs
 *   iterate        migration thread PAGES, as many as the rate limit allows
 *   complete       migration thread PAGES, STATE, END; guest stopped
 *   notifier       main thread      SEND_FINISH or SEND_CANCEL: only here
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "downtime.h"
#include "channels.h"
#include "compat.h"
#include "handover.h"
#include "end.h"
#include "fail.h"
#include "lane.h"
#include "multifd.h"
#include "outgoing.h"
#include "pages.h"
#include "migration/sev/wire/write.h"
#include "return-path.h"
#include "saving.h"
#include "section.h"
#include "session.h"
#include "sev.h"
#include "vcpus.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/template/image.h"
#include "migration/sev/template/in-place.h"
#include "migration/sev/template/template.h"
#include "trace.h"
#include "migration/sev/wire/transcript.h"
#include "target/i386/sev/test/fault.h"

SevSaving sev_saving;

/* --- Section ---------------------------------------------------------------- */

int sev_save_prepare(void *opaque, Error **errp)
{
    if (sev_fault(SEV_FAULT_SAVE_PREPARE, errp)) {
        return -EIO;
    }
    if (!sev_outgoing_take(&sev_saving.outgoing, SEV_OUTGOING_PREPARE, errp) ||
        !sev_compat_check(errp) || !sev_method_choose(errp)) {
        return -EPERM;
    }
    /* Should this one be refused, nobody reads the last one's numbers. */
    memset(&sev_page_stats, 0, sizeof(sev_page_stats));
    if ((sev_template_making() && !sev_template_end_last(errp)) ||
        (sev_lane_save_is_live() && !sev_lane_end_last(errp))) {
        return -EINVAL;
    }
    sev_migration_fail_begin();
    sev_return_path_begin();
    /* Whether a target answers is not known before the channel is open. */
    sev_saving.outgoing.purpose = sev_place_wanted() ? SEV_PURPOSE_IN_PLACE :
                                  sev_template_wanted() ? SEV_PURPOSE_TEMPLATE :
                                  SEV_PURPOSE_SAVE;
    return 0;
}

/* For the error, should the line to a target be lost now. */
static void doing(const char *what)
{
    if (sev_saving.source->doing) {
        sev_saving.source->doing = what;
    }
}

static bool setup_channel(MigrationState *ms, QEMUFile *f, Error **errp)
{
    if (!migration_thread_is_self()) {
        error_setg(errp, "SEV: a snapshot inside a disk image cannot hold an "
                   "SEV guest: migrate to a file");
        return false;
    }
    if (migrate_rdma()) {
        error_setg(errp, "SEV: the guest cannot be migrated over RDMA: its "
                   "pages would bypass the firmware");
        return false;
    }
    if (sev_template_making() &&
        qio_channel_has_feature(qemu_file_get_ioc(f),
                                QIO_CHANNEL_FEATURE_SHUTDOWN)) {
        error_setg(errp, "SEV: a template goes to a file: or exec: channel, "
                   "not to a socket");
        return false;
    }
    return true;
}

int sev_save_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ERRP_GUARD();
    MigrationState *ms = migrate_get_current();
    g_auto(SevPlatformCerts) target = { 0 };
    SevRecord rec = { .type = SEV_RECORD_BREAK };

    trace_sev_migration_setup(ms->rp_state.rp_thread_created,
                              sev_saving.outgoing.purpose);
    if (!setup_channel(ms, f, errp) ||
        !sev_outgoing_take(&sev_saving.outgoing, SEV_OUTGOING_BEGIN, errp)) {
        goto fail;
    }
    if (sev_saving.outgoing.purpose == SEV_PURPOSE_SAVE &&
        ms->rp_state.rp_thread_created) {
        sev_saving.outgoing.purpose = SEV_PURPOSE_MOVE;
    }
    /* Question and answer are small: each would wait for the other's ACK. */
    qio_channel_set_delay(qemu_file_get_ioc(f), false);
    sev_saving.source = sev_source_new();
    sev_saving.source->method = sev_method();
    sev_saving.source->doing = ms->rp_state.rp_thread_created
        ? "its certificates were awaited" : NULL;
    sev_saving.source->in_place = sev_saving.outgoing.purpose == SEV_PURPOSE_IN_PLACE;
    if (!sev_session_find_target(ms, f, &target, errp) ||
        ((sev_saving.outgoing.purpose == SEV_PURPOSE_MOVE ||
          sev_lane_save_is_live()) && !sev_transcript_begin(errp)) ||
        !sev_session_seal(f, &target, errp) ||
        !sev_outgoing_take(&sev_saving.outgoing, SEV_OUTGOING_START, errp)) {
        goto fail;
    }
    sev_handover_begin(&target);
    doing("the session was opened");
    if (!sev_vcpus_save_list(f, errp) ||
        !sev_pages_save_blocks(sev_saving.source, f, errp) ||
        !sev_lane_save_begin(sev_saving.source, f, errp)) {
        goto fail;
    }
    if (sev_template_layout() == SEV_LAYOUT_MAPPED) {
        sev_image_save_begin(sev_saving.source, f);
    } else {
        sev_place_save_begin(sev_saving.source, f);
        sev_record_put(f, &rec);
    }
    if (sev_template_making()) {
        sev_tap_follow(f, false);
    }
    sev_multifd_set_source(sev_saving.source);
    /* Channels are waiting for this, and ram for the channels. */
    qemu_fflush(f);
    stat64_set(&sev_page_stats.start_ns, get_clock());
    /* A PING on this channel says nothing of packets on multifd's. */
    sev_downtime_begin(sev_saving.outgoing.purpose == SEV_PURPOSE_MOVE &&
                       (!migrate_multifd() ||
                        sev_saving.source->method == SEV_METHOD_LANE));
    return 0;

fail:
    trace_sev_migration_refused("setup", error_get_pretty(*errp));
    sev_migration_set_error(*errp);
    return -EPERM;
}

bool sev_save_is_active_iterate(void *opaque)
{
    return sev_saving.source && sev_pages_pending(sev_saving.source);
}

int sev_save_iterate(QEMUFile *f, void *opaque)
{
    SevRecord rec = { .type = SEV_RECORD_BREAK };
    Error *err = NULL;

    doing("pages were sent");
    if (!sev_pages_save(sev_saving.source, f, false, &err)) {
        return sev_migration_fail("save", err);
    }
    sev_record_put(f, &rec);
    sev_lane_save_round(sev_saving.source);
    return !sev_pages_pending(sev_saving.source);
}

int sev_save_complete(QEMUFile *f, void *opaque)
{
    Error *err = NULL;

    doing("the last pages were sent");
    if (sev_fault(SEV_FAULT_SAVE_COMPLETE, &err) || !sev_guest_may_move(&err) ||
        !sev_pages_save(sev_saving.source, f, true, &err) ||
        (sev_saving.outgoing.purpose == SEV_PURPOSE_IN_PLACE &&
         !sev_place_save(sev_saving.source, f, &sev_saving.outgoing, &err)) ||
        !sev_lane_save_end(sev_saving.source, &err) ||
        !sev_end_save(sev_saving.source, f, &err)) {
        return sev_migration_fail("save", err);
    }
    if (sev_saving.outgoing.purpose == SEV_PURPOSE_MOVE) {
        sev_return_path_step(SEV_RP_SENT);
    }
    sev_transcript_follow(f, false);
    doing("its acknowledgement was awaited");
    return 0;
}

/* Right after ram's, and so for all private pages that wait. */
void sev_save_pending(void *opaque, uint64_t *must_precopy,
                      uint64_t *can_postcopy)
{
    *must_precopy += sev_pages_pending(sev_saving.source);
    sev_downtime_estimate(must_precopy);
}

/* Right after ram's, which has read the dirty log. */
void sev_save_pending_exact(void *opaque, uint64_t *must_precopy,
                            uint64_t *can_postcopy)
{
    *must_precopy += sev_pages_pending(sev_saving.source);
    sev_downtime_exact(must_precopy);
}

/* Upstream is about to close the channels. */
void sev_save_cleanup(void *opaque)
{
    sev_return_path_look(migrate_get_current());
}

/* The migration thread is gone. */
static void sev_migration_end(SevOutgoingEvent event)
{
    Error *err = NULL;

    sev_multifd_set_source(NULL);
    sev_lane_end();
    g_clear_pointer(&sev_saving.source, sev_source_free);
    sev_transcript_drop();
    sev_tap_drop();
    sev_handover_end();
    if (!sev_outgoing_take(&sev_saving.outgoing, event, &err)) {
        error_report_err(err);
    }
}

/* Once for each migration: what we say of an error makes it one of ours. */
static void explain(void)
{
    MigrationState *ms = migrate_get_current();

    if (sev_migration_on &&
        !sev_channels_explain(ms, sev_saving.source ?
                              stat64_get(&sev_page_stats.packets) : 0)) {
        sev_return_path_explain(ms, sev_saving.source ? sev_saving.source->doing : NULL);
    }
}

/* "failed" is seen before the main thread cleans up: so is the reason, whole. */
void sev_save_explain(void)
{
    MigrationState *ms = migrate_get_current();

    if (ms->to_dst_file) {              /* else it did */
        sev_return_path_look(ms);
        explain();
    }
}

/* For every VM of this binary: the capability means nothing without SEV. */
int sev_save_notify(NotifierWithReturn *notifier, MigrationEvent *e,
                    Error **errp)
{
    switch (e->type) {
    case MIG_EVENT_PRECOPY_SETUP:
        if (!sev_migration_on && sev_template_wanted()) {
            error_setg(errp, "SEV: only an SEV guest can be made a template: "
                       "unset capability 'sev-template'");
            return -1;
        }
        break;
    case MIG_EVENT_PRECOPY_DONE:
        sev_migration_end(SEV_OUTGOING_COMPLETE);
        break;
    case MIG_EVENT_PRECOPY_FAILED:
        explain();
        sev_migration_end(SEV_OUTGOING_FAIL);
        break;
    default:
        break;
    }
    return 0;
}
