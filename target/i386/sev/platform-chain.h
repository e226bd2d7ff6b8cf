/*
 * This platform's whole chain, and what others lack of theirs: inside.
 *
 * transfer.h has the contract.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_PLATFORM_CHAIN_H
#define TARGET_I386_SEV_PLATFORM_CHAIN_H

#include "hw/psp/psp-chain.h"
#include "qom/object.h"
#include "transfer.h"

/* The same pieces as the chip's library names them; borrowed from @certs */
PspChain sev_certs_chain(const SevPlatformCerts *certs);

/* Property "platform-chain" of class @oc (sev-guest). */
void sev_chain_class_init(ObjectClass *oc);

#endif /* TARGET_I386_SEV_PLATFORM_CHAIN_H */
