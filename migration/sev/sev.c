/*
 * The "sev" section and what belongs to it are registered here.
 *
 * save.c sends it, load.c reads it.  Who holds which lock:
 * docs/devel/sev-migration.rst
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "migration/misc.h"
#include "migration/register.h"
#include "config.h"
#include "lane.h"
#include "target/i386/sev/test/device-fault.h"
#include "multifd.h"
#include "return-path.h"
#include "section.h"
#include "sev.h"
#include "migration/sev/template/template.h"

bool sev_migration_on;

static const SaveVMHandlers sev_handlers = {
    .save_prepare = sev_save_prepare,
    .save_setup = sev_save_setup,
    .is_active_iterate = sev_save_is_active_iterate,
    .save_live_iterate = sev_save_iterate,
    .save_live_complete_precopy = sev_save_complete,
    .state_pending_estimate = sev_save_pending,
    .state_pending_exact = sev_save_pending_exact,
    .save_cleanup = sev_save_cleanup,
    .load_setup = sev_load_setup,
    .load_state = sev_load_state,
    .load_cleanup = sev_load_cleanup,
};

bool sev_migration_init(Error **errp)
{
    if (sev_migration_on) {
        error_setg(errp, "SEV: the migration section is registered already");
        return false;
    }
    sev_return_path_init();
    if (register_savevm_live("sev", 0, 1, &sev_handlers, NULL) < 0) {
        error_setg(errp, "SEV: the migration section cannot be registered");
        return false;
    }
    if (!sev_template_begin_init(sev_load_target(), errp) ||
        !sev_template_end_init(errp) || !sev_lane_end_init(errp) ||
        !sev_config_init(errp) ||
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
    migration_add_notifier(&sev_migration_notifier, sev_save_notify);
}

migration_init(sev_migration_register);
