/*
 * The image of a template: where it lies, in a single file or in place.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel-file.h"
#include "migration/qemu-file.h"
#include "image.h"
#include "shared-sum.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define HDR_LEN SEV_RECORD_PACKET_HDR

static char *fd_name(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    char *name = g_file_read_link(link, NULL);

    return name ?: g_strdup("(a file without a name)");
}

/* [@offset, @offset + @len) of @image's file, which must have it. */
static bool check_range(const SevTargetImage *image, const char *what,
                        uint64_t offset, uint64_t len, Error **errp)
{
    struct stat st;

    if (fstat(image->fd, &st) < 0) {
        error_setg_errno(errp, errno, "SEV: template %s", image->name);
        return false;
    }
    if (!QEMU_IS_ALIGNED(offset, PAGE_LEN) || offset > st.st_size ||
        len > st.st_size - offset) {
        error_setg(errp, "SEV: template %s is cut short or was changed: %s at "
                   "0x%"
                   PRIx64 "+0x%" PRIx64 ", it has 0x%" PRIx64 " bytes",
                   image->name, what, offset, len, (uint64_t)st.st_size);
        return false;
    }
    return true;
}

static bool load_mapped(SevTarget *t, SevTargetBlock *block,
                        SevTargetImage *image, Error **errp)
{
    QIOChannel *ioc = qemu_file_get_ioc(t->file);
    uint64_t length = image->length;

    if (!object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_FILE)) {
        error_setg(errp, "SEV: this template is a single file: load it with "
                   "'file:PATH', so that it can be mapped");
        return false;
    }
    image->fd = dup(QIO_CHANNEL_FILE(ioc)->fd);
    image->name = fd_name(image->fd);
    image->table_len = length / PAGE_LEN * HDR_LEN;
    if (!check_range(image, "headers", image->headers, image->table_len,
                     errp) ||
        !check_range(image, "pages", image->pages, length, errp)) {
        return false;
    }
    t->resume_at = MAX(t->resume_at, ROUND_UP(image->pages + length,
                                              SEV_RECORD_IMAGE_ALIGN));
    image->table = mmap(NULL, image->table_len, PROT_READ, MAP_SHARED,
                        image->fd, image->headers);
    if (image->table == MAP_FAILED) {
        image->table = NULL;
        error_setg_errno(errp, errno, "SEV: template %s cannot be mapped",
                         image->name);
        return false;
    }
    return true;
}

