/*
 * What a device writes to a page that the guest last used as private.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_HOST_WRITE_H
#define TARGET_I386_SEV_TCG_HOST_WRITE_H

/*
 * From now on pages that devices write to count as shared.  When the guest first
 * runs: what the host writes before that the launch encrypts.  BQL held.
 */
void sev_host_write_watch(void);

/*
 * Whether what this thread writes is a vCPU's saved state: that goes past the
 * guest's key, too, but into a page whose other bytes stay private.
 */
void sev_host_write_ignore(bool ignore);

#endif /* TARGET_I386_SEV_TCG_HOST_WRITE_H */
