/*
 * The image of a template in a single file: written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/iov.h"
#include "crypto/hash.h"
#include "io/channel-file.h"
#include "migration/migration-stats.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "migration/sev/wire/write.h"
#include "target/i386/sev/test/fault.h"
#include "image.h"
#include "shared-sum.h"
#include "migration/sev/trace.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

typedef struct SevImageBlock {
    uint64_t pages, headers;    /* offsets in the file */
    uint8_t *table;
    size_t table_len;
} SevImageBlock;

typedef struct SevImage {
    QIOChannel *ioc;
    SevImageBlock *blocks;      /* by number in the stream */
    size_t n;
    Error *failed;              /* of the file, or of a shared page */
} SevImage;

static RAMBlock *image_ram(const SevSource *s, size_t number)
{
    return g_ptr_array_index(s->blocks, number);
}

/* Places for all blocks from @at on; where the image ends. */
static uint64_t place_blocks(SevSource *s, uint64_t at)
{
    SevImage *image = s->image;

    for (size_t i = 0; i < image->n; i++) {
        SevImageBlock *block = &image->blocks[i];
        uint64_t length = image_ram(s, i)->used_length;

        block->table_len = length / PAGE_LEN * HDR_LEN;
        block->table = g_malloc0(block->table_len);
        block->headers = ROUND_UP(at, PAGE_LEN);
        block->pages = ROUND_UP(block->headers + block->table_len, PAGE_LEN);
        at = block->pages + length;
    }
    return ROUND_UP(at, SEV_RECORD_IMAGE_ALIGN);
}

static bool image_write(SevImage *image, const struct iovec *iov, size_t n,
                        uint64_t at, Error **errp)
{
    size_t len = iov_size(iov, n);
    ssize_t ret;

    if (sev_fault(SEV_FAULT_IMAGE_PLACE, errp)) {
        return false;
    }
    ret = qio_channel_pwritev(image->ioc, iov, n, at, errp);
    if (ret >= 0 && ret < len) {
        error_setg(errp, "SEV: the template's file took %zd of %zu bytes, as "
                   "when a disk is full", ret, len);
    }
    if (ret == len) {
        ram_transferred_add(len);
    }
    return ret == len;
}

static bool save_packets(SevSource *s, const uint8_t *buf, RAMBlock *rb,
                         const ram_addr_t *offsets, size_t n, Error **errp)
{
    struct iovec iov[SEV_RECORD_PAGES_MAX];
    SevImageBlock *block;
    guint number;
    size_t run = 0;

    if (!sev_pages_block_number(s, rb, &number, errp)) {
        return false;
    }
    block = &s->image->blocks[number];
    for (size_t i = 0; i < n; i++) {
        uint8_t *packet = sev_pages_packet((uint8_t *)buf, i);

        memcpy(block->table + offsets[i] / PAGE_LEN * HDR_LEN, packet, HDR_LEN);
        iov[run++] = (struct iovec) { packet + HDR_LEN, PAGE_LEN };
        /* One write for pages that follow each other. */
        if (i + 1 == n || offsets[i + 1] != offsets[i] + PAGE_LEN) {
            if (!image_write(s->image, iov, run, block->pages + offsets[i] -
                             (run - 1) * PAGE_LEN, errp)) {
                return false;
            }
            run = 0;
        }
    }
    s->placed += n;
    return true;
}

static void image_free(SevSource *s)
{
    SevImage *image = s->image;

    if (image) {
        for (size_t i = 0; i < image->n; i++) {
            g_free(image->blocks[i].table);
        }
        error_free(image->failed);
        object_unref(OBJECT(image->ioc));
        g_free(image->blocks);
        g_free(image);
    }
}

static const SevPacketSink image_sink = {
    .put = save_packets,
    .free = image_free,
};

void sev_image_save_begin(SevSource *s, QEMUFile *f)
{
    SevRecord rec = { .type = SEV_RECORD_IMAGE };
    SevImage *image = g_new0(SevImage, 1);
    uint64_t here, end;

    image->ioc = QIO_CHANNEL(object_ref(OBJECT(qemu_file_get_ioc(f))));
    image->n = s->blocks->len;
    image->blocks = g_new0(SevImageBlock, image->n);
    s->image = image;
    s->sink = &image_sink;

    here = qemu_get_offset(f);
    /* Zeros are never written: a file handed over by fd: may hold something. */
    if (ftruncate(QIO_CHANNEL_FILE(image->ioc)->fd, here)) {
        error_setg_errno(&image->failed, errno, "SEV: the template's file "
                         "cannot be emptied");
    }
    here += (image->n + 1) * SEV_RECORD_IMAGE_LEN;     /* and BREAK */
    end = place_blocks(s, ROUND_UP(here, SEV_RECORD_IMAGE_ALIGN));
    for (size_t i = 0; i < image->n; i++) {
        rec.u.image = (SevRecordImage) {
            .block = i,
            .method = s->method,
            .layout = SEV_LAYOUT_MAPPED,
            .pages = image->blocks[i].pages,
            .headers = image->blocks[i].headers,
        };
        sev_record_put(f, &rec);
    }
    rec = (SevRecord) { .type = SEV_RECORD_BREAK };
    sev_record_put(f, &rec);
    qemu_set_offset(f, end, SEEK_SET);
    trace_sev_image_save(image->n, end);
}