static bool load_in_place(SevTargetBlock *block, SevTargetImage *image,
                          Error **errp)
{
    RAMBlock *rb = block->rb;

    if (!qemu_ram_is_named_file(rb) || qemu_ram_is_shared(rb)) {
        error_setg(errp, "SEV: the template was sealed in the file of RAM "
                   "block %s: back it here by a memory-backend-file of that "
                   "file with share=off", rb->idstr);
        return false;
    }
    image->fd = dup(rb->fd);
    image->name = fd_name(image->fd);
    image->pages = rb->fd_offset;
    image->table_len = image->length / PAGE_LEN * HDR_LEN;
    image->table = mmap(NULL, image->table_len, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (image->table == MAP_FAILED) {
        image->table = NULL;
        error_setg_errno(errp, errno, "SEV: no memory for packet headers");
        return false;
    }
    return check_range(image, "pages", image->pages, image->length, errp);
}

bool sev_image_load(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordImage *r = &rec->u.image;
    SevTargetBlock *block = sev_target_block(t, r->block, errp);
    SevTargetImage *image;

    if (!block) {
        return false;
    }
    if (r->method != t->method || block->image) {
        error_setg(errp, "SEV: the template does not fit: field method of RAM "
                   "block %s is %" PRIu64 "%s, its stream has %" PRIu64,
                   block->rb->idstr, r->method,
                   block->image ? " (again)" : "", t->method);
        return false;
    }
    block->image = image = g_new0(SevTargetImage, 1);
    image->fd = -1;
    image->layout = r->layout;
    image->length = block->rb->used_length;
    image->pages = r->pages;
    image->headers = r->headers;
    switch (r->layout) {
    case SEV_LAYOUT_MAPPED:
        return load_mapped(t, block, image, errp);
    case SEV_LAYOUT_IN_PLACE:
        return load_in_place(block, image, errp);
    default:
        error_setg(errp, "SEV: the template does not fit: field layout of RAM "
                   "block %s is %" PRIu64, block->rb->idstr, r->layout);
        return false;
    }
}

bool sev_image_load_headers(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordHeaders *r = &rec->u.headers;
    SevTargetBlock *block = sev_target_block(t, r->block, errp);
    SevTargetImage *image;
    uint64_t length = r->count * PAGE_LEN;

    if (!block) {
        return false;
    }
    image = block->image;
    if (!image || image->layout != SEV_LAYOUT_IN_PLACE) {
        error_setg(errp, "SEV stream: headers for RAM block %s, whose pages "
                   "are not in place", block->rb->idstr);
        return false;
    }
    if (!QEMU_IS_ALIGNED(r->offset, PAGE_LEN) ||
        r->offset < image->headers_seen ||
        r->offset > image->length || length > image->length - r->offset) {
        error_setg(errp, "SEV stream: headers of RAM block %s for 0x%" PRIx64
                   "+0x%" PRIx64 ", expected between 0x%" PRIx64 " and 0x%"
                   PRIx64, block->rb->idstr, r->offset, length,
                   image->headers_seen, image->length);
        return false;
    }
    memcpy(image->table + r->offset / PAGE_LEN * HDR_LEN, r->headers.data,
           r->headers.len);
    image->headers_seen = r->offset + length;
    return true;
}

bool sev_image_check_length(const SevTargetBlock *block, Error **errp)
{
    if (block->rb->used_length != block->image->length) {
        error_setg(errp, "SEV: the template does not fit: RAM block %s had 0x%"
                   PRIx64 " bytes at its image, it has 0x" RAM_ADDR_FMT,
                   block->rb->idstr, block->image->length,
                   block->rb->used_length);
        return false;
    }
    return true;
}

bool sev_image_load_digest(SevTarget *t, const SevRecord *rec, Error **errp)
{
    g_autoptr(QCryptoHash) hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256,
                                                   errp);
    g_autofree uint8_t *result = NULL;
    size_t len = 0;

    for (guint i = 0; hash && i < t->blocks->len; i++) {
        SevTargetBlock *block = &g_array_index(t->blocks, SevTargetBlock, i);

        if (block->image && block->image->layout == SEV_LAYOUT_MAPPED &&
            (!sev_image_check_length(block, errp) ||
             !sev_image_digest(hash, block->rb, block->image->table, errp))) {
            return false;
        }
    }
    if (!hash || qcrypto_hash_finalize_bytes(hash, &result, &len, errp) < 0) {
        return false;
    }
    /* No secret: it finds damage, the MACs find forgery. */
    if (!sev_span_is_bytes(rec->u.digest.digest, result, len)) {
        error_setg(errp, "SEV: the template was changed: its table of packet "
                   "headers does not have the digest of its manifest");
        return false;
    }
    t->digest_seen = true;
    return true;
}

bool sev_image_load_shared(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevRecordShared *r = &rec->u.shared;
    SevSharedSum sum = { 0 };

    for (guint i = 0; i < t->blocks->len; i++) {
        SevTargetBlock *block = &g_array_index(t->blocks, SevTargetBlock, i);
        SevTargetImage *image = block->image;

        if (!image) {
            continue;
        }
        if (!sev_image_check_length(block, errp)) {
            return false;
        }
        if (!sev_shared_sum_block(&sum, i, block->rb, image->fd,
                                  image->pages)) {
            error_setg_errno(errp, errno, "SEV: template %s cannot be read",
                             image->name);
            return false;
        }
    }
    if (sum.pages != r->pages || sum.sum != r->sum) {
        error_setg(errp, "SEV: the template was changed: its %" PRIu64
                   " shared pages do not have the sum of its SHARED record, "
                   "which is of %" PRIu64, sum.pages, r->pages);
        return false;
    }
    return true;
}
