/*
 * The lane's page tables, as a function of the C-bit.
 *
 * The host writes them at launch and the owner of a guest measures them, so
 * there is one text of them, here.  Nothing is needed but abi.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LANE_TABLES_H
#define LANE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include "abi.h"

typedef struct LaneTables {
    uint64_t cbit;          /* the bit itself, 1 << position; 0: no encryption */
    bool user;              /* for an entry in ring 3 */
    bool small;             /* no 1 GiB pages: 2 MiB pages for the windows too */
    uint64_t ram;           /* with `small`: where the last window ends */
} LaneTables;

/* Pages that lane_tables() writes. */
size_t lane_tables_pages(const LaneTables *how);

/*
 * Write the tables to @to, which has lane_tables_pages() pages; it becomes
 * what lies at LANE_TABLES.  Order: PML4, PDPT, the directory of the first GiB,
 * then with `small` one directory for each GiB of windows.
 */
void lane_tables(uint64_t *to, const LaneTables *how);

#endif
