/*
 * What lies below and beside migration/sev when a stream is fuzzed: a file in
 * memory, RAM blocks, a secure processor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "exec/ramlist.h"
#include "migration/migration-stats.h"
#include "migration/misc.h"
#include "migration/ram.h"
#include "migration/sev/bulk.h"
#include "migration/sev/pages.h"
#include "migration/sev/params.h"
#include "migration/sev/return-path.h"
#include "migration/sev/template.h"
#include "migration/sev/template-image.h"
#include "model.h"

#define PAGES 16                /* of each block */

RAMList ram_list = { .blocks = QLIST_HEAD_INITIALIZER(ram_list.blocks) };
MigrationAtomicStats mig_stats;

static RAMBlock blocks[MODEL_BLOCKS + 1];
static uint8_t content[MODEL_BLOCKS][PAGES * MODEL_PAGE];
static unsigned long is_private[MODEL_BLOCKS][BITS_TO_LONGS(PAGES)];

static enum { UNINIT, RECEIVING, RUNNING } processor;
static uint64_t received;

/* --- A file -------------------------------------------------------------------- */

struct QEMUFile {
    GByteArray *bytes;
    size_t at;
    int error;
};

QEMUFile *model_file(const uint8_t *data, size_t size)
{
    QEMUFile *f = g_new0(QEMUFile, 1);

    f->bytes = g_byte_array_new();
    if (size) {
        g_byte_array_append(f->bytes, data, size);
    }
    return f;
}

GByteArray *model_file_free(QEMUFile *f)
{
    GByteArray *bytes = f->bytes;

    g_free(f);
    return bytes;
}

void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    g_byte_array_append(f->bytes, buf, size);
}

void qemu_put_buffer_async(QEMUFile *f, const uint8_t *buf, size_t size,
                           bool may_free)
{
    qemu_put_buffer(f, buf, size);
}

size_t coroutine_mixed_fn sev_bulk_get(QEMUFile *f, uint8_t *buf, size_t size)
{
    size_t len = MIN(size, f->bytes->len - f->at);

    memcpy(buf, f->bytes->data + f->at, len);
    f->at += len;
    return len;
}

int qemu_fflush(QEMUFile *f)
{
    return f->error;
}

int qemu_file_get_error(QEMUFile *f)
{
    return f->error;
}

int qemu_file_get_error_obj(QEMUFile *f, Error **errp)
{
    return f->error;
}

void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
    f->error = ret;
    error_free(err);
}

void qemu_set_offset(QEMUFile *f, off_t off, int whence)
{
    f->at = MIN((size_t)off, f->bytes->len);
}

bool migration_rate_exceeded(QEMUFile *f)
{
    return false;
}

void ram_transferred_add(uint64_t bytes)
{
}

/* --- RAM ------------------------------------------------------------------------ */

void model_reset(void)
{
    static const char *const names[] = { "ram", "bios", "ignored" };

    QLIST_INIT(&ram_list.blocks);
    for (int i = MODEL_BLOCKS; i >= 0; i--) {
        memset(&blocks[i], 0, sizeof(blocks[i]));
        pstrcpy(blocks[i].idstr, sizeof(blocks[i].idstr), names[i]);
        blocks[i].used_length = blocks[i].max_length = PAGES * MODEL_PAGE;
        QLIST_INSERT_HEAD(&ram_list.blocks, &blocks[i], next);
    }
    memset(content, 0, sizeof(content));
    memset(is_private, 0, sizeof(is_private));
    processor = UNINIT;
    received = 0;
}

RAMBlock *model_block(int i)
{
    return &blocks[i];
}

void model_set_private(int i, size_t page)
{
    set_bit(page, is_private[i]);
}

bool migrate_ram_is_ignored(RAMBlock *rb)
{
    return rb == &blocks[MODEL_BLOCKS];
}

bool qemu_ram_is_migratable(RAMBlock *rb)
{
    return rb != &blocks[MODEL_BLOCKS];
}

RAMBlock *qemu_ram_block_by_name(const char *name)
{
    for (int i = 0; i <= MODEL_BLOCKS; i++) {
        if (g_str_equal(blocks[i].idstr, name)) {
            return &blocks[i];
        }
    }
    return NULL;
}

/* Aborts when the code under test asks for what is not there. */
static int index_of(RAMBlock *rb, ram_addr_t offset, ram_addr_t length)
{
    g_assert(rb >= blocks && rb < blocks + MODEL_BLOCKS);
    g_assert(offset % MODEL_PAGE == 0 && length % MODEL_PAGE == 0);
    g_assert(length && offset < rb->used_length &&
             length <= rb->used_length - offset);
    return rb - blocks;
}

bool sev_page_is_private(RAMBlock *rb, ram_addr_t offset)
{
    int i = index_of(rb, offset, MODEL_PAGE);

    return test_bit(offset / MODEL_PAGE, is_private[i]);
}

void sev_page_set_private(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                          bool private)
{
    int i = index_of(rb, offset, length);

    if (private) {
        bitmap_set(is_private[i], offset / MODEL_PAGE, length / MODEL_PAGE);
    } else {
        bitmap_clear(is_private[i], offset / MODEL_PAGE, length / MODEL_PAGE);
    }
}

