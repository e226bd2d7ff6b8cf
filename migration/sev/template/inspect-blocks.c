/*
 * query-sev-template: the blocks of RAM and where their images lie.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "inspect.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

SevQueryBlock *sev_query_block(SevQuery *q, uint64_t number, Error **errp)
{
    if (number >= q->blocks->len) {
        error_setg(errp, "RAM block number %" PRIu64 ", there are %u", number,
                   q->blocks->len);
        return NULL;
    }
    return &g_array_index(q->blocks, SevQueryBlock, number);
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a_len && b_len && a < b + b_len && b < a + a_len;
}

/* Blocks with common pages or headers would have us look at them again. */
static bool images_overlap(const SevQueryBlock *a, const SevQueryBlock *b)
{
    uint64_t a_table = a->length / PAGE_LEN * HDR_LEN;
    uint64_t b_table = b->length / PAGE_LEN * HDR_LEN;

    return a->layout == b->layout &&
           (overlap(a->pages, a->length, b->pages, b->length) ||
            (a->layout == SEV_LAYOUT_MAPPED &&
             (overlap(a->headers, a_table, b->headers, b_table) ||
              overlap(a->headers, a_table, b->pages, b->length) ||
              overlap(a->pages, a->length, b->headers, b_table))));
}

static bool image_fits(SevQuery *q, const SevQueryBlock *b, Error **errp)
{
    bool mapped = b->layout == SEV_LAYOUT_MAPPED;
    const SevTemplateFile *file = mapped ? &q->file : &q->ram;

    if (file->fd < 0) {
        return true;            /* nobody will look at it */
    }
    if (!sev_query_range_ok(b->pages, b->length, file->len) ||
        (mapped &&
         !sev_query_range_ok(b->headers, b->length / PAGE_LEN * HDR_LEN,
                             file->len))) {
        error_setg(errp, "the image of block '%s' is cut short", b->name);
        return false;
    }
    for (guint i = 0; i < q->blocks->len; i++) {
        const SevQueryBlock *other = &g_array_index(q->blocks, SevQueryBlock,
                                                    i);

        if (other != b && images_overlap(b, other)) {
            error_setg(errp, "the images of blocks '%s' and '%s' overlap",
                       b->name, other->name);
            return false;
        }
    }
    return true;
}

bool sev_query_image(SevQuery *q, const SevRecordImage *r, Error **errp)
{
    SevQueryBlock *b = sev_query_block(q, r->block, errp);

    if (!b) {
        return false;
    }
    if (b->layout || b->described) {
        error_setg(errp, "an image of block '%s' is out of place", b->name);
        return false;
    }
    b->layout = r->layout;
    b->pages = r->pages;
    b->headers = r->headers;
    return image_fits(q, b, errp);
}