bool sev_image_save_shared(SevSource *s, RAMBlock *rb, ram_addr_t offset)
{
    SevImage *image = s->image;
    struct iovec iov = { rb->host + offset, PAGE_LEN };
    guint number;

    if (image->failed) {
        return true;
    }
    if (buffer_is_zero(iov.iov_base, PAGE_LEN)) {
        stat64_add(&mig_stats.zero_pages, 1);
    } else if (sev_pages_block_number(s, rb, &number, &image->failed)) {
        stat64_add(&mig_stats.normal_pages, 1);
        image_write(image, &iov, 1, image->blocks[number].pages + offset,
                    &image->failed);
    }
    return true;
}

/* --- The digest: both ends ------------------------------------------------- */

typedef struct DigestState {
    QCryptoHash *hash;
    const uint8_t *table;
    Error **errp;
} DigestState;

static bool digest_run(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                       void *opaque)
{
    DigestState *state = opaque;

    return qcrypto_hash_update(state->hash, (const char *)state->table +
                               offset / PAGE_LEN * HDR_LEN,
                               length / PAGE_LEN * HDR_LEN, state->errp) == 0;
}

bool sev_image_digest(QCryptoHash *hash, RAMBlock *rb, const uint8_t *table,
                      Error **errp)
{
    DigestState state = { hash, table, errp };

    return sev_page_foreach_private(rb, digest_run, &state);
}

static bool save_digest(SevSource *s, QEMUFile *f, Error **errp)
{
    g_autoptr(QCryptoHash) hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256,
                                                   errp);
    SevRecord rec = { .type = SEV_RECORD_DIGEST };
    g_autofree uint8_t *result = NULL;
    size_t len = 0;

    for (size_t i = 0; hash && i < s->image->n; i++) {
        if (!sev_image_digest(hash, image_ram(s, i),
                              s->image->blocks[i].table, errp)) {
            return false;
        }
    }
    if (!hash || qcrypto_hash_finalize_bytes(hash, &result, &len, errp) < 0) {
        return false;
    }
    rec.u.digest.digest = (SevSpan) { result, len };
    sev_record_put(f, &rec);
    return true;
}

/*
 * What follows in the stream is worthless without the image: it is on the disk
 * before any of that is written, so that a power cut cannot leave a stream that
 * is whole and an image that is not.
 */
static bool sync_image(const SevImage *image, Error **errp)
{
    if (sev_fault(SEV_FAULT_DISK_SYNC, errp)) {
        return false;
    }
    if (fdatasync(QIO_CHANNEL_FILE(image->ioc)->fd) &&
        errno != EINVAL && errno != EROFS) {
        error_setg_errno(errp, errno, "SEV: the template's pages are not on "
                         "the disk");
        return false;
    }
    return true;
}

bool sev_image_save_end(SevSource *s, QEMUFile *f, Error **errp)
{
    SevImage *image = s->image;

    if (image->failed) {
        error_propagate(errp, g_steal_pointer(&image->failed));
        return false;
    }
    for (size_t i = 0; i < image->n; i++) {
        const SevImageBlock *block = &image->blocks[i];

        /* What is zero stays a hole. */
        for (size_t at = 0; at < block->table_len; at += PAGE_LEN) {
            size_t len = MIN(PAGE_LEN, block->table_len - at);
            struct iovec iov = { block->table + at, len };

            if (!buffer_is_zero(iov.iov_base, len) &&
                !image_write(image, &iov, 1, block->headers + at, errp)) {
                return false;
            }
        }
    }
    return sync_image(image, errp) && save_digest(s, f, errp);
}

bool sev_image_save_shared_sum(SevSource *s, QEMUFile *f, Error **errp)
{
    SevRecord rec = { .type = SEV_RECORD_SHARED };
    SevSharedSum sum = { 0 };

    for (size_t i = 0; i < s->blocks->len; i++) {
        RAMBlock *rb = image_ram(s, i);
        bool in_place = migrate_ram_is_ignored(rb);

        if (!s->image && !in_place) {
            continue;
        }
        if (!sev_shared_sum_block(&sum, i, rb, in_place ? rb->fd : -1,
                                  rb->fd_offset)) {
            error_setg_errno(errp, errno, "SEV: the file of RAM block %s "
                             "cannot be read", rb->idstr);
            return false;
        }
    }
    rec.u.shared = (SevRecordShared) { sum.pages, sum.sum };
    sev_record_put(f, &rec);
    return true;
}
