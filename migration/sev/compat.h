/*
 * What else is switched on, and whether an SEV guest can migrate with it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_COMPAT_H
#define MIGRATION_SEV_COMPAT_H

#include "qapi/error.h"

/* Before a migration starts: the answer to `migrate` itself.  BQL held. */
bool sev_compat_check(Error **errp);

#endif /* MIGRATION_SEV_COMPAT_H */
