/*
 * The sev-guest object, for the rest of the overlay.
 *
 * Implemented in sev-guest*.c.inc, which are part of upstream's sev.c because
 * SevGuestState is private to it, and in may-migrate.c and launch-secret.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_SEV_GUEST_H
#define TARGET_I386_SEV_SEV_GUEST_H

#include "qapi/qapi-types-misc-target.h"
#include "transfer.h"

/* The state of this VM's guest; UNINIT when it is no SEV guest. */
SevState sev_guest_state(void);
void sev_guest_set_state(SevState state);

/* A received guest is what its sender said it is. */
void sev_guest_adopt(const SevGuestIdentity *id);

/*
 * Whose session brought this guest, and with it the word for its measurement:
 * a fingerprint, or NULL when it was launched and measured here.
 */
char *sev_guest_claimed_by(void);

/* TCG's part of class hook tcg_init: see confidential-guest-support.h. */
#ifdef CONFIG_TCG
int sev_common_tcg_init(ConfidentialGuestSupport *cgs, Error **errp);
#else
#define sev_common_tcg_init NULL
#endif

/*
 * The end of set-up under KVM: follow what a plain SEV guest declares, if the
 * kernel hands it over, and let it migrate.  0, or -1 and @errp.
 */
typedef struct SevCommonState SevCommonState;
int sev_guest_kvm_init(SevCommonState *sev_common, Error **errp);

/* Is this a guest that RECEIVE_START makes, and not LAUNCH_START? */
bool sev_guest_incoming(void);

/* The vCPUs' state is encrypted: KVM, if it runs them, must know. */
void sev_guest_state_protected(void);

/* Is this a launch that LAUNCH_FINISH has yet to end? */
bool sev_guest_unlaunched(void);

/* LAUNCH_FINISH has succeeded: this guest can be migrated, or says why not */
void sev_guest_launched(Error **blocker, Error **errp);

/*
 * Has the area of @size bytes that the firmware names for a launch secret room
 * for @secret (base64)?
 */
bool sev_secret_area_fits(uint32_t size, const char *secret, Error **errp);

/* query-sev-capabilities without SEV hardware; NULL: ask the hardware. */
bool sev_capabilities_software(void);
SevCapability *sev_software_capabilities(Error **errp);

#endif /* TARGET_I386_SEV_SEV_GUEST_H */
