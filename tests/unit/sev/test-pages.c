/*
 * Pages on a stream and off again: what the source says is what the target
 * does, and whatever a hostile source says is refused before it is done.
 *
 * Two guests without a QEMU: RAM blocks of a few hundred pages, a bit per page
 * for "private", and a secure processor that inverts every byte.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "exec/memory.h"
#include "exec/ramlist.h"
#include "qemu/lockable.h"
#include "migration/migration.h"
#include "migration/migration-stats.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "migration/sev/wire/read.h"
#include "migration/sev/end.h"
#include "migration/sev/pages.h"
#include "migration/sev/seal.h"
#include "migration/sev/wire/write.h"
#include "migration/sev/session.h"
#include "migration/sev/order.h"
#include "migration/sev/template/template.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/template/image.h"
#include "migration/sev/wire/transcript.h"

#define PAGE 4096
#define MOST 10000              /* pages of the largest block */

/* --- What stands in for the rest of QEMU ----------------------------------- */

RAMList ram_list = { .blocks = QLIST_HEAD_INITIALIZER(ram_list.blocks) };
MigrationAtomicStats mig_stats;

struct QEMUFile {
    GByteArray *out;
    size_t at;
    bool broken;
};

static bool rate_exceeded;

void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    g_byte_array_append(f->out, buf, size);
}

void qemu_put_buffer_async(QEMUFile *f, const uint8_t *buf, size_t size,
                           bool may_free)
{
    g_byte_array_append(f->out, buf, size);
}

size_t coroutine_mixed_fn sev_bulk_get(QEMUFile *f, uint8_t *buf, size_t size)
{
    size_t len = MIN(size, f->out->len - f->at);

    memcpy(buf, f->out->data + f->at, len);
    f->at += len;
    return len;
}

int qemu_fflush(QEMUFile *f)
{
    return 0;
}

int qemu_file_get_error(QEMUFile *f)
{
    return f->broken ? -EIO : 0;
}

void qemu_file_set_error(QEMUFile *f, int ret)
{
    f->broken = true;
}

MigrationState *migrate_get_current(void)
{
    static MigrationState ms;

    return &ms;
}

void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
    f->broken = true;
    error_free(err);
}

int qemu_file_get_error_obj(QEMUFile *f, Error **errp)
{
    error_setg(errp, "end of file");
    return -EIO;
}

bool migration_rate_exceeded(QEMUFile *f)
{
    return rate_exceeded;
}

void ram_transferred_add(uint64_t bytes)
{
}

bool migrate_ram_is_ignored(RAMBlock *rb)
{
    return g_str_has_prefix(rb->idstr, "ignored");
}

RAMBlock *qemu_ram_block_by_name(const char *name)
{
    RAMBlock *rb;

    QLIST_FOREACH(rb, &ram_list.blocks, next) {
        if (!strcmp(rb->idstr, name)) {
            return rb;
        }
    }
    return NULL;
}

