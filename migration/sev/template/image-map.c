/*
 * The image of a template: RAM is mapped from it, or filled.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/madvise.h"
#include "hw/boards.h"
#include "migration/misc.h"
#include "migration/ram.h"
#include "migration/sev/lane.h"
#include "migration/sev/params.h"
#include "target/i386/sev/test/fault.h"
#include "image.h"
#include "migration/sev/trace.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

/* --- RAM becomes the image -------------------------------------------------- */

/* May the memory of @rb be replaced by a mapping? */
static bool is_replaceable(RAMBlock *rb)
{
    return rb->fd < 0 && !qemu_ram_is_shared(rb) &&
           !(rb->flags & (RAM_PREALLOC | RAM_READONLY | RAM_GUEST_MEMFD)) &&
           qemu_ram_pagesize(rb) == qemu_real_host_page_size() &&
           QEMU_IS_ALIGNED((uintptr_t)rb->host, qemu_real_host_page_size());
}

static bool map_block(RAMBlock *rb, SevTargetImage *image, Error **errp)
{
    if (image->layout == SEV_LAYOUT_IN_PLACE) {
        return true;                    /* it is the image already */
    }
    if (mmap(rb->host, rb->used_length, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, image->fd,
             image->pages) == MAP_FAILED) {
        error_setg_errno(errp, errno, "SEV: template %s cannot be mapped at "
                         "RAM block %s", image->name, rb->idstr);
        return false;
    }
    if (!machine_dump_guest_core(current_machine)) {
        qemu_madvise(rb->host, rb->used_length, QEMU_MADV_DONTDUMP);
    }
    return true;
}

static bool mark_run(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                     void *opaque)
{
    sev_first_touch_mark(rb, offset, length);
    return true;
}

static bool seal_block(SevTargetBlock *block, Error **errp)
{
    SevTargetImage *image = block->image;
    SevSealedBlock *sealed;

    if (sev_fault(SEV_FAULT_IMAGE_SEAL, errp) ||
        !map_block(block->rb, image, errp)) {
        return false;
    }
    sealed = g_new(SevSealedBlock, 1);
    *sealed = (SevSealedBlock) {
        .rb = block->rb,
        .headers = image->table,
        .fd = image->fd,
        .start = image->pages,
        .name = g_steal_pointer(&image->name),
    };
    image->table = NULL;                /* kept for the VM's life */
    image->fd = -1;
    sev_first_touch_add(sealed);
    return sev_page_foreach_private(block->rb, mark_run, NULL);
}

/* --- RAM is filled from the image ------------------------------------------- */

/* Pages that are opened together: several of the lane's batches. */
typedef struct Opening {
    SevPageJob jobs[16 * SEV_LANE_BATCH];
    size_t n;
} Opening;

static bool open_pages(SevTarget *t, Opening *o, Error **errp)
{
    size_t n = o->n;

    o->n = 0;
    return !n || sev_method_open(t, o->jobs, n, errp);
}

/* Every private page. */
static bool open_block(SevTarget *t, SevTargetBlock *block, uint8_t *bytes,
                       Error **errp)
{
    RAMBlock *rb = block->rb;
    g_autofree Opening *o = g_new0(Opening, 1);

    for (ram_addr_t at = 0; at < rb->used_length; at += PAGE_LEN) {
        if (!sev_page_is_private(rb, at)) {
            continue;
        }
        o->jobs[o->n++] = (SevPageJob) {
            .page = { rb, at },
            .hdr = block->image->table + at / PAGE_LEN * HDR_LEN,
            .data = bytes + at,
        };
        if (o->n == ARRAY_SIZE(o->jobs) && !open_pages(t, o, errp)) {
            return false;
        }
    }
    return open_pages(t, o, errp);
}

/* Pages that nobody opens. */
typedef struct Others {
    RAMBlock *rb;
    const uint8_t *bytes;
    bool stop;                  /* atomic: a private page does not open */
} Others;

/*
 * A thread of its own: memory that is touched for the first time takes long, and
 * whoever opens the private pages mostly waits for a vCPU or the secure processor.
 */
static void *fill_others(void *opaque)
{
    const Others *o = opaque;
    RAMBlock *rb = o->rb;

    for (ram_addr_t at = 0; at < rb->used_length && !qatomic_read(&o->stop);
         at += PAGE_LEN) {
        if (sev_page_is_private(rb, at)) {
            continue;
        }
        if (buffer_is_zero(o->bytes + at, PAGE_LEN)) {
            ram_handle_zero(rb->host + at, PAGE_LEN);
        } else {
            memcpy(rb->host + at, o->bytes + at, PAGE_LEN);
        }
    }
    return NULL;
}

/* Every packet is opened, every other page copied, before the guest runs. */
static bool fill_block(SevTarget *t, SevTargetBlock *block, Error **errp)
{
    SevTargetImage *image = block->image;
    uint64_t length = block->rb->used_length;
    Others others = { .rb = block->rb };
    QemuThread thread;
    uint8_t *bytes;
    bool ok;

    if (sev_fault(SEV_FAULT_IMAGE_FILL, errp)) {
        return false;
    }
    if (image->layout == SEV_LAYOUT_IN_PLACE) {
        return open_block(t, block, block->rb->host, errp);
    }
    bytes = mmap(NULL, length, PROT_READ, MAP_SHARED, image->fd, image->pages);
    if (bytes == MAP_FAILED) {
        error_setg_errno(errp, errno, "SEV: template %s cannot be mapped",
                         image->name);
        return false;
    }
    others.bytes = bytes;
    qemu_thread_create(&thread, "sev-fill", fill_others, &others,
                       QEMU_THREAD_JOINABLE);
    ok = open_block(t, block, bytes, errp);
    qatomic_set(&others.stop, !ok);
    qemu_thread_join(&thread);
    munmap(bytes, length);
    return ok;
}

/* --- Both ------------------------------------------------------------------- */

/* The lane opens pages with a vCPU that the guest needs when it touches one. */
static bool first_touch(const SevTarget *t, SevTargetBlock *block)
{
    return t->method == SEV_METHOD_PACKET &&
           sev_params_template_open() != SEV_TEMPLATE_OPEN_EAGER &&
           sev_first_touch_possible() &&
           (block->image->layout == SEV_LAYOUT_IN_PLACE ||
            is_replaceable(block->rb));
}

bool sev_image_load_end(SevTarget *t, Error **errp)
{
    bool begun = false;

    for (guint i = 0; i < t->blocks->len; i++) {
        SevTargetBlock *block = &g_array_index(t->blocks, SevTargetBlock, i);

        if (!block->image) {
            continue;
        }
        if (block->image->layout == SEV_LAYOUT_MAPPED && !t->digest_seen) {
            error_setg(errp, "SEV stream: an image without a DIGEST record");
            return false;
        }
        if (!sev_image_check_length(block, errp)) {
            return false;
        }
        trace_sev_image_load(block->rb->idstr, block->image->layout,
                             first_touch(t, block));
        if (!first_touch(t, block)) {
            if (!fill_block(t, block, errp)) {
                return false;
            }
            continue;
        }
        if (!begun && !sev_first_touch_begin(errp)) {
            return false;
        }
        begun = true;
        if (!seal_block(block, errp)) {
            return false;
        }
    }
    if (begun && sev_params_template_open() == SEV_TEMPLATE_OPEN_SWEEP) {
        sev_first_touch_sweep();
    }
    return true;
}
