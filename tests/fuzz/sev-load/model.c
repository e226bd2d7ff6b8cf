/*
 * What lies below and beside migration/sev when a stream is fuzzed: a file in
 * memory, RAM blocks, a secure processor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "exec/memory.h"
#include "exec/ramlist.h"
#include "hw/boards.h"
#include "io/channel-file.h"
#include "migration/migration-stats.h"
#include "migration/misc.h"
#include "migration/ram.h"
#include "migration/sev/wire/read.h"
#include "migration/sev/pages.h"
#include "migration/sev/params.h"
#include "migration/sev/return-path.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/template/template.h"
#include "migration/sev/template/image.h"
#include "migration/sev/template/wrap.h"
#include "migration/sev/wire/transcript.h"
#include "model.h"

#define PAGES 8                 /* of the largest block */

RAMList ram_list = { .blocks = QLIST_HEAD_INITIALIZER(ram_list.blocks) };
MigrationAtomicStats mig_stats;

static RAMBlock blocks[MODEL_BLOCKS + 1];
static unsigned long is_private[MODEL_BLOCKS][BITS_TO_LONGS(PAGES)];

static enum { UNINIT, RECEIVING, RUNNING } processor;
static uint64_t received, marked;

/* Blocks whose pages are opened at first touch. */
static GPtrArray *sealed;
bool model_first_touch;
SevTemplateOpen model_open;

/* One block is backed by a file, as in Kata. */
static int file_block_fd(void)
{
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("bios", MFD_CLOEXEC);
        g_assert(fd >= 0 && !ftruncate(fd, PAGES / 2 * MODEL_PAGE));
    }
    return fd;
}

static size_t table_len(const RAMBlock *rb)
{
    return rb->used_length / MODEL_PAGE * SEV_PACKET_HDR_LEN;
}

static void drop_sealed(void)
{
    for (guint i = 0; sealed && i < sealed->len; i++) {
        SevSealedBlock *s = g_ptr_array_index(sealed, i);

        munmap((void *)s->headers, table_len(s->rb));
        close(s->fd);
        g_free(s->name);
        g_free(s);
    }
    g_clear_pointer(&sealed, g_ptr_array_unref);
}

/* --- A file -------------------------------------------------------------------- */

/* In memory, but one that can be mapped, as a template is. */
struct QEMUFile {
    QIOChannelFile *ioc;
    off_t at;
    int error;
};

QEMUFile *model_file(const uint8_t *data, size_t size)
{
    QEMUFile *f = g_new0(QEMUFile, 1);
    int fd = memfd_create("stream", MFD_CLOEXEC);

    g_assert(fd >= 0 && (!size || pwrite(fd, data, size, 0) == size));
    f->ioc = qio_channel_file_new_fd(fd);
    return f;
}

GByteArray *model_file_free(QEMUFile *f)
{
    GByteArray *bytes = g_byte_array_new();
    struct stat st;

    g_assert(!fstat(f->ioc->fd, &st));
    g_byte_array_set_size(bytes, st.st_size);
    g_assert(pread(f->ioc->fd, bytes->data, bytes->len, 0) == bytes->len);
    object_unref(OBJECT(f->ioc));
    g_free(f);
    return bytes;
}

QIOChannel *qemu_file_get_ioc(QEMUFile *f)
{
    return QIO_CHANNEL(f->ioc);
}

off_t qemu_get_offset(QEMUFile *f)
{
    return f->at;
}

void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    g_assert(pwrite(f->ioc->fd, buf, size, f->at) == size);
    f->at += size;
}

void qemu_put_buffer_async(QEMUFile *f, const uint8_t *buf, size_t size,
                           bool may_free)
{
    qemu_put_buffer(f, buf, size);
}

size_t coroutine_mixed_fn qemu_get_buffer(QEMUFile *f, uint8_t *buf,
                                          size_t size)
{
    ssize_t len = pread(f->ioc->fd, buf, size, f->at);

    g_assert(len >= 0);
    f->at += len;
    return len;
}