bool sev_session_load_hello(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_session_load_session(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_template_load_manifest(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

/* Images have files under them: the functional tests make them. */
bool sev_image_load(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_image_load_headers(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_image_load_digest(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_image_load_shared(SevTarget *t, const SevRecord *r, Error **errp)
{
    return true;
}

bool sev_image_save_shared_sum(SevSource *s, QEMUFile *f, Error **errp)
{
    g_assert_not_reached();
}

void memory_region_ref(MemoryRegion *mr)
{
}

void memory_region_unref(MemoryRegion *mr)
{
}

bool qemu_ram_is_migratable(RAMBlock *rb)
{
    return !migrate_ram_is_ignored(rb);
}

bool sev_image_load_end(SevTarget *t, Error **errp)
{
    return true;
}

bool sev_image_save_end(SevSource *s, QEMUFile *f, Error **errp)
{
    g_assert_not_reached();
}

void sev_tap_add(const void *bytes, size_t len)
{
}

void sev_tap_follow(QEMUFile *f, bool is_input)
{
}

void sev_transcript_pages(const uint8_t *record)
{
}

void sev_transcript_follow(QEMUFile *f, bool is_input)
{
}

void qemu_set_offset(QEMUFile *f, off_t off, int whence)
{
    g_assert_not_reached();
}

/* --- Two guests and their secure processor ---------------------------------- */

typedef struct Side {
    uint8_t *content[2];        /* one byte stands for a page */
    unsigned long *is_private[2];
} Side;

static RAMBlock blocks[3];      /* 0: big, 1: small, 2: not migrated */
static Side source, target;
static unsigned finished, received, sent_until_failure, flip_while_sealing;
static unsigned micros_per_page, sealed;

/* The pipeline's thread looks at both while the guest goes on. */
static QemuMutex guest_lock;

static int index_of(RAMBlock *rb)
{
    return rb - blocks;
}

static void setup(size_t pages)
{
    static const char *const names[] = { "big", "small", "ignored" };

    QLIST_INIT(&ram_list.blocks);
    for (int i = 2; i >= 0; i--) {
        memset(&blocks[i], 0, sizeof(blocks[i]));
        pstrcpy(blocks[i].idstr, sizeof(blocks[i].idstr), names[i]);
        blocks[i].used_length = (i ? 16 : pages) * PAGE;
        QLIST_INSERT_HEAD(&ram_list.blocks, &blocks[i], next);
    }
    for (int i = 0; i < 2; i++) {
        for (Side *s = &source; s; s = s == &source ? &target : NULL) {
            g_free(s->content[i]);
            g_free(s->is_private[i]);
            s->content[i] = g_malloc0(MOST);
            s->is_private[i] = bitmap_new(MOST);
        }
    }
    finished = received = sent_until_failure = flip_while_sealing = 0;
    micros_per_page = sealed = 0;
    rate_exceeded = false;
}

bool sev_page_is_private(RAMBlock *rb, ram_addr_t offset)
{
    QEMU_LOCK_GUARD(&guest_lock);
    return test_bit(offset / PAGE, source.is_private[index_of(rb)]);
}

bool sev_send_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    g_usleep(n * micros_per_page);
    QEMU_LOCK_GUARD(&guest_lock);
    for (const SevPageJob *job = jobs; job < jobs + n; job++) {
        int i = index_of(job->page.rb);
        size_t page = job->page.offset / PAGE;

        if (sent_until_failure && !--sent_until_failure) {
            error_setg(errp, "hardware error at 0x" RAM_ADDR_FMT,
                       job->page.offset);
            return false;
        }
        qatomic_inc(&sealed);
        memset(job->hdr, ~i, SEV_PACKET_HDR_LEN);
        memset(job->data, ~source.content[i][page], SEV_PACKET_DATA_LEN);
        if (flip_while_sealing && !(page % flip_while_sealing)) {
            clear_bit(page, source.is_private[i]);
        }
    }
    return true;
}

bool sev_receive_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    for (const SevPageJob *job = jobs; job < jobs + n; job++) {
        int i = index_of(job->page.rb);

        g_assert_cmphex(job->hdr[SEV_PACKET_HDR_LEN - 1], ==, (uint8_t)~i);
        target.content[i][job->page.offset / PAGE] = ~job->data[PAGE - 1];
        received++;
    }
    return true;
}

bool sev_receive_finish(Error **errp)
{
    finished++;
    return true;
}

bool sev_page_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    unsigned long *map = source.is_private[index_of(rb)];
    size_t pages = rb->used_length / PAGE, at = 0, end;

    while ((at = find_next_bit(map, pages, at)) < pages) {
        end = find_next_zero_bit(map, pages, at);
        if (!fn(rb, at * PAGE, (end - at) * PAGE, opaque)) {
            return false;
        }
        at = end;
    }
    return true;
}

void sev_page_set_private(RAMBlock *rb, ram_addr_t offset, ram_addr_t length,
                          bool is_private)
{
    unsigned long *map = target.is_private[index_of(rb)];

    g_assert_cmpuint(offset + length, <=, rb->used_length);
    g_assert_cmpuint(length, >, 0);
    if (is_private) {
        bitmap_set(map, offset / PAGE, length / PAGE);
    } else {
        bitmap_clear(map, offset / PAGE, length / PAGE);
    }
}

/* --- There and back ----------------------------------------------------------- */

static void put_simple(QEMUFile *f, SevRecordType type)
{
    SevRecord rec = { .type = type };

    sev_record_put(f, &rec);
}

/* A target that has had SESSION and the BLOCKs of @s. */
static SevTarget *open_target(SevSource *s, QEMUFile *f)
{
    SevTarget *t = sev_target_new();

    t->state = SEV_STREAM_BLOCKS;
    g_assert_true(sev_pages_save_blocks(s, f, &error_abort));
    put_simple(f, SEV_RECORD_BREAK);
    g_assert_true(sev_stream_load(t, f, &error_abort));
    g_assert_cmpint(t->state, ==, SEV_STREAM_PAGES);
    return t;
}

static void assert_same(void)
{
    for (int i = 0; i < 2; i++) {
        size_t pages = blocks[i].used_length / PAGE;

        g_assert_true(bitmap_equal(source.is_private[i], target.is_private[i],
                                   pages));
        for (size_t n = 0; n < pages; n++) {
            if (test_bit(n, source.is_private[i])) {
                g_assert_cmphex(target.content[i][n], ==,
                                source.content[i][n]);
            }
        }
    }
}

static void finish(SevSource *s, SevTarget *t, QEMUFile *f)
{
    g_assert_true(sev_pages_save(s, f, true, &error_abort));
    g_assert_true(sev_end_save(s, f, &error_abort));
    g_assert_true(sev_stream_load(t, f, &error_abort));
    g_assert_cmpint(t->state, ==, SEV_STREAM_ENDED);
    g_assert_cmpuint(finished, ==, 1);
    g_assert_cmpuint(f->at, ==, f->out->len);
    sev_source_free(s);
    sev_target_free(t);
}

/* Rounds of a guest that writes and changes sides, as ram.c would see it. */
static void test_random(void)
{
    for (int round = 0; round < 30; round++) {
        size_t pages = g_test_rand_int_range(1, 600);
        g_autoptr(GByteArray) out = g_byte_array_new();
        QEMUFile f = { .out = out };
        SevSource *s;
        SevTarget *t;

        setup(pages);
        s = sev_source_new();
        t = open_target(s, &f);
        for (int step = 0; step < 3000; step++) {
            int i = g_test_rand_bit();
            size_t n = g_test_rand_int_range(0, blocks[i].used_length / PAGE);

            WITH_QEMU_LOCK_GUARD(&guest_lock) {
                if (g_test_rand_int_range(0, 3)) {
                    source.content[i][n] = g_test_rand_int();
                } else {
                    change_bit(n, source.is_private[i]);
                }
            }
            /* Dirty, as either of the two makes it: ram.c meets it. */
            if (sev_page_is_private(&blocks[i], n * PAGE)) {
                sev_pages_queue(s, &blocks[i], n * PAGE);
            }
            if (sev_pages_full(s) || !g_test_rand_int_range(0, 200)) {
                rate_exceeded = g_test_rand_bit();
                g_assert_true(sev_pages_save(s, &f, false, &error_abort));
                put_simple(&f, SEV_RECORD_BREAK);
                g_assert_true(sev_stream_load(t, &f, &error_abort));
            }
        }
        rate_exceeded = true;           /* the last round does not care */
        finish(s, t, &f);
        assert_same();
        g_assert_cmpuint(received, ==, stat64_get(&sev_page_stats.packets));
    }
}

/* More runs than one record has room for, and none at all. */
static void test_many_runs(void)
{
    for (int every = 1; every <= 2; every++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        QEMUFile f = { .out = out };
        SevSource *s;
        SevTarget *t;

        setup(MOST);
        for (size_t n = 0; n < MOST && every == 2; n += every) {
            set_bit(n, source.is_private[0]);
            source.content[0][n] = n;
        }
        bitmap_fill(target.is_private[0], MOST);
        s = sev_source_new();
        t = open_target(s, &f);
        for (size_t n = 0; n < MOST; n++) {
            if (sev_page_is_private(&blocks[0], n * PAGE)) {
                sev_pages_queue(s, &blocks[0], n * PAGE);
            }
        }
        g_assert_cmpuint(sev_pages_pending(s), ==,
                         every == 2 ? MOST / 2 * SEV_RECORD_PAGE_LEN : 0);
        finish(s, t, &f);
        assert_same();
    }
}

static void test_skipped(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    QEMUFile f = { .out = out };
    SevSource *s;
    SevTarget *t;

    setup(100);
    bitmap_fill(source.is_private[0], 100);
    s = sev_source_new();
    t = open_target(s, &f);
    for (size_t n = 0; n < 100; n++) {
        sev_pages_queue(s, &blocks[0], n * PAGE);
    }
    bitmap_clear(source.is_private[0], 10, 80);
    finish(s, t, &f);
    g_assert_cmpuint(received, ==, 20);
    g_assert_cmpuint(stat64_get(&sev_page_stats.skipped), ==, 80);
    assert_same();
}

/* Pages become shared under the command: their packets leave no gap. */
static void test_flipped(void)
{
    for (unsigned every = 1; every < 5; every++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        QEMUFile f = { .out = out };
        SevSource *s;
        SevTarget *t;

        setup(100);
        bitmap_fill(source.is_private[0], 100);
        s = sev_source_new();
        t = open_target(s, &f);
        for (size_t n = 0; n < 100; n++) {
            source.content[0][n] = n + 1;
            sev_pages_queue(s, &blocks[0], n * PAGE);
        }
        flip_while_sealing = every;
        finish(s, t, &f);
        g_assert_cmpuint(received, ==, 100 - DIV_ROUND_UP(100, every));
        assert_same();
    }
}

/* Nothing is sent while the rate limit is used up; nothing is lost either. */
static void test_rate(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    QEMUFile f = { .out = out };
    SevSource *s;

    setup(100);
    bitmap_fill(source.is_private[0], 100);
    s = sev_source_new();
    for (size_t n = 0; n < 100; n++) {
        sev_pages_queue(s, &blocks[0], n * PAGE);
    }
    g_assert_false(sev_pages_full(s));
    rate_exceeded = true;
    g_assert_true(sev_pages_save(s, &f, false, &error_abort));
    g_assert_cmpuint(out->len, ==, 0);
    g_assert_cmpuint(sev_pages_pending(s), ==, 100 * SEV_RECORD_PAGE_LEN);
    sev_source_free(s);
}

static void test_send_fails(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    QEMUFile f = { .out = out };
    Error *err = NULL;
    SevSource *s;
    SevTarget *t;

    setup(100);
    bitmap_fill(source.is_private[0], 100);
    s = sev_source_new();
    t = open_target(s, &f);
    for (size_t n = 0; n < 100; n++) {
        sev_pages_queue(s, &blocks[0], n * PAGE);
    }
    sent_until_failure = 70;
    g_assert_false(sev_pages_save(s, &f, true, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "hardware error at 0x45000");
    error_free(err);
    sev_source_free(s);
    sev_target_free(t);
}

/* Who is stopped has the rest of its pages: nobody waits for their packets. */
static void test_given_up(void)
{
    for (int cancel = 0; cancel < 2; cancel++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        QEMUFile f = { .out = out };
        SevSource *s;
        SevTarget *t;

        setup(1000);
        bitmap_fill(source.is_private[0], 1000);
        s = sev_source_new();
        t = open_target(s, &f);
        for (size_t n = 0; n < 1000; n++) {
            sev_pages_queue(s, &blocks[0], n * PAGE);
        }
        micros_per_page = 2000;
        g_assert_true(sev_pages_save(s, &f, false, &error_abort));
        g_assert_cmpuint(sev_pages_pending(s), >, 0);
        if (cancel) {
            migrate_get_current()->state = MIGRATION_STATUS_CANCELLING;
            g_assert_true(sev_seal_given_up(s));
            g_assert_true(sev_pages_save(s, &f, true, &error_abort));
            g_assert_true(f.broken);
            migrate_get_current()->state = MIGRATION_STATUS_NONE;
        }
        sev_source_free(s);
        sev_target_free(t);
        g_assert_cmpuint(sealed, <, 500);
    }
}

/* The secure processor goes on while nobody writes, up to what the ring has. */
static void test_pipeline(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    QEMUFile f = { .out = out };
    SevSource *s;
    SevTarget *t;

    setup(MOST);
    bitmap_fill(source.is_private[0], MOST);
    s = sev_source_new();
    t = open_target(s, &f);
    for (size_t n = 0; n < MOST; n++) {
        source.content[0][n] = n;
        sev_pages_queue(s, &blocks[0], n * PAGE);
    }
    rate_exceeded = true;
    g_assert_true(sev_pages_save(s, &f, false, &error_abort));
    while (!qatomic_read(&sealed)) {
        g_usleep(1000);
    }
    g_assert_cmpuint(stat64_get(&sev_page_stats.packets), ==, 0);
    g_assert_cmpuint(sev_pages_pending(s), ==, MOST * SEV_RECORD_PAGE_LEN);
    g_usleep(10000);
    g_assert_cmpuint(qatomic_read(&sealed), <=, MOST / 2);
    finish(s, t, &f);
    g_assert_cmpuint(received, ==, MOST);
    assert_same();
}

/* A block that ram.c did not announce. */
static void test_unknown_block(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    QEMUFile f = { .out = out };
    Error *err = NULL;
    SevSource *s;

    setup(100);
    s = sev_source_new();
    g_assert_true(sev_pages_save_blocks(s, &f, &error_abort));
    sev_pages_queue(s, &blocks[2], 0);
    g_assert_false(sev_pages_save(s, &f, true, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "ignored appeared"));
    error_free(err);
    sev_source_free(s);
}

/* --- A hostile source ----------------------------------------------------------- */

typedef struct Hostile {
    SevSource *s;
    SevTarget *t;
    QEMUFile f;
} Hostile;

static void hostile_begin(Hostile *h)
{
    setup(100);
    h->f = (QEMUFile) { .out = g_byte_array_new() };
    h->s = sev_source_new();
    h->t = open_target(h->s, &h->f);
}

static void hostile_end(Hostile *h)
{
    sev_source_free(h->s);
    sev_target_free(h->t);
    g_byte_array_unref(h->f.out);
}

/* One record, and the words of its refusal; NULL if it is accepted. */
static void feed(Hostile *h, const SevRecord *rec, const char *words)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    unsigned before = received;
    Error *err = NULL;

    sev_record_encode(rec, out);
    if (!words) {
        g_assert_true(sev_stream_load_bytes(h->t, out->data, out->len,
                                            &error_abort));
        return;
    }
    g_assert_false(sev_stream_load_bytes(h->t, out->data, out->len, &err));
    if (!strstr(error_get_pretty(err), words)) {
        g_test_message("no \"%s\" in: %s", words, error_get_pretty(err));
        g_test_fail();
    }
    g_assert_cmpuint(received, ==, before);     /* all or nothing */
    error_free(err);
}

static void feed_page(Hostile *h, uint64_t block, uint64_t offset,
                      const char *words)
{
    g_autofree uint8_t *entries = g_malloc0(2 * SEV_RECORD_PAGE_LEN);
    SevRecord rec = {
        .type = SEV_RECORD_PAGES,
        .u.pages = { .block = block, .count = 2,
                     .pages = { entries, 2 * SEV_RECORD_PAGE_LEN } },
    };

    memset(entries + 8, ~(int)block, SEV_PACKET_HDR_LEN);
    memset(entries + SEV_RECORD_PAGE_LEN + 8, ~(int)block, SEV_PACKET_HDR_LEN);
    stq_be_p(entries + SEV_RECORD_PAGE_LEN, offset);    /* first: 0, good */
    feed(h, &rec, words);
}

static void test_hostile_pages(void)
{
    Hostile h;

    hostile_begin(&h);
    feed_page(&h, 0, 99 * PAGE, NULL);
    feed_page(&h, 1, 15 * PAGE, NULL);
    feed_page(&h, 0, 100 * PAGE, "whole pages up to 0x64000");
    feed_page(&h, 1, 16 * PAGE, "whole pages up to 0x10000");
    feed_page(&h, 0, 1, "a packet for 0x1 of RAM block big");
    feed_page(&h, 0, PAGE - 1, "a packet for 0xfff");
    feed_page(&h, 0, UINT64_MAX, "a packet for 0xffffffffffffffff");
    feed_page(&h, 0, -(uint64_t)PAGE, "a packet for 0xfffffffffffff000");
    feed_page(&h, 0, 1ull << 63, "a packet for 0x8000000000000000");
    feed_page(&h, 2, 0, "block number 2, 2 were announced");
    feed_page(&h, UINT64_MAX, 0, "block number 18446744073709551615");
    feed_page(&h, 1ull << 32, 0, "block number 4294967296");
    hostile_end(&h);
}

static void feed_block(Hostile *h, uint64_t number, const char *name,
                       uint64_t length, const char *words)
{
    SevRecord rec = {
        .type = SEV_RECORD_BLOCK,
        .u.block = { .number = number, .length = length,
                     .name = { (const uint8_t *)name, strlen(name) } },
    };

    feed(h, &rec, words);
}

static void test_hostile_blocks(void)
{
    SevRecord last = { .type = SEV_RECORD_BREAK };
    Hostile h;

    hostile_begin(&h);
    sev_target_free(h.t);
    h.t = sev_target_new();
    h.t->state = SEV_STREAM_BLOCKS;
    feed_block(&h, 1, "big", 100 * PAGE, "has number 1, not 0");
    feed_block(&h, 0, "nonesuch", 100 * PAGE, "nonesuch is unknown here");
    feed_block(&h, 0, "ignored", 16 * PAGE, "ignored is not migrated");
    feed_block(&h, 0, "big", 99 * PAGE, "0x63000 bytes long, here 0x64000");
    feed_block(&h, 0, "big", 100 * PAGE, NULL);
    feed_block(&h, 1, "big", 100 * PAGE, "announced twice");
    feed(&h, &last, "1 RAM blocks were announced, this guest has 2");
    feed_block(&h, 1, "small", 16 * PAGE, NULL);
    feed(&h, &last, NULL);
    hostile_end(&h);
}

static void feed_state(Hostile *h, uint64_t block, uint64_t offset,
                       uint64_t length, uint64_t run, uint64_t run_length,
                       const char *words)
{
    g_autoptr(GByteArray) runs = g_byte_array_new();
    SevRecord rec = {
        .type = SEV_RECORD_STATE,
        .u.state = { .block = block, .offset = offset, .length = length,
                     .count = 1 },
    };

    sev_runs_append(runs, run, run_length);
    rec.u.state.runs = (SevSpan) { runs->data, runs->len };
    feed(h, &rec, words);
}

static void test_hostile_state(void)
{
    const uint64_t huge = -(uint64_t)PAGE;
    SevRecord end = { .type = SEV_RECORD_END };
    Hostile h;

    hostile_begin(&h);
    feed_state(&h, 2, 0, PAGE, 0, PAGE, "block number 2");
    feed_state(&h, 0, PAGE, PAGE, PAGE, PAGE, "expected from 0x0");
    feed_state(&h, 0, 0, 0, 0, PAGE, "for 0x0+0x0");
    feed_state(&h, 0, 0, 1, 0, PAGE, "for 0x0+0x1");
    feed_state(&h, 0, 0, 101 * PAGE, 0, PAGE, "up to 0x64000");
    feed_state(&h, 0, 0, huge, 0, PAGE, "up to 0x64000");
    feed_state(&h, 0, huge, 2 * PAGE, 0, PAGE, "expected from 0x0");
    feed_state(&h, 0, 0, 50 * PAGE, 50 * PAGE, PAGE, "private run");
    feed_state(&h, 0, 0, 50 * PAGE, 49 * PAGE, 2 * PAGE, "private run");
    feed_state(&h, 0, 0, 50 * PAGE, PAGE, huge, "private run");
    feed_state(&h, 0, 0, 50 * PAGE, huge, 2 * PAGE, "private run");
    feed_state(&h, 0, 0, 50 * PAGE, 0, 0, "private run");
    feed_state(&h, 0, 0, 50 * PAGE, 1, PAGE, "private run");
    g_assert_true(bitmap_empty(target.is_private[0], 100));

    feed_state(&h, 0, 0, 50 * PAGE, 10 * PAGE, 5 * PAGE, NULL);
    feed_state(&h, 0, 0, 50 * PAGE, 0, PAGE, "expected from 0x32000");
    feed_state(&h, 0, 60 * PAGE, 40 * PAGE, 60 * PAGE, PAGE,
               "expected from 0x32000");
    feed_state(&h, 0, 50 * PAGE, 50 * PAGE, 49 * PAGE, PAGE, "private run");
    feed(&h, &end, "page state of RAM block big ends at 0x32000 of 0x64000");
    feed_state(&h, 0, 50 * PAGE, 50 * PAGE, 50 * PAGE, PAGE, NULL);
    feed(&h, &end, "page state of RAM block small ends at 0x0");
    feed_state(&h, 1, 0, 16 * PAGE, 0, 16 * PAGE, NULL);
    feed(&h, &end, "END counts 0 packets and 0 private pages, 0 and 22 came");
    end.u.end.private_pages = 22;
    end.u.end.packets = 1;
    feed(&h, &end, "END counts 1 packets");
    g_assert_cmpuint(finished, ==, 0);
    end.u.end.packets = 0;
    feed(&h, &end, NULL);
    g_assert_cmpuint(finished, ==, 1);
    hostile_end(&h);
}

int main(int argc, char **argv)
{
    qemu_mutex_init(&guest_lock);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/pages/random", test_random);
    g_test_add_func("/sev/pages/many-runs", test_many_runs);
    g_test_add_func("/sev/pages/skipped", test_skipped);
    g_test_add_func("/sev/pages/flipped", test_flipped);
    g_test_add_func("/sev/pages/rate", test_rate);
    g_test_add_func("/sev/pages/given-up", test_given_up);
    g_test_add_func("/sev/pages/pipeline", test_pipeline);
    g_test_add_func("/sev/pages/send-fails", test_send_fails);
    g_test_add_func("/sev/pages/unknown-block", test_unknown_block);
    g_test_add_func("/sev/pages/hostile-pages", test_hostile_pages);
    g_test_add_func("/sev/pages/hostile-blocks", test_hostile_blocks);
    g_test_add_func("/sev/pages/hostile-state", test_hostile_state);
    return g_test_run();
}
