/*
 * PAGES records -> pages of the guest: the target.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "migration/misc.h"
#include "migration/ram.h"
#include "lane.h"
#include "pages.h"
#include "ram-sum.h"
#include "trace.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA

bool sev_pages_load_block(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordBlock *r = &rec->u.block;
    g_autofree char *name = g_strndup((const char *)r->name.data, r->name.len);
    SevTargetBlock block = { 0 };

    if (r->number != t->blocks->len || r->number >= SEV_RECORD_BLOCKS_MAX) {
        error_setg(errp, "SEV stream: RAM block %s has number %" PRIu64
                   ", not %u", name, r->number, t->blocks->len);
        return false;
    }
    RCU_READ_LOCK_GUARD();
    block.rb = qemu_ram_block_by_name(name);
    if (!block.rb || migrate_ram_is_ignored(block.rb)) {
        error_setg(errp, "SEV stream: RAM block %s is %s", name, block.rb ?
                   "not migrated here; a clone's RAM file has share=off" :
                   "unknown here");
        return false;
    }
    for (guint i = 0; i < t->blocks->len; i++) {
        if (g_array_index(t->blocks, SevTargetBlock, i).rb == block.rb) {
            error_setg(errp, "SEV stream: RAM block %s is announced twice",
                       name);
            return false;
        }
    }
    if (r->length != block.rb->used_length) {
        error_setg(errp, "SEV stream: RAM block %s is 0x%" PRIx64 " bytes "
                   "long, here 0x" RAM_ADDR_FMT, name, r->length,
                   block.rb->used_length);
        return false;
    }
    g_array_append_val(t->blocks, block);
    return true;
}

bool sev_pages_blocks_complete(SevTarget *t, Error **errp)
{
    RAMBlock *rb;
    guint count = 0;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        count++;
    }
    /* Those announced are different from each other, and all are here. */
    if (count != t->blocks->len) {
        error_setg(errp, "SEV stream: %u RAM blocks were announced, this "
                   "guest has %u", t->blocks->len, count);
        return false;
    }
    return true;
}

bool sev_pages_load(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordPages *r = &rec->u.pages;
    SevTargetBlock *block = sev_target_block(t, r->block, errp);
    SevPageJob jobs[SEV_RECORD_PAGES_MAX];

    if (!block) {
        return false;
    }
    /* All of them before any of them. */
    for (size_t i = 0; i < r->count; i++) {
        uint64_t offset;
        const uint8_t *packet = sev_record_page(r, i, &offset);

        if (!QEMU_IS_ALIGNED(offset, PAGE_LEN) ||
            offset >= block->rb->used_length) {
            error_setg(errp, "SEV stream: a packet for 0x%" PRIx64 " of RAM "
                       "block %s, which has whole pages up to 0x"
                       RAM_ADDR_FMT, offset, block->rb->idstr,
                       block->rb->used_length);
            return false;
        }
        jobs[i] = (SevPageJob) {
            .page = { block->rb, offset },
            .hdr = (uint8_t *)packet,
            .data = (uint8_t *)packet + SEV_RECORD_PACKET_HDR,
        };
    }
    if (!sev_method_open(t, jobs, r->count, errp)) {
        return false;
    }
    for (size_t i = 0; t->ram_sum && i < r->count; i++) {
        sev_ram_sum_sealed(t->ram_sum, r->block, jobs[i].page.offset);
    }
    stat64_add(&t->packets, r->count);
    trace_sev_pages_load(block->rb->idstr, r->count);
    return true;
}
