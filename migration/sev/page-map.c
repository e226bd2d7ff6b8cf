/*
 * Which pages are private <-> STATE records: both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "migration/qemu-file.h"
#include "page-map.h"
#include "migration/sev/wire/write.h"
#include "trace.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA

/* --- Source ---------------------------------------------------------------- */

/* STATE records of one block, as its runs come in. */
typedef struct SaveState {
    QEMUFile *f;
    GByteArray *runs;
    SevRecordState state;       /* offset: where the next record starts */
    uint64_t private_pages;
} SaveState;

/* Describe the block up to @end. */
static void put_state(SaveState *save, uint64_t end)
{
    SevRecord rec = { .type = SEV_RECORD_STATE, .u.state = save->state };

    rec.u.state.length = end - rec.u.state.offset;
    rec.u.state.count = save->runs->len / SEV_RECORD_RUN_LEN;
    rec.u.state.runs = (SevSpan) { save->runs->data, save->runs->len };
    if (rec.u.state.length) {
        sev_record_put(save->f, &rec);
    }
    g_byte_array_set_size(save->runs, 0);
    save->state.offset = end;
}

static bool save_run(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                     void *opaque)
{
    SaveState *save = opaque;

    sev_runs_append(save->runs, offset, length);
    save->private_pages += length / PAGE_LEN;
    if (save->runs->len == SEV_RECORD_RUNS_MAX * SEV_RECORD_RUN_LEN) {
        put_state(save, offset + length);
    }
    return true;
}

bool sev_map_save(SevSource *s, QEMUFile *f, uint64_t *private_pages,
                  Error **errp)
{
    g_autoptr(GByteArray) runs = g_byte_array_new();
    SaveState save = { .f = f, .runs = runs };

    RCU_READ_LOCK_GUARD();
    for (guint i = 0; i < s->blocks->len; i++) {
        RAMBlock *rb = g_ptr_array_index(s->blocks, i);

        save.state = (SevRecordState) { .block = i };
        if (!sev_page_foreach_private(rb, save_run, &save)) {
            error_setg(errp, "SEV: the private pages of RAM block %s cannot be "
                       "listed", rb->idstr);
            return false;
        }
        put_state(&save, rb->used_length);
    }
    *private_pages = save.private_pages;
    return true;
}

/* --- Target ---------------------------------------------------------------- */

/* Runs must ascend from the record's offset to @end, in whole pages. */
static bool check_runs(const SevRecordState *r, const char *name, uint64_t end,
                       uint64_t *pages, Error **errp)
{
    uint64_t at = r->offset;

    for (size_t i = 0; i < r->count; i++) {
        uint64_t offset, length;

        sev_record_run(r, i, &offset, &length);
        if (!QEMU_IS_ALIGNED(offset | length, PAGE_LEN) || !length ||
            offset < at || offset > end || length > end - offset) {
            error_setg(errp, "SEV stream: private run 0x%" PRIx64 "+0x%" PRIx64
                       " of RAM block %s is not whole pages between 0x%" PRIx64
                       " and 0x%" PRIx64, offset, length, name, at, end);
            return false;
        }
        at = offset + length;
        *pages += length / PAGE_LEN;
    }
    return true;
}

bool sev_map_load_state(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordState *r = &rec->u.state;
    SevTargetBlock *block = sev_target_block(t, r->block, errp);
    uint64_t at = r->offset, end, pages = 0;

    if (!block) {
        return false;
    }
    if (r->offset != block->described || !r->length ||
        !QEMU_IS_ALIGNED(r->length, PAGE_LEN) ||
        r->offset > block->rb->used_length ||   /* it may have shrunk */
        r->length > block->rb->used_length - r->offset) {
        error_setg(errp, "SEV stream: page state of RAM block %s for 0x%"
                   PRIx64 "+0x%" PRIx64 ", expected from 0x%" PRIx64
                   " up to 0x" RAM_ADDR_FMT, block->rb->idstr, r->offset,
                   r->length, block->described, block->rb->used_length);
        return false;
    }
    end = r->offset + r->length;
    if (!check_runs(r, block->rb->idstr, end, &pages, errp)) {
        return false;
    }
    t->private_pages += pages;
    for (size_t i = 0; i < r->count; i++) {
        uint64_t offset, length;

        sev_record_run(r, i, &offset, &length);
        if (offset > at) {
            sev_page_set_private(block->rb, at, offset - at, false);
        }
        sev_page_set_private(block->rb, offset, length, true);
        at = offset + length;
    }
    if (end > at) {
        sev_page_set_private(block->rb, at, end - at, false);
    }
    block->described = end;
    trace_sev_map_state(block->rb->idstr, r->offset, r->length, r->count);
    return true;
}

bool sev_map_loaded(SevTarget *t, Error **errp)
{
    for (guint i = 0; i < t->blocks->len; i++) {
        SevTargetBlock *block = &g_array_index(t->blocks, SevTargetBlock, i);

        if (block->described != block->rb->used_length) {
            error_setg(errp, "SEV stream: the page state of RAM block %s ends "
                       "at 0x%" PRIx64 " of 0x" RAM_ADDR_FMT,
                       block->rb->idstr, block->described,
                       block->rb->used_length);
            return false;
        }
    }
    return true;
}
