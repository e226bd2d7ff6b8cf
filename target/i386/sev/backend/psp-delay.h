/*
 * The pace of silicon: a software secure processor that takes its time.
 *
 * Property "x-psp-delay-us" of the sev-guest object: each packet command
 * (LAUNCH_SECRET, SEND_UPDATE_DATA, RECEIVE_UPDATE_DATA) keeps the one mailbox
 * of this process for so long; 0, the default, is full speed.  Published rates
 * of real ones are 1.4 to 8 MB/s, 3000 to 500 us per page.  For benchmarks:
 * not a stable interface.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_BACKEND_PSP_DELAY_H
#define TARGET_I386_SEV_BACKEND_PSP_DELAY_H

#include "qom/object.h"

/*
 * Reserve the mailbox for @n commands, before they run; wait until they would
 * be through, after they have.  Any thread.
 */
int64_t sev_slow_psp_reserve(size_t n);
void sev_slow_psp_wait(int64_t until);

/* Add the property to @obj.  BQL held. */
void sev_slow_psp_add_property(Object *obj);

#endif /* TARGET_I386_SEV_BACKEND_PSP_DELAY_H */
