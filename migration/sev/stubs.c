/*
 * Targets without SEV: the answers of sev.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sev.h"

bool sev_migration_on;

bool sev_migration_may_run(Error **errp)
{
    return true;
}

bool sev_migration_queue_page(RAMBlock *rb, ram_addr_t offset)
{
    return false;
}

bool sev_migration_queue_full(void)
{
    return false;
}

bool sev_migration_wants_return_path(MigrationState *s)
{
    return false;
}

bool sev_rp_message(MigrationState *s, QEMUFile *rp, uint16_t type,
                    uint16_t len, Error **errp)
{
    return false;
}

bool sev_load_end(int ret, Error **errp)
{
    return true;
}

void sev_migration_populate_info(MigrationInfo *info)
{
}
