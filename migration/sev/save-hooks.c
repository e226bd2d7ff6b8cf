/*
 * The answers of the source's hooks: what upstream asks while a guest is sent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "io/channel.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "fail.h"
#include "handover.h"
#include "lane.h"
#include "pages.h"
#include "return-path.h"
#include "saving.h"
#include "sev.h"
#include "migration/sev/template/image.h"
#include "migration/sev/template/template.h"

bool sev_migration_may_run(Error **errp)
{
    return sev_outgoing_may_run(&sev_saving.outgoing, migration_is_running(), errp);
}

bool sev_migration_hand_over(MigrationState *s)
{
    Error *err = NULL;

    if (sev_saving.outgoing.state != SEV_OUTGOING_OPEN ||
        sev_saving.outgoing.purpose != SEV_PURPOSE_MOVE) {
        return true;
    }
    if (!sev_handover_give(s, &sev_saving.outgoing, &err)) {
        sev_migration_fail("save", err);
        return false;
    }
    return true;
}

bool sev_migration_is_given(MigrationState *s)
{
    if (sev_saving.outgoing.state != SEV_OUTGOING_GIVEN) {
        return false;
    }
    QEMU_LOCK_GUARD(&s->error_mutex);
    if (s->error) {
        warn_report("The SEV guest was handed over before this happened: %s",
                    error_get_pretty(s->error));
        g_clear_pointer(&s->error, error_free);
    }
    return true;
}

bool sev_migration_may_cancel(Error **errp)
{
    if (sev_saving.outgoing.state == SEV_OUTGOING_GIVEN) {
        error_setg(errp, "SEV: it is too late to cancel: the target has all of "
                   "the guest and was told to run it");
        return false;
    }
    return true;
}

bool sev_migration_queue_page(RAMBlock *rb, ram_addr_t offset)
{
    if (!sev_saving.source) {
        return false;
    }
    if (!sev_page_is_private(rb, offset) ||
        (!sev_saving.source->image && sev_page_never_written(rb, offset))) {
        sev_lane_save_shared(sev_saving.source, rb, offset);
        return sev_saving.source->image &&
               sev_image_save_shared(sev_saving.source, rb, offset);
    }
    if (migrate_multifd() && sev_saving.source->method != SEV_METHOD_LANE) {
        /* If this fails so does ram.c's own next attempt. */
        return multifd_queue_page(rb, offset);
    }
    sev_pages_queue(sev_saving.source, rb, offset);
    return true;
}

bool sev_migration_queue_full(void)
{
    return sev_saving.source && sev_pages_full(sev_saving.source);
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
