/*
 * The "sev" section: registration, begin and end, and the hooks' answers.
 *
 *   save_prepare   main thread      may this guest migrate this way?
 *   save_setup     migration thread handshake, SEND_START, SESSION, BLOCKs
 *   iterate        migration thread PAGES, as many as the rate limit allows
 *   complete       migration thread PAGES, STATE, END; guest stopped
 *   notifier       main thread      SEND_FINISH or SEND_CANCEL: only here
 *
 *   load_state     main thread      records, in the order of stream.c
 *   sev_load_end   main thread      did they reach END?
 *   load_cleanup   main thread      if not: tell the source why
 *
 * Who holds which lock: docs/devel/sev-migration.md
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "io/channel.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/register.h"
#include "system/runstate.h"
#include "advice.h"
#include "channels.h"
#include "compat.h"
#include "config.h"
#include "device-fault.h"
#include "map.h"
#include "multifd.h"
#include "pages.h"
#include "return-path.h"
#include "session.h"
#include "sev.h"
#include "stream.h"
#include "tap.h"
#include "template-image.h"
#include "template-place.h"
#include "template.h"
#include "trace.h"
#include "target/i386/sev/fault.h"

bool sev_migration_on;

/*
 * The hooks come without an argument that could carry these.
 *
 * @source is set by the migration thread in save_setup and cleared by the main
 * thread when that thread has been joined.  @target belongs to the main thread.
 */
static struct {
    SevSource *source;
    bool is_template;           /* fixed in save_prepare */
    bool answers;               /* the target says when it has everything */
    bool started;               /* between SEND_START and FINISH or CANCEL;
                                   without a source: CANCEL failed */
    bool in_place;              /* ... too: a template in RAM's own file */
    bool overwritten;           /* by it: RAM is packets now */
    bool gone;                  /* SEND_FINISH was called */
    SevTarget *target;
} sev;

/* --- Source ----------------------------------------------------------------- */

static const char *gone_sentence(void)
{
    return sev.in_place
        ? "This SEV guest was sealed in the file of its memory, as a template: "
          "it cannot run again"
        : "This SEV guest was migrated away: it runs on the target now, and "
          "its key here is gone";
}

static int sev_save_prepare(void *opaque, Error **errp)
{
    if (sev_fault(SEV_FAULT_SAVE_PREPARE, errp)) {
        return -EIO;
    }
    if (sev.source) {
        error_setg(errp, "The last migration of this SEV guest is not cleaned "
                   "up yet; try again");
        return -EBUSY;
    }
    /* SEND_CANCEL failed then. */
    if (sev.started && !sev_send_cancel(errp)) {
        return -EIO;
    }
    sev.started = false;
    if (sev.gone) {
        error_setg(errp, "%s", gone_sentence());
        return -EPERM;
    }
    if (!sev_compat_check(errp)) {
        return -EPERM;
    }
    if (sev_template_making() && !sev_template_end_last(errp)) {
        return -EINVAL;
    }
    sev.in_place = sev_place_wanted();
    sev.is_template = !sev.in_place && sev_template_wanted();
    return 0;
}

/* For the error, should the line to a target be lost now. */
static void doing(const char *what)
{
    if (sev.source->doing) {
        sev.source->doing = what;
    }
}

static bool setup_channel(MigrationState *ms, QEMUFile *f, Error **errp)
{
    if (!migration_thread_is_self()) {
        error_setg(errp, "A snapshot inside a disk image cannot hold an SEV "
                   "guest: migrate to a file");
        return false;
    }
    if (migrate_rdma()) {
        error_setg(errp, "An SEV guest cannot be migrated over RDMA: its pages "
                   "would bypass the firmware");
        return false;
    }
    if ((sev.is_template || sev.in_place) &&
        qio_channel_has_feature(qemu_file_get_ioc(f),
                                QIO_CHANNEL_FEATURE_SHUTDOWN)) {
        error_setg(errp, "A template goes to a file: or exec: channel, not to "
                   "a socket");
        return false;
    }
    return true;
}

