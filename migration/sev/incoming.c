/*
 * What a target knows of the guest that arrives.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "incoming.h"
#include "ram-sum.h"

static void image_free(SevTargetImage *image)
{
    if (image) {
        if (image->table) {
            munmap(image->table, image->table_len);
        }
        if (image->fd >= 0) {
            close(image->fd);
        }
        g_free(image->name);
        g_free(image);
    }
}

SevTarget *sev_target_new(void)
{
    SevTarget *t = g_new0(SevTarget, 1);

    t->buf = g_malloc(SEV_RECORD_MAX);
    t->method = SEV_METHOD_PACKET;
    t->blocks = g_array_new(false, false, sizeof(SevTargetBlock));
    return t;
}

void sev_target_free(SevTarget *t)
{
    if (t) {
        for (guint i = 0; i < t->blocks->len; i++) {
            image_free(g_array_index(t->blocks, SevTargetBlock, i).image);
        }
        g_clear_pointer(&t->manifest, g_byte_array_unref);
        g_free(t->uncovered);
        g_free(t->buf);
        g_array_unref(t->blocks);
        sev_ram_sum_free(t->ram_sum);
        g_free(t);
    }
}

SevTargetBlock *sev_target_block(SevTarget *t, uint64_t number, Error **errp)
{
    if (number >= t->blocks->len) {
        error_setg(errp, "SEV stream: RAM block number %" PRIu64 ", "
                   "%u were announced", number, t->blocks->len);
        return NULL;
    }
    return &g_array_index(t->blocks, SevTargetBlock, number);
}
