/*
 * A sum of all pages that upstream's "ram" section carried, while they move.
 *
 * Shared pages change while they are sent, so the bytes on the line have no
 * digest that both ends see.  The last version of each page has one: what was
 * sent last is what the guest stops with.  Both ends keep it for each page and
 * follow the stream: a page that "ram" carries gets a new one, a page that is
 * sealed loses it.  So what is left to do when the guest stands still is as
 * much as the last rounds brought.
 *
 * Pages are summed in chunks of 2 MiB.  A chunk's digest is made anew when one
 * of its pages came; a chunk that "ram" carried nothing of has none.  To the
 * byte: docs/interop/sev-record.rst.
 *
 * One thread: the migration thread, or on a target the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_RAM_SUM_H
#define MIGRATION_SEV_RAM_SUM_H

#include "exec/ramblock.h"

#define SEV_RAM_SUM_LEN 32      /* SHA-256 */

typedef struct SevRamSum SevRamSum;

SevRamSum *sev_ram_sum_new(void);
void sev_ram_sum_free(SevRamSum *s);

/* The next block of the stream: they are numbered as they come. */
void sev_ram_sum_add_block(SevRamSum *s, RAMBlock *rb);

/* "ram" carries the page at @offset of block @number as it is now in RAM. */
void sev_ram_sum_page(SevRamSum *s, unsigned number, ram_addr_t offset);

/* It went, or came, as a sealed page. */
void sev_ram_sum_sealed(SevRamSum *s, unsigned number, ram_addr_t offset);

/*
 * On a target: everything that "ram" has loaded since the last call.  Upstream
 * marks those pages, and nobody else in a precopy over one channel asks.
 */
void sev_ram_sum_received(SevRamSum *s);

/* Make now what sev_ram_sum_end() would have to make later. */
void sev_ram_sum_settle(SevRamSum *s);

void sev_ram_sum_end(SevRamSum *s, uint8_t out[SEV_RAM_SUM_LEN]);

#endif /* MIGRATION_SEV_RAM_SUM_H */