static int sev_save_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ERRP_GUARD();
    MigrationState *ms = migrate_get_current();
    g_auto(SevPlatformCerts) target = { 0 };
    SevRecord rec = { .type = SEV_RECORD_BREAK };

    trace_sev_migration_setup(ms->rp_state.rp_thread_created, sev.is_template);
    if (!setup_channel(ms, f, errp)) {
        goto fail;
    }
    /* Question and answer are small: each would wait for the other's ACK. */
    qio_channel_set_delay(qemu_file_get_ioc(f), false);
    sev.source = sev_source_new();
    sev.answers = ms->rp_state.rp_thread_created;
    sev.source->doing = sev.answers
        ? "its certificates were awaited" : NULL;
    sev.source->in_place = sev.in_place;
    if (!sev_session_find_target(ms, f, &target, errp) ||
        !sev_session_seal(f, &target, errp)) {
        goto fail;
    }
    sev.started = true;
    doing("the session was opened");
    if (!sev_pages_save_blocks(sev.source, f, errp)) {
        goto fail;
    }
    if (sev_template_layout() == SEV_LAYOUT_MAPPED) {
        sev_image_save_begin(sev.source, f);
    } else {
        sev_place_save_begin(sev.source, f);
        sev_stream_put(f, &rec);
    }
    sev_tap_follow(f, false);
    sev_multifd_set_source(sev.source);
    /* Channels are waiting for this, and ram for the channels. */
    qemu_fflush(f);
    stat64_set(&sev_page_stats.start_ns, get_clock());
    sev_advice_begin();
    return 0;

fail:
    trace_sev_migration_refused("setup", error_get_pretty(*errp));
    return -EPERM;
}

/* Upstream looks at the file; the sentence goes to query-migrate. */
static int save_failed(Error *err)
{
    trace_sev_migration_refused("save", error_get_pretty(err));
    migrate_set_error(migrate_get_current(), err);
    error_free(err);
    return -EIO;
}

static bool sev_save_is_active_iterate(void *opaque)
{
    return sev.source && sev_pages_pending(sev.source);
}

static int sev_save_iterate(QEMUFile *f, void *opaque)
{
    SevRecord rec = { .type = SEV_RECORD_BREAK };
    Error *err = NULL;

    doing("pages were sent");
    if (!sev_pages_save(sev.source, f, false, &err)) {
        return save_failed(err);
    }
    sev_stream_put(f, &rec);
    return !sev_pages_pending(sev.source);
}

static int sev_save_complete(QEMUFile *f, void *opaque)
{
    Error *err = NULL;

    doing("the last pages were sent");
    if (sev_fault(SEV_FAULT_SAVE_COMPLETE, &err) ||
        !sev_pages_save(sev.source, f, true, &err) ||
        (sev.in_place &&
         !sev_place_save(sev.source, f, &sev.overwritten, &err)) ||
        !sev_map_save_end(sev.source, f, &err)) {
        return save_failed(err);
    }
    doing("its acknowledgement was awaited");
    return 0;
}

static void sev_save_pending(void *opaque, uint64_t *must_precopy,
                             uint64_t *can_postcopy)
{
    *must_precopy += sev_pages_pending(sev.source);
}

/* Right after ram's, which has read the dirty log. */
static void sev_save_pending_exact(void *opaque, uint64_t *must_precopy,
                                   uint64_t *can_postcopy)
{
    sev_advice_look();
    sev_save_pending(opaque, must_precopy, can_postcopy);
}

/*
 * The migration thread is gone.  With a return path the target has said that
 * it loaded everything; without one nobody has: then the guest may run on, as
 * upstream's may after a migration to a file.
 */
static void sev_migration_end(bool success)
{
    Error *err = NULL;

    sev_multifd_set_source(NULL);
    g_clear_pointer(&sev.source, sev_source_free);
    sev_tap_drop();
    if (!sev.started) {
        return;
    }
    if ((success && sev.answers && !sev.is_template) || sev.overwritten) {
        trace_sev_migration_end("finish");
        sev.gone = true;
        sev.started = false;
        sev_send_finish(&err);
    } else {
        trace_sev_migration_end("cancel");
        /* The guest runs on all the same; the next migration tries again. */
        sev.started = !sev_send_cancel(&err);
    }
    if (err) {
        error_report_err(err);
    }
}

