/*
 * Memory that RAM blocks have behind their used part goes back to the host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_RAM_SPARE_H
#define MIGRATION_SEV_RAM_SPARE_H

/*
 * Of all blocks that migrate, under TCG; main thread, before the guest runs.  Never
 * fails.
 */
void sev_ram_spare_release(void);

#endif /* MIGRATION_SEV_RAM_SPARE_H */