size_t coroutine_mixed_fn sev_bulk_get(QEMUFile *f, uint8_t *buf, size_t size)
{
    return qemu_get_buffer(f, buf, size);
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

void qemu_file_set_error(QEMUFile *f, int ret)
{
    f->error = ret;
}

void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
    f->error = ret;
    error_free(err);
}

void qemu_set_offset(QEMUFile *f, off_t off, int whence)
{
    g_assert(off >= 0 && whence == SEEK_SET);
    f->at = off;
}

bool migration_rate_exceeded(QEMUFile *f)
{
    return false;
}

void ram_transferred_add(uint64_t bytes)
{
}

/* --- RAM ------------------------------------------------------------------------ */

/* The memory of a block, zeros again: a file's, privately, or nobody's. */
static void clear(RAMBlock *rb, int flags)
{
    rb->host = mmap(rb->host, rb->max_length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | flags | (rb->host ? MAP_FIXED : 0), rb->fd,
                    0);
    g_assert(rb->host != MAP_FAILED);
}

void model_reset(void)
{
    static const char *const names[] = { "ram", "bios", "ignored" };
    static const size_t pages[] = { PAGES, PAGES / 2, PAGES };

    QLIST_INIT(&ram_list.blocks);
    for (int i = MODEL_BLOCKS; i >= 0; i--) {
        uint8_t *host = blocks[i].host;

        memset(&blocks[i], 0, sizeof(blocks[i]));
        pstrcpy(blocks[i].idstr, sizeof(blocks[i].idstr), names[i]);
        blocks[i].used_length = blocks[i].max_length = pages[i] * MODEL_PAGE;
        blocks[i].host = host;
        blocks[i].fd = i == MODEL_FILE_BLOCK ? file_block_fd() : -1;
        blocks[i].page_size = MODEL_PAGE;
        clear(&blocks[i], blocks[i].fd < 0 ? MAP_ANONYMOUS : 0);
        QLIST_INSERT_HEAD(&ram_list.blocks, &blocks[i], next);
    }
    memset(is_private, 0, sizeof(is_private));
    drop_sealed();
    processor = UNINIT;
    received = marked = 0;
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

void memory_region_ref(MemoryRegion *mr)
{
}

void memory_region_unref(MemoryRegion *mr)
{
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

bool sev_page_never_written(RAMBlock *rb, ram_addr_t offset)
{
    return false;
}

bool sev_page_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    unsigned long *map = is_private[index_of(rb, 0, MODEL_PAGE)];
    size_t at = 0, end, n = rb->used_length / MODEL_PAGE;

    while ((at = find_next_bit(map, n, at)) < n) {
        end = find_next_zero_bit(map, n, at);
        if (!fn(rb, at * MODEL_PAGE, (end - at) * MODEL_PAGE, opaque)) {
            return false;
        }
        at = end;
    }
    return true;
}

/* --- The secure processor -------------------------------------------------------- */

/* A packet's MAC, in this model: the first byte of its last page byte. */
bool sev_send_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    for (size_t i = 0; i < n; i++) {
        memset(jobs[i].hdr, 0, SEV_PACKET_HDR_LEN);
        memset(jobs[i].data, 0, SEV_PACKET_DATA_LEN);
    }
    return true;
}

bool sev_receive_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    g_assert(processor == RECEIVING);
    for (size_t i = 0; i < n; i++) {
        index_of(jobs[i].page.rb, jobs[i].page.offset, MODEL_PAGE);
        if (jobs[i].hdr[SEV_PACKET_HDR_LEN - 1] != jobs[i].data[0]) {
            error_setg(errp, "the packet fails its MAC");
            return false;
        }
        /* In place the packet lies where the page goes. */
        memmove(jobs[i].page.rb->host + jobs[i].page.offset, jobs[i].data,
                MODEL_PAGE);
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

/* A guest that runs touches every page: none may lie outside the image. */
static void touch_sealed(void)
{
    uint64_t sum = 0;

    for (guint i = 0; sealed && i < sealed->len; i++) {
        SevSealedBlock *s = g_ptr_array_index(sealed, i);

        for (size_t at = 0; at < s->rb->used_length; at += MODEL_PAGE) {
            sum += s->rb->host[at] + s->rb->host[at + MODEL_PAGE - 1];
        }
        for (size_t at = 0; at < table_len(s->rb); at++) {
            sum += s->headers[at];
        }
    }
    *(volatile uint64_t *)&sum;         /* so that the reads are made */
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
        g_assert(t->private_pages == pages && marked <= pages);
        g_assert(received >= stat64_get(&t->packets));
        touch_sealed();
    }
}

