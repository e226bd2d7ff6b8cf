/*
 * The lane as a library: its C code in this process, its space plain memory.
 *
 * An end is one guest: private memory, mailboxes, versions and 4 MiB of RAM in
 * two windows.  What a hostile host can do to an end, a test does directly.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_LANE_LANEHOST_H
#define TESTS_LANE_LANEHOST_H

#include <glib.h>
#include "lane/state.h"

#define HOST_BLOCKS     2
#define HOST_PAGES      384                     /* of block 0 */
#define HOST_BASE1      (2ULL << 20)            /* block 1 */
#define HOST_PAGES1     8
#define HOST_RAM        (4ULL << 20)

typedef struct End {
    uint8_t *space;
} End;

/* A sealed page as it is on a stream */
typedef struct Sealed {
    LaneJob job;
    uint8_t page[LANE_PAGE];
} Sealed;

/* What the fake CPU answers; 'random_left' below 0: always */
extern uint32_t fake_path;
extern int fake_random_left;
extern int fake_no_aes;

void end_init(End *end);            /* private memory is rubbish */
void end_clear(End *end);
LaneMailbox *end_box(End *end, unsigned slot);
LaneJob *end_job(End *end, unsigned slot, unsigned i);
uint8_t *end_sealed(End *end, unsigned slot, unsigned i);
uint8_t *end_page(End *end, unsigned block, unsigned page);
LaneOwn *end_own(End *end);
LaneCarried *end_carried(End *end);

/* What entry.S does around lane_main().  Returns the status. */
uint32_t end_run(End *end, unsigned slot, uint32_t command, uint32_t count);

void end_windows(End *end);         /* the two blocks, in slot 0's mailbox */
uint32_t end_new_key(End *end);
uint32_t end_adopt(End *end);
/* The secure processor's packets, in one step */
void end_carry(End *from, End *to);

/* One page, in slot 0 */
uint32_t end_seal(End *end, unsigned block, unsigned page, Sealed *out);
uint32_t end_open(End *end, const Sealed *in);
uint32_t end_seal_digest(End *end, Sealed *out);
uint32_t end_check_digest(End *end, const Sealed *in);

/* True where the C code and this CPU can work together. */
gboolean host_has_aes(void);

#endif
