/*
 * Migration parameters of an SEV guest: whom it may be sealed to and come from,
 * what has to prove that it arrived, and when a clone opens its template.
 *
 * sev-pdh, sev-plat-cert and sev-amd-cert are the target's certificates, for
 * streams on which it cannot answer; sev-allowed-platforms lists the platforms
 * that may receive a guest, sev-allowed-sources those that may send one;
 * sev-refuse-replay lets each session be opened once.  Set by
 * migrate-set-parameters, which applies all of its parameters or none.
 *
 * BQL held, where nothing else is said.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_PARAMS_H
#define MIGRATION_SEV_PARAMS_H

#include "qapi/qapi-types-migration.h"
#include "target/i386/sev/transfer.h"

/* A list of platforms is at most so long; far above what fits on any stream. */
#define SEV_PARAMS_PLATFORMS_MAX 4096

/*
 * The target's certificates as the operator gave them, borrowed until the next
 * change of parameters.  False without an error: none were given.  False with
 * one: some are missing.
 */
bool sev_params_certs(const SevPlatformCerts **certs, Error **errp);

/* May the platform with this fingerprint receive a guest? */
bool sev_params_allowed(const char *fingerprint, Error **errp);

/* May a guest come from the platform with this fingerprint? */
bool sev_params_source_allowed(const char *fingerprint, Error **errp);

/* Is a session that this platform opened before refused? */
bool sev_params_refuse_replay(void);

/* What an acknowledgement has to prove; ATTESTED when not set.  Any thread. */
SevAcknowledgement sev_params_acknowledgement(void);

/* How private pages are sealed; packets when not set. */
SevSealMethod sev_params_method(void);

/* When a clone opens the packets of its template; first-touch when not set. */
SevTemplateOpen sev_params_template_open(void);

#endif /* MIGRATION_SEV_PARAMS_H */