/* --- Pages that are opened at first touch -------------------------------------- */

bool sev_first_touch_possible(void)
{
    return model_first_touch;
}

SevTemplateOpen sev_params_template_open(void)
{
    return model_open;
}

bool sev_first_touch_begin(Error **errp)
{
    g_assert(processor == RECEIVING && !sealed);
    sealed = g_ptr_array_new();
    return true;
}

void sev_first_touch_add(SevSealedBlock *s)
{
    struct stat st;

    g_assert(sealed && !fstat(s->fd, &st));
    g_assert(s->start + s->rb->used_length <= st.st_size);
    g_ptr_array_add(sealed, s);
}

void sev_first_touch_mark(RAMBlock *rb, ram_addr_t offset, ram_addr_t length)
{
    index_of(rb, offset, length);
    marked += length / MODEL_PAGE;
}

void sev_first_touch_sweep(void)
{
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
    g_clear_pointer(&id->claimed_by, g_free);
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

char *sev_certs_chip(const SevPlatformCerts *certs, Error **errp)
{
    return g_strdup("chip");
}

bool sev_platform_chain(SevPlatformCerts *certs, Error **errp)
{
    return sev_platform_certs(certs, errp);
}

bool sev_certs_fill(SevPlatformCerts *certs, const SevPlatformCerts *known,
                    Error **errp)
{
    return true;
}

bool sev_certs_complete_own(SevPlatformCerts *certs, Error **errp)
{
    return true;
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

bool sev_params_source_allowed(const char *fingerprint, Error **errp)
{
    return true;
}

bool sev_params_refuse_replay(void)
{
    return false;
}

bool sev_session_once(const uint8_t *session, size_t len, Error **errp)
{
    return true;
}

bool sev_params_allowed(const char *fingerprint, Error **errp)
{
    return true;
}

bool coroutine_mixed_fn sev_return_path_send(uint16_t type, const void *data,
                                             uint16_t len, Error **errp)
{
    return true;
}

void sev_return_path_step(SevRpState state)
{
    g_assert_not_reached();
}

bool sev_return_path_wait_certs(MigrationState *ms, SevPlatformCerts *certs,
                                Error **errp)
{
    g_assert_not_reached();
}

/* --- The digest that an acknowledgement names: not here ------------------------- */

bool sev_transcript_begin(Error **errp)
{
    return true;
}

/* Whoever loads by a wrap has checked that one: template/wrap.c. */
const SevWrap *sev_wrap_in_use(void)
{
    return NULL;
}

void sev_transcript_pages(const uint8_t *record)
{
}

void sev_transcript_channel(uint8_t id, const uint8_t *record)
{
}

void sev_transcript_follow(QEMUFile *f, bool is_input)
{
}

/* --- The digest of all bytes: sev-template-end reads it, not here ---------------- */

void sev_tap_add(const void *bytes, size_t len)
{
}

void sev_tap_follow(QEMUFile *f, bool is_input)
{
}

/* --- What templates ask of the machine ------------------------------------------ */

MachineState *current_machine;

bool machine_dump_guest_core(MachineState *machine)
{
    return false;
}

void ram_handle_zero(void *host, uint64_t size)
{
    memset(host, 0, size);
}

bool qemu_ram_is_named_file(RAMBlock *rb)
{
    return rb == &blocks[MODEL_FILE_BLOCK];
}

bool qemu_ram_is_shared(RAMBlock *rb)
{
    return false;
}

size_t qemu_ram_pagesize(RAMBlock *rb)
{
    return rb->page_size;
}

/* Its fields are compared with a guest's; nothing is placed by them. */
bool sev_template_load_manifest(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}
