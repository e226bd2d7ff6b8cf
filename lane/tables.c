/*
 * The lane's page tables, as a function of the C-bit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tables.h"

#define PRESENT     (1ULL << 0)
#define WRITABLE    (1ULL << 1)
#define USER        (1ULL << 2)
#define ACCESSED    (1ULL << 5)
#define DIRTY       (1ULL << 6)
#define LARGE       (1ULL << 7)
#define NX          (1ULL << 63)

#define MIB2        (1ULL << 21)
#define GIB         (1ULL << 30)
#define ENTRIES     512

static size_t gibs(const LaneTables *how)
{
    uint64_t ram = how->ram < LANE_RAM_MAX ? how->ram : LANE_RAM_MAX;

    return how->small ? (ram + GIB - 1) / GIB : 0;
}

size_t lane_tables_pages(const LaneTables *how)
{
    return LANE_TABLES_PAGES + gibs(how);
}

/* A table's address as an entry above it has it; rights are at the leaves. */
static uint64_t table(unsigned page, const LaneTables *how)
{
    return (LANE_GPA + LANE_TABLES + page * (uint64_t)LANE_PAGE) | how->cbit |
           PRESENT | WRITABLE | ACCESSED | (how->user ? USER : 0);
}

/* Accessed and dirty are set already, so the CPU never writes to the tables. */
static uint64_t leaf(uint64_t offset, uint64_t rights, const LaneTables *how)
{
    return (LANE_GPA + offset) | rights | PRESENT | ACCESSED | DIRTY | LARGE |
           (how->user ? USER : 0);
}

static void map(uint64_t *directory, uint64_t from, uint64_t bytes,
                uint64_t rights, const LaneTables *how)
{
    for (uint64_t at = from; at < from + bytes; at += MIB2) {
        directory[at / MIB2 % ENTRIES] = leaf(at, rights, how);
    }
}

void lane_tables(uint64_t *to, const LaneTables *how)
{
    uint64_t *pml4 = to, *pdpt = to + ENTRIES, *first = pdpt + ENTRIES;
    const uint64_t data = WRITABLE | NX;

    for (size_t i = 0; i < lane_tables_pages(how) * ENTRIES; i++) {
        to[i] = 0;
    }
    pml4[0] = table(1, how);
    pdpt[0] = table(2, how);
    map(first, LANE_IMAGE, MIB2, how->cbit, how);
    map(first, LANE_CARRIED, MIB2, data | how->cbit, how);
    map(first, LANE_DOORBELL, MIB2, data, how);
    map(first, LANE_SHARED, LANE_MAX_SLOTS * LANE_SHARED_STRIDE, data, how);
    map(first, LANE_VERSIONS, LANE_VERSIONS_BYTES(LANE_RAM_MAX),
        data | how->cbit, how);
    for (uint64_t i = 0; i < LANE_RAM_MAX / GIB; i++) {
        uint64_t at = LANE_RAM + i * GIB;

        if (!how->small) {
            pdpt[at / GIB] = leaf(at, data | how->cbit, how);
        } else if (i < gibs(how)) {
            pdpt[at / GIB] = table(LANE_TABLES_PAGES + i, how);
            map(first + (1 + i) * ENTRIES, at, GIB, data | how->cbit, how);
        }
    }
}
