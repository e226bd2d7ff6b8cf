/*
 * What a target must have been started with to hold a guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_CONFIG_H
#define MIGRATION_SEV_CONFIG_H

#include "qapi/error.h"

/*
 * Register the section "sev-config", which comes before any RAM: where the
 * C-bit is and how many address bits it costs, two big-endian u32.  A stream
 * without it, from an older QEMU, is accepted.  BQL held.
 */
bool sev_config_init(Error **errp);

#endif /* MIGRATION_SEV_CONFIG_H */