/* For every VM of this binary: the capability means nothing without SEV. */
static int sev_migration_notify(NotifierWithReturn *notifier,
                                MigrationEvent *e, Error **errp)
{
    switch (e->type) {
    case MIG_EVENT_PRECOPY_SETUP:
        if (!sev_migration_on && sev_template_wanted()) {
            error_setg(errp, "Only an SEV guest can be made a template: unset "
                       "capability 'sev-template'");
            return -1;
        }
        break;
    case MIG_EVENT_PRECOPY_DONE:
        sev_migration_end(true);
        break;
    case MIG_EVENT_PRECOPY_FAILED:
        if (sev_migration_on) {
            sev_channels_explain(migrate_get_current(), sev.source ?
                                 stat64_get(&sev_page_stats.packets) : 0);
        }
        sev_return_path_explain(migrate_get_current(),
                                sev.source ? sev.source->doing : NULL);
        sev_migration_end(false);
        break;
    default:
        break;
    }
    return 0;
}

bool sev_migration_may_run(Error **errp)
{
    /* Its pages are sealed once each. */
    if (sev.is_template && migration_is_running()) {
        error_setg(errp, "A template is being made of this SEV guest: wait "
                   "until it is done, or cancel it");
        return false;
    }
    /* The notifier is a bottom half after the state: do not wait for it. */
    if (sev.gone ||
        (sev.started && sev.answers && !sev.is_template &&
         migrate_get_current()->state == MIGRATION_STATUS_COMPLETED) ||
        sev.overwritten) {
        error_setg(errp, "%s", gone_sentence());
        return false;
    }
    return true;
}

bool sev_migration_queue_page(RAMBlock *rb, ram_addr_t offset)
{
    if (!sev.source) {
        return false;
    }
    if (!sev_page_is_private(rb, offset)) {
        return sev.source->image &&
               sev_image_save_shared(sev.source, rb, offset);
    }
    if (migrate_multifd()) {
        /* If this fails so does ram.c's own next attempt. */
        return multifd_queue_page(rb, offset);
    }
    sev_pages_queue(sev.source, rb, offset);
    return true;
}

bool sev_migration_queue_full(void)
{
    return sev.source && sev_pages_full(sev.source);
}

bool sev_migration_wants_return_path(MigrationState *s)
{
    return sev_migration_on && !sev_template_making() &&
           qio_channel_has_feature(qemu_file_get_ioc(s->to_dst_file),
                                   QIO_CHANNEL_FEATURE_SHUTDOWN);
}

bool sev_rp_message(MigrationState *s, QEMUFile *rp, uint16_t type,
                    uint16_t len, Error **errp)
{
    return sev_migration_on && sev_return_path_message(s, rp, type, len, errp);
}

void sev_migration_populate_info(MigrationInfo *info)
{
    uint64_t packets = stat64_get(&sev_page_stats.packets);
    int64_t start = stat64_get(&sev_page_stats.start_ns);
    int64_t ns = stat64_get(&sev_page_stats.last_ns) - start;

    if (!sev_migration_on || !start) {
        return;
    }
    info->sev = g_new(MigrationSevStats, 1);
    *info->sev = (MigrationSevStats) {
        .packets = packets,
        .packet_bytes = stat64_get(&sev_page_stats.bytes),
        .skipped = stat64_get(&sev_page_stats.skipped),
        .private_pages = stat64_get(&sev_page_stats.private_pages),
        .firmware_time = stat64_get(&sev_page_stats.firmware_ns) / SCALE_US,
        .firmware_downtime = sev_advice_firmware_ms(),
        .packets_per_second = ns > 0
            ? packets * (double)NANOSECONDS_PER_SECOND / ns : 0,
    };
}

/* --- Target ----------------------------------------------------------------- */

static int sev_load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ERRP_GUARD();

    if (!runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "A snapshot inside a disk image cannot hold an SEV "
                   "guest");
        return -EPERM;
    }
    g_clear_pointer(&sev.target, sev_target_free);
    if (sev_fault(SEV_FAULT_LOAD_SETUP, errp)) {
        /* Upstream prints this error and forgets it. */
        migrate_set_error(migrate_get_current(), *errp);
        return -EIO;
    }
    qio_channel_set_delay(qemu_file_get_ioc(f), false);
    sev.target = sev_target_new();
    return 0;
}