bool sev_page_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    unsigned long *map = is_private[index_of(rb, 0, MODEL_PAGE)];
    size_t at = 0, end;

    while ((at = find_next_bit(map, PAGES, at)) < PAGES) {
        end = find_next_zero_bit(map, PAGES, at);
        if (!fn(rb, at * MODEL_PAGE, (end - at) * MODEL_PAGE, opaque)) {
            return false;
        }
        at = end;
    }
    return true;
}

/* --- The secure processor -------------------------------------------------------- */

/* A packet's MAC, in this model: the first byte of its last page byte. */
bool sev_send_pages(SevPageJob *jobs, size_t n, Error **errp)
{
    for (size_t i = 0; i < n; i++) {
        memset(jobs[i].hdr, 0, SEV_PACKET_HDR_LEN);
        memset(jobs[i].data, 0, SEV_PACKET_DATA_LEN);
        jobs[i].is_shared = false;
    }
    return true;
}

bool sev_receive_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    g_assert(processor == RECEIVING);
    for (size_t i = 0; i < n; i++) {
        int b = index_of(jobs[i].page.rb, jobs[i].page.offset, MODEL_PAGE);

        if (jobs[i].hdr[SEV_PACKET_HDR_LEN - 1] != jobs[i].data[0]) {
            error_setg(errp, "the packet fails its MAC");
            return false;
        }
        memcpy(content[b] + jobs[i].page.offset, jobs[i].data, MODEL_PAGE);
        received++;
    }
    return true;
}

bool sev_receive_start(const SevGuestIdentity *id, const uint8_t *pdh,
                       size_t pdh_len, const uint8_t *session,
                       size_t session_len, Error **errp)
{
    g_assert(processor == UNINIT);
    g_assert(session_len == SEV_SESSION_LEN && pdh_len <= SEV_RECORD_PDH_MAX);
    if (id->policy & ~0xff || session[0]) {
        error_setg(errp, "the session does not open");
        return false;
    }
    processor = RECEIVING;
    return true;
}

bool sev_receive_finish(Error **errp)
{
    g_assert(processor == RECEIVING);
    processor = RUNNING;
    return true;
}

void model_check(bool ok, const SevTarget *t)
{
    uint64_t pages = 0;

    g_assert(ok == (processor == RUNNING));
    g_assert(ok == (t->state == SEV_STREAM_ENDED));
    if (ok) {
        for (int i = 0; i < MODEL_BLOCKS; i++) {
            pages += bitmap_count_one(is_private[i], PAGES);
        }
        g_assert(t->private_pages == pages);
        g_assert(stat64_get(&t->packets) == received);
    }
}

/* --- Platforms -------------------------------------------------------------------- */

void sev_platform_certs_clear(SevPlatformCerts *certs)
{
    g_free(certs->pdh);
    g_free(certs->plat);
    g_free(certs->amd);
}

void sev_guest_identity_clear(SevGuestIdentity *id)
{
    g_clear_pointer(&id->measurement, g_free);
}

void sev_guest_identity(SevGuestIdentity *id)
{
}

bool sev_guest_accepts(const SevGuestIdentity *id, Error **errp)
{
    if (id->measurement && !g_utf8_validate(id->measurement, -1, NULL)) {
        error_setg(errp, "the measurement is no text");
        return false;
    }
    return true;
}

bool sev_platform_certs(SevPlatformCerts *certs, Error **errp)
{
    *certs = (SevPlatformCerts) {
        .pdh = g_malloc0(64), .pdh_len = 64,
        .plat = g_malloc0(64), .plat_len = 64,
    };
    return true;
}

char *sev_certs_fingerprint(const SevPlatformCerts *certs, Error **errp)
{
    if (certs->pdh_len < 16) {
        error_setg(errp, "no PDH");
        return NULL;
    }
    return g_strdup(MODEL_FINGERPRINT);
}

bool sev_certs_trusted(const SevPlatformCerts *target, Error **errp)
{
    return true;
}

bool sev_send_start(const SevPlatformCerts *target, uint8_t *session,
                    Error **errp)
{
    g_assert_not_reached();
}

bool sev_params_certs(const SevPlatformCerts **certs, Error **errp)
{
    return false;
}

bool sev_params_allowed(const char *fingerprint, Error **errp)
{
    return true;
}

bool sev_return_path_send(uint16_t type, const void *data, uint16_t len,
                          Error **errp)
{
    return true;
}

void sev_return_path_expect(bool expect)
{
}

bool sev_return_path_wait(MigrationState *ms, SevPlatformCerts *certs,
                          Error **errp)
{
    g_assert_not_reached();
}

/* --- Templates: their files are not a stream ---------------------------------------- */

bool sev_template_load_manifest(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_image_load(SevTarget *t, const SevRecord *r, Error **errp)
{
    error_setg(errp, "no image here");
    return false;
}

bool sev_image_load_headers(SevTarget *t, const SevRecord *r, Error **errp)
{
    error_setg(errp, "no image here");
    return false;
}

bool sev_image_load_digest(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_image_load_end(SevTarget *t, Error **errp)
{
    return true;
}

void sev_image_load_free(SevTargetBlock *block)
{
}

bool sev_image_save_packets(SevSource *s, RAMBlock *rb,
                            const ram_addr_t *offsets, size_t n, Error **errp)
{
    g_assert_not_reached();
}

bool sev_image_save_end(SevSource *s, QEMUFile *f, Error **errp)
{
    g_assert_not_reached();
}

void sev_image_free(SevImage *image)
{
}
