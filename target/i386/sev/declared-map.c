/*
 * The page-encryption map that a guest declares.
 *
 * The tree holds the shared ranges: disjoint, and never touching each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/interval-tree.h"
#include "declared-map.h"

struct SevDeclaredMap {
    GRWLock lock;
    IntervalTreeRoot shared;
    size_t ranges;
};

SevDeclaredMap *sev_declared_map_new(void)
{
    SevDeclaredMap *map = g_new0(SevDeclaredMap, 1);

    g_rw_lock_init(&map->lock);
    return map;
}

static void insert(SevDeclaredMap *map, uint64_t start, uint64_t last)
{
    IntervalTreeNode *node = g_new0(IntervalTreeNode, 1);

    node->start = start;
    node->last = last;
    interval_tree_insert(node, &map->shared);
    map->ranges++;
}

static void take_out(SevDeclaredMap *map, IntervalTreeNode *node)
{
    interval_tree_remove(node, &map->shared);
    map->ranges--;
    g_free(node);
}

void sev_declared_map_free(SevDeclaredMap *map)
{
    IntervalTreeNode *node;

    if (!map) {
        return;
    }
    while ((node = interval_tree_iter_first(&map->shared, 0, UINT64_MAX))) {
        take_out(map, node);
    }
    g_rw_lock_clear(&map->lock);
    g_free(map);
}

/* What changed is told when the tree is complete: first, last, first, ... */
static void note(GArray *changes, uint64_t first, uint64_t last)
{
    uint64_t ends[2] = { first, last };

    if (changes) {
        g_array_append_vals(changes, ends, ARRAY_SIZE(ends));
    }
}

static void tell(GArray *changes, bool is_private, SevDeclaredFn changed)
{
    for (guint i = 0; changes && i < changes->len; i += 2) {
        changed(g_array_index(changes, uint64_t, i),
                g_array_index(changes, uint64_t, i + 1) + 1, is_private);
    }
}

/* One range in the place of all that [first, last] overlaps or touches. */
static void set_shared(SevDeclaredMap *map, uint64_t first, uint64_t last,
                       GArray *changes)
{
    uint64_t before = first ? first - 1 : 0;
    uint64_t after = last < UINT64_MAX ? last + 1 : last;
    uint64_t start = first, end = last, at = first;
    bool rest = true;
    IntervalTreeNode *node;

    while ((node = interval_tree_iter_first(&map->shared, before, after))) {
        if (rest && node->start <= last && node->last >= at) {
            if (node->start > at) {
                note(changes, at, node->start - 1);
            }
            rest = node->last < last;
            at = rest ? node->last + 1 : last;
        }
        start = MIN(start, node->start);
        end = MAX(end, node->last);
        take_out(map, node);
    }
    if (rest) {
        note(changes, at, last);
    }
    insert(map, start, end);
}

/* A hole of [first, last] in whatever is there. */
static void set_private(SevDeclaredMap *map, uint64_t first, uint64_t last,
                        GArray *changes)
{
    IntervalTreeNode *node;

    while ((node = interval_tree_iter_first(&map->shared, first, last))) {
        uint64_t start = node->start, end = node->last;

        take_out(map, node);
        if (start < first) {
            insert(map, start, first - 1);
        }
        if (end > last) {
            insert(map, last + 1, end);
        }
        note(changes, MAX(start, first), MIN(end, last));
    }
}

void sev_declared_map_set(SevDeclaredMap *map, uint64_t start, uint64_t end,
                          bool is_private, SevDeclaredFn changed)
{
    g_autoptr(GArray) changes = changed ? g_array_new(false, false,
                                                      sizeof(uint64_t)) : NULL;

    if (start >= end) {
        return;
    }
    g_rw_lock_writer_lock(&map->lock);
    if (is_private) {
        set_private(map, start, end - 1, changes);
    } else {
        set_shared(map, start, end - 1, changes);
    }
    tell(changes, is_private, changed);
    g_rw_lock_writer_unlock(&map->lock);
}

bool sev_declared_map_is_private(SevDeclaredMap *map, uint64_t addr)
{
    bool is_private;

    g_rw_lock_reader_lock(&map->lock);
    is_private = !interval_tree_iter_first(&map->shared, addr, addr);
    g_rw_lock_reader_unlock(&map->lock);
    return is_private;
}

bool sev_declared_map_next_shared(SevDeclaredMap *map, uint64_t start,
                                  uint64_t end, uint64_t *run,
                                  uint64_t *run_end)
{
    IntervalTreeNode *node;

    if (start >= end) {
        return false;
    }
    g_rw_lock_reader_lock(&map->lock);
    node = interval_tree_iter_first(&map->shared, start, end - 1);
    if (node) {
        *run = MAX(node->start, start);
        *run_end = MIN(node->last, end - 1) + 1;
    }
    g_rw_lock_reader_unlock(&map->lock);
    return node;
}

size_t sev_declared_map_ranges(SevDeclaredMap *map)
{
    size_t ranges;

    g_rw_lock_reader_lock(&map->lock);
    ranges = map->ranges;
    g_rw_lock_reader_unlock(&map->lock);
    return ranges;
}
