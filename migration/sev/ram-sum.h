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
 * One thread: the migration thread, or on a target the main thread, but where it is said
 * otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_RAM_SUM_H
#define MIGRATION_SEV_RAM_SUM_H

#include "exec/ramblock.h"

#define SEV_RAM_SUM_LEN 32      /* SHA-256 */

typedef struct SevRamSum SevRamSum;

/* @channels: pages may arrive on others than the main one. */
SevRamSum *sev_ram_sum_new(bool channels);
void sev_ram_sum_free(SevRamSum *s);

/* The next block of the stream: they are numbered as they come. */
void sev_ram_sum_add_block(SevRamSum *s, RAMBlock *rb);

/* "ram" carries the page at @offset of block @number as it is now in RAM. */
void sev_ram_sum_page(SevRamSum *s, unsigned number, ram_addr_t offset);

/* It went, or came, as a sealed page. */
void sev_ram_sum_sealed(SevRamSum *s, unsigned number, ram_addr_t offset);

/*
 * On a source: was the page ever sealed, since the last call of that?  What comes on
 * another line than the sealed pages has to be kept behind them.
 */
bool sev_ram_sum_was_sealed(SevRamSum *s, unsigned number, ram_addr_t offset);
void sev_ram_sum_forget_sealed(SevRamSum *s);

/*
 * On a target: everything that "ram" has loaded since the last call, on the main
 * channel, whose pages upstream marks, and on others, which must not mark theirs
 * there.
 */
void sev_ram_sum_received(SevRamSum *s);

/* A page of @rb came on another channel and is in RAM.  Any thread. */
void sev_ram_sum_arrived(SevRamSum *s, RAMBlock *rb, ram_addr_t offset);

/* Does a page at @offset of @rb count?  Not without @s.  Any thread. */
bool sev_ram_sum_has(SevRamSum *s, RAMBlock *rb, ram_addr_t offset);

/* Make now what sev_ram_sum_end() would have to make later. */
void sev_ram_sum_settle(SevRamSum *s);

void sev_ram_sum_end(SevRamSum *s, uint8_t out[SEV_RAM_SUM_LEN]);

#endif /* MIGRATION_SEV_RAM_SUM_H */