static int sev_load_state(QEMUFile *f, void *opaque, int version_id)
{
    Error *err = NULL;

    if (sev_stream_load(sev.target, f, &err)) {
        if (sev.target->state == SEV_STREAM_PAGES) {
            sev_multifd_open(sev.target);
        }
        return 0;
    }
    trace_sev_migration_refused("load", error_get_pretty(err));
    migrate_set_error(migrate_get_current(), err);
    error_free(err);
    return -EINVAL;
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
    error_setg(&err, "The stream does not fit: field machine is %s, this guest "
               "has %s", name, ours);
    migrate_set_error(migrate_get_current(), err);
    error_free(err);
}

/* Did the records reach END? */
static bool load_ended(int ret, Error **errp)
{
    ERRP_GUARD();
    MigrationState *ms = migrate_get_current();
    g_autofree char *where = NULL;

    sev_multifd_close();
    if (sev.target->state == SEV_STREAM_ENDED) {
        /* A channel that failed may have lost pages that nobody counts. */
        if (migrate_multifd() && migrate_has_error(ms)) {
            QEMU_LOCK_GUARD(&ms->error_mutex);
            error_propagate(errp, error_copy(ms->error));
            return false;
        }
        return true;
    }
    where = sev_stream_where(sev.target);
    if (ret < 0) {
        error_setg(errp, "The migration stream failed (%s) before the SEV "
                   "section reached its END record; it had: %s",
                   strerror(-ret), *where ? where : "nothing");
        if (!*where) {
            sev_channels_wonder(errp);
        }
    } else {
        error_setg(errp, "The migration stream ended before the SEV section "
                   "reached its END record; it had: %s",
                   *where ? where : "nothing, so the source is no SEV guest");
    }
    trace_sev_migration_refused("end", where);
    return false;
}

bool sev_load_end(int ret, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (!sev.target ||
        (load_ended(ret, errp) &&
         (ret < 0 || (sev_template_end_seen(errp) &&
                      !sev_fault(SEV_FAULT_LOAD_END, errp) &&
                      sev_return_path_source_waits(errp))))) {
        return true;
    }
    /* Upstream's last message to the source looks there for the verdict. */
    if (ret >= 0) {
        qemu_file_set_error(mis->from_src_file, -EINVAL);
    }
    return false;
}

/* Runs after every incoming migration; if it failed, the source hears why. */
static int sev_load_cleanup(void *opaque)
{
    MigrationState *ms = migrate_get_current();
    g_autofree char *why = NULL;

    g_clear_pointer(&sev.target, sev_target_free);
    sev_tap_drop();
    WITH_QEMU_LOCK_GUARD(&ms->error_mutex) {
        why = ms->error ? g_strdup(error_get_pretty(ms->error)) : NULL;
    }
    if (why && qemu_in_coroutine()) {
        sev_return_path_refuse(why);
    }
    return 0;
}

/* --- Registration ----------------------------------------------------------- */

static const SaveVMHandlers sev_handlers = {
    .save_prepare = sev_save_prepare,
    .save_setup = sev_save_setup,
    .is_active_iterate = sev_save_is_active_iterate,
    .save_live_iterate = sev_save_iterate,
    .save_live_complete_precopy = sev_save_complete,
    .state_pending_estimate = sev_save_pending,
    .state_pending_exact = sev_save_pending_exact,
    .load_setup = sev_load_setup,
    .load_state = sev_load_state,
    .load_cleanup = sev_load_cleanup,
};

bool sev_migration_init(Error **errp)
{
    if (sev_migration_on) {
        error_setg(errp, "The SEV migration section is registered already");
        return false;
    }
    sev_return_path_init();
    if (register_savevm_live("sev", 0, 1, &sev_handlers, NULL) < 0) {
        error_setg(errp, "The SEV migration section cannot be registered");
        return false;
    }
    if (!sev_template_init(&sev.target, errp) || !sev_config_init(errp) ||
        !sev_device_fault_init(errp)) {
        return false;
    }
    sev_migration_on = true;
    sev_multifd_init();
    return true;
}

static NotifierWithReturn sev_migration_notifier;

static void sev_migration_register(void)
{
    migration_add_notifier(&sev_migration_notifier, sev_migration_notify);
}

migration_init(sev_migration_register);
