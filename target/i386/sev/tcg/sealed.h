/*
 * Pages whose DRAM holds a transport packet, to be opened at first touch.
 *
 * A clone's RAM is a private mapping of its template's image, and a private
 * page starts SEALED: DRAM holds transport ciphertext, its 52-byte header lies
 * in a table.  The first private access opens the packet into the cache; DRAM
 * stays as it is, shared with all other clones, until the page is written
 * back.  Whoever needs DRAM as silicon would have it, under the guest's key,
 * settles the page first: a shared access, the secure processor.
 *
 * Nothing of a packet that fails its MAC is ever seen by anybody: on a vCPU
 * thread the VM stops with an error that names the page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_SEALED_H
#define TARGET_I386_SEV_TCG_SEALED_H

#include "target/i386/sev/page-state.h"

/*
 * Open the packet of a SEALED page that is not cached into @plain, which
 * nobody can see yet.  False, @plain untouched: the VM stops.  Cache lock
 * held.
 */
bool sev_sealed_open(SevPageMap *map, size_t page, uint8_t *plain);

/*
 * DRAM of the page holds what silicon's would; nothing to do when it is not
 * SEALED.  False: the VM stops.  Cache lock held.
 */
bool sev_sealed_settle(SevPageMap *map, size_t page);

/* The cache wrote over the packet.  Cache lock held. */
void sev_sealed_replaced(SevPageMap *map, size_t page);

/* The guest is gone, and no page is SEALED: nor are there keys.  Cache lock. */
void sev_sealed_forget(void);

/* sev_sealed_settle() for the pages of a range of the block; no lock. */
bool sev_sealed_settle_range(SevPageMap *map, ram_addr_t offset, size_t length);

#endif /* TARGET_I386_SEV_TCG_SEALED_H */
