/*
 * Private and shared pages on a multifd channel: what one end prepares the
 * other takes in, and what a hostile end makes of it is refused.
 *
 * One RAM block at both ends, a bit per page for "private", and a secure
 * processor that inverts every byte.  Upstream's header is a struct here, as
 * upstream's multifd.c hands it over.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/iov.h"
#include "exec/target_page.h"
#include "io/channel-buffer.h"
#include "migration/migration-stats.h"
#include "migration/migration.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/sev/channels.h"
#include "migration/sev/fail.h"
#include "migration/sev/multifd.h"
#include "migration/sev/ram-sum.h"
#include "migration/sev/return-path.h"
#include "migration/sev/seal.h"
#include "migration/sev/wire/transcript.h"

#define PAGE 4096
#define PAGES 400
#define MOST 128                /* pages of a multifd packet */

static RAMBlock block, other;
static uint8_t *memory[2];              /* of the source, of the target */
static unsigned long *is_private, *arrived;
static unsigned opened, flip_every, blank_every;
static bool mapped_ram, refused;
static bool end_comes;          /* while a channel writes pages */
static QIOChannel *down;        /* whose other end is gone */
static MigrationState state;
static const MultiFDMethods *methods;
static SevSource source;
MigrationAtomicStats mig_stats;

/* --- What stands in for the rest of QEMU ----------------------------------- */

void multifd_register_ops(int method, const MultiFDMethods *ops)
{
    g_assert_cmpint(method, ==, MULTIFD_COMPRESSION_NONE);
    methods = ops;
}

const TargetPageBits target_page = { .decided = true, .bits = 12, .mask = -PAGE };

bool migrate_mapped_ram(void)
{
    return mapped_ram;
}

MigrationState *migrate_get_current(void)
{
    return &state;
}

void migrate_set_error(MigrationState *s, const Error *error)
{
}

void sev_migration_set_error(const Error *error)
{
}

bool sev_channel_is_down(QIOChannel *ioc)
{
    return ioc == down;
}

bool sev_migration_on = true;

void sev_channels_wonder(Error **errp)
{
}

void sev_channels_expect(void)
{
}

/* What both ends added for a channel. */
static GByteArray *transcripts[2];
static bool receiving;

void sev_transcript_channel(uint8_t id, const uint8_t *record)
{
    uint64_t count = ldq_be_p(record + SEV_RECORD_HEADER_LEN + 8);

    g_assert_cmpuint(id, ==, 0);
    if (transcripts[receiving]) {
        g_byte_array_append(transcripts[receiving], record,
                            SEV_RECORD_HEADER_LEN + SEV_RECORD_PAGES_HEAD +
                            count * SEV_RECORD_PAGE_LEN);
    }
}

bool sev_return_path_send(uint16_t type, const void *data, uint16_t len,
                          Error **errp)
{
    g_assert_cmpuint(type, ==, SEV_RP_REFUSAL);
    refused = true;
    return false;
}

void ramblock_recv_bitmap_set_offset(RAMBlock *rb, uint64_t offset)
{
    set_bit(offset / PAGE, arrived);
}

/* Zero pages last, as upstream sorts them. */
void multifd_send_zero_page_detect(MultiFDSendParams *p)
{
    MultiFDPages_t *pages = &p->data->u.ram;
    uint32_t end = pages->num, i = 0;

    while (i < end) {
        uint8_t *page = block.host + pages->offset[i];

        g_assert_false(source.method != SEV_METHOD_LANE &&
                       test_bit(pages->offset[i] / PAGE, is_private));
        if (buffer_is_zero(page, PAGE)) {
            ram_addr_t zero = pages->offset[i];

            pages->offset[i] = pages->offset[--end];
            pages->offset[end] = zero;
        } else {
            i++;
        }
    }
    pages->normal_num = end;
}

void multifd_recv_zero_page_process(MultiFDRecvParams *p)
{
    for (uint32_t i = 0; i < p->zero_num; i++) {
        memset(memory[1] + p->zero[i], 0, PAGE);
    }
}

/* The header is whatever send_prepare() left in its data. */
void multifd_send_fill_packet(MultiFDSendParams *p)
{
}

bool sev_page_is_private(RAMBlock *rb, ram_addr_t offset)
{
    return test_bit(offset / PAGE, is_private);
}

static void invert(uint8_t *to, const uint8_t *from)
{
    for (size_t i = 0; i < PAGE; i++) {
        to[i] = ~from[i];
    }
}

bool sev_page_never_written(RAMBlock *rb, ram_addr_t offset)
{
    return blank_every && !(offset / PAGE % blank_every) &&
           buffer_is_zero(memory[0] + offset, PAGE);
}

bool sev_seal_packets(const SevSource *s, uint8_t *buf, RAMBlock *rb,
                      ram_addr_t *offsets, size_t *n, Error **errp)
{
    g_assert_cmpuint(*n, <=, SEV_RECORD_PAGES_MAX);
    for (size_t i = 0; i < *n; i++) {
        if (flip_every && !(offsets[i] / PAGE % flip_every)) {
            clear_bit(offsets[i] / PAGE, is_private);
        }
        memset(sev_pages_packet(buf, i), 0, SEV_RECORD_PACKET_HDR);
        invert(sev_pages_packet(buf, i) + SEV_RECORD_PACKET_HDR,
               memory[0] + offsets[i]);
    }
    return true;
}

bool sev_seal_record(const SevSource *s, uint8_t *buf, RAMBlock *rb,
                     ram_addr_t *offsets, size_t *n, size_t *len, Error **errp)
{
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++) {
        if (test_bit(offsets[i] / PAGE, is_private)) {
            memmove(sev_pages_packet(buf, kept), sev_pages_packet(buf, i),
                    SEV_RECORD_PACKET_HDR + PAGE);
            sev_pages_set_offset(buf, kept, offsets[i]);
            offsets[kept++] = offsets[i];
        }
    }
    *n = kept;
    *len = kept ? sev_pages_end(buf, 0, kept) : 0;
    return true;
}

SevTargetBlock *sev_target_block(SevTarget *t, uint64_t number, Error **errp)
{
    static SevTargetBlock blocks[] = { { .rb = &block }, { .rb = &other } };

    if (number > 1) {
        error_setg(errp, "RAM block number %" PRIu64, number);
        return NULL;
    }
    return &blocks[number];
}

bool sev_pages_load(SevTarget *t, const SevRecord *rec, Error **errp)
{
    if (end_comes && sev_multifd_full(errp)) {
        g_test_fail();
    }
    if (end_comes) {
        return false;
    }
    for (size_t i = 0; i < rec->u.pages.count; i++) {
        uint64_t offset;
        const uint8_t *packet = sev_record_page(&rec->u.pages, i, &offset);

        invert(memory[1] + offset, packet + SEV_RECORD_PACKET_HDR);
        opened++;
    }
    return true;
}

/* --- One multifd packet there and back --------------------------------------- */

typedef struct Ends {
    MultiFDSendData data;
    MultiFDPacket_t header;
    MultiFDSendParams send;
    MultiFDRecvParams recv;
    ram_addr_t offsets[MOST];
    QIOChannelBuffer *wire;
    SevTarget target;
} Ends;

static void begin(Ends *e)
{
    memset(e, 0, sizeof(*e));
    memset(memory[0], 0, PAGES * PAGE);
    memset(memory[1], 0x55, PAGES * PAGE);
    bitmap_zero(is_private, PAGES);
    bitmap_zero(arrived, PAGES);
    opened = flip_every = blank_every = 0;
    mapped_ram = refused = end_comes = false;
    e->data.type = MULTIFD_PAYLOAD_RAM;
    e->data.u.ram.block = &block;
    e->data.u.ram.offset = e->offsets;
    e->send.data = &e->data;
    e->send.packet = &e->header;
    e->send.packet_len = sizeof(e->header);
    e->target.method = SEV_METHOD_PACKET;
    g_assert_cmpint(methods->send_setup(&e->send, &error_abort), ==, 0);
    g_assert_cmpint(methods->recv_setup(&e->recv, &error_abort), ==, 0);
    sev_multifd_open(&e->target);
    e->wire = qio_channel_buffer_new(64 * PAGE);
    e->recv.c = QIO_CHANNEL(e->wire);
    e->recv.block = &block;
    e->recv.host = memory[1];
    e->recv.zero = g_new(ram_addr_t, MOST);
}

static void end(Ends *e)
{
    Error *err = NULL;

    methods->send_cleanup(&e->send, &err);
    methods->recv_cleanup(&e->recv);
    g_assert_null(e->send.iov);
    object_unref(OBJECT(e->wire));
    g_free(e->recv.zero);
}

/* Page @n with a content of its own: 0 private, 1 shared, 2 zero. */
static void add(Ends *e, size_t n, int kind)
{
    if (kind != 2) {
        memset(memory[0] + n * PAGE, n | 1, PAGE);
    }
    if (kind == 0) {
        set_bit(n, is_private);
    }
    e->offsets[e->data.u.ram.num++] = n * PAGE;
}

/* Prepare, and move the bytes to the other end. */
static void transmit(Ends *e)
{
    MultiFDPages_t *pages = &e->data.u.ram;

    e->send.iovs_num = 0;
    g_assert_cmpint(methods->send_prepare(&e->send, &error_abort), ==, 0);
    g_assert_cmpuint(iov_size(e->send.iov + 1, e->send.iovs_num - 1), ==,
                     e->send.next_packet_size);
    qio_channel_writev_all(QIO_CHANNEL(e->wire), e->send.iov + 1,
                           e->send.iovs_num - 1, &error_abort);
    e->wire->offset = 0;
    e->recv.flags = e->send.flags;
    e->recv.next_packet_size = e->send.next_packet_size;
    e->recv.normal = e->offsets;
    e->recv.normal_num = pages->normal_num;
    e->recv.zero_num = pages->num - pages->normal_num;
    memcpy(e->recv.zero, e->offsets + pages->normal_num,
           e->recv.zero_num * sizeof(ram_addr_t));
}

static void test_mixed(void)
{
    for (int round = 0; round < 200; round++) {
        size_t count = g_test_rand_int_range(1, MOST + 1), n = 0, gone = 0;
        int most = g_test_rand_int_range(0, 4);
        Ends e;

        begin(&e);
        for (size_t i = 0; i < count; i++) {
            n += g_test_rand_int_range(1, 4);
            add(&e, n, most == 3 ? g_test_rand_int_range(0, 3) : most);
        }
        flip_every = g_test_rand_int_range(0, 4);
        blank_every = g_test_rand_int_range(0, 4);
        transcripts[0] = g_byte_array_new();
        transcripts[1] = g_byte_array_new();
        transmit(&e);
        receiving = true;
        g_assert_cmpint(methods->recv(&e.recv, &error_abort), ==, 0);
        receiving = false;
        g_assert_cmpmem(transcripts[0]->data, transcripts[0]->len,
                        transcripts[1]->data, transcripts[1]->len);
        g_clear_pointer(&transcripts[0], g_byte_array_unref);
        g_clear_pointer(&transcripts[1], g_byte_array_unref);
        g_assert_cmpuint(e.wire->offset, ==, e.send.next_packet_size);
        for (size_t i = 0; i < e.data.u.ram.num; i++) {
            g_assert_cmpmem(memory[0] + e.offsets[i], PAGE,
                            memory[1] + e.offsets[i], PAGE);
            gone += test_bit(e.offsets[i] / PAGE, is_private);
        }
        g_assert_cmpuint(opened, ==, gone);
        g_assert_cmpuint(bitmap_count_one(arrived, PAGES), ==,
                         e.recv.normal_num);
        end(&e);
    }
}

/* All pages became shared meanwhile: a header, and nothing after it. */
static void test_nothing_left(void)
{
    Ends e;

    begin(&e);
    for (size_t n = 0; n < 100; n++) {
        add(&e, n, 0);
    }
    flip_every = 1;
    transmit(&e);
    g_assert_cmpuint(e.data.u.ram.num, ==, 0);
    g_assert_cmpuint(e.send.next_packet_size, ==, 0);
    g_assert_cmpuint(e.send.iovs_num, ==, 1);
    end(&e);
}

/* --- Hostile ------------------------------------------------------------------ */

/* 70 private pages and 10 shared ones: records of 64 and 6, then bytes. */
static void prepare_hostile(Ends *e)
{
    begin(e);
    for (size_t n = 0; n < 80; n++) {
        add(e, n, n >= 70);
    }
    transmit(e);
}

static void expect(Ends *e, const char *words)
{
    Error *err = NULL;

    g_assert_cmpint(methods->recv(&e->recv, &err), ==, -1);
    if (!strstr(error_get_pretty(err), words)) {
        g_test_message("no \"%s\" in: %s", words, error_get_pretty(err));
        g_test_fail();
    }
    g_assert_true(refused);
    error_free(err);
    end(e);
}

static uint8_t *record(Ends *e, int number)
{
    return e->wire->data + number * SEV_RECORD_MAX;
}

static void test_hostile_records(void)
{
    Ends e;

    prepare_hostile(&e);
    stw_be_p(record(&e, 0) + 6, SEV_RECORD_END);
    stq_be_p(record(&e, 0) + 8, 16);
    expect(&e, "a END record of 32 bytes, not PAGES");

    prepare_hostile(&e);
    stl_be_p(record(&e, 1), 0x12345678);
    expect(&e, "a record starts with 0x12345678");

    prepare_hostile(&e);
    stq_be_p(record(&e, 1) + 8, SEV_RECORD_PAYLOAD_MAX);
    expect(&e, "a PAGES record of");

    prepare_hostile(&e);
    stq_be_p(record(&e, 1) + 16, 1);
    expect(&e, "6 packets for RAM block other, the header lists 16 pages");

    prepare_hostile(&e);
    stq_be_p(record(&e, 1) + 16, UINT64_MAX);
    expect(&e, "RAM block number 18446744073709551615");

    prepare_hostile(&e);
    stq_be_p(record(&e, 1) + 32, 5 * PAGE);
    expect(&e, "a packet for 0x5000, the header lists 0x40000");
}

static void test_hostile_lengths(void)
{
    static const int off[] = { 1, -1, PAGE, -PAGE, 15, 64 };
    Ends e;

    for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
        prepare_hostile(&e);
        e.recv.next_packet_size += off[i];
        expect(&e, off[i] < 0 ? "left" : "a record starts with 0x47474747");
    }
    prepare_hostile(&e);
    e.recv.next_packet_size = UINT32_MAX;
    expect(&e, "");
    prepare_hostile(&e);
    e.recv.next_packet_size = 0;
    expect(&e, "0 bytes are left for 80 shared pages");
    prepare_hostile(&e);
    e.recv.normal_num = 69;
    expect(&e, "packets for RAM block block, the header lists 5 pages");
    prepare_hostile(&e);
    e.offsets[75] += 8;
    expect(&e, "offset 0x4b008 is not that of a page");
    prepare_hostile(&e);
    e.wire->usage -= 2 * PAGE;
    expect(&e, "end-of-file");
}

static void test_refused(void)
{
    Ends e;

    prepare_hostile(&e);
    e.recv.flags |= MULTIFD_FLAG_ZSTD;
    expect(&e, "compression 0x4");
    prepare_hostile(&e);
    mapped_ram = true;
    expect(&e, "mapped-ram");
    prepare_hostile(&e);
    sev_multifd_close();
    expect(&e, "pages came after the main channel ended");
    g_assert_cmpuint(opened, ==, 0);
}

/* --- Beside a lane ------------------------------------------------------------ */

static void begin_lane(Ends *e)
{
    begin(e);
    source.method = e->target.method = SEV_METHOD_LANE;
    e->target.ram_sum = sev_ram_sum_new(true);
    sev_ram_sum_add_block(e->target.ram_sum, &block);
}

static void end_lane(Ends *e)
{
    sev_ram_sum_free(e->target.ram_sum);
    source.method = SEV_METHOD_PACKET;
}

/* What is not sealed goes as it is, private or not, and is summed up. */
static void test_lane(void)
{
    uint8_t ours[SEV_RAM_SUM_LEN], theirs[SEV_RAM_SUM_LEN];
    SevRamSum *sum = sev_ram_sum_new(false);
    Ends e;

    begin_lane(&e);
    sev_ram_sum_add_block(sum, &block);
    for (size_t n = 0; n < 90; n++) {
        add(&e, 2 * n, n < 60 ? 1 : 2);
        sev_ram_sum_page(sum, 0, 2 * n * PAGE);
    }
    set_bit(4, is_private);             /* since it was given to the channel */
    transmit(&e);
    g_assert_cmpint(methods->recv(&e.recv, &error_abort), ==, 0);
    for (size_t n = 0; n < 90; n++) {
        g_assert_cmpmem(memory[0] + 2 * n * PAGE, PAGE,
                        memory[1] + 2 * n * PAGE, PAGE);
    }
    g_assert_true(bitmap_empty(arrived, PAGES));        /* upstream's map */
    sev_ram_sum_received(e.target.ram_sum);
    sev_ram_sum_end(e.target.ram_sum, ours);
    sev_ram_sum_end(sum, theirs);
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
    sev_ram_sum_free(sum);
    end(&e);
    end_lane(&e);
}

static void prepare_lane(Ends *e)
{
    begin_lane(e);
    for (size_t n = 0; n < 80; n++) {
        add(e, n, 1);
    }
    transmit(e);
}

static void test_lane_hostile(void)
{
    Ends e;

    begin_lane(&e);
    source.method = SEV_METHOD_PACKET;
    for (size_t n = 0; n < 80; n++) {
        add(&e, n, n >= 70);
    }
    transmit(&e);
    expect(&e, "bytes are left for 80 shared pages");
    end_lane(&e);

    prepare_lane(&e);
    e.recv.block = &other;
    expect(&e, "a page at 0x0 of other, which no BLOCK record has");
    end_lane(&e);

    prepare_lane(&e);
    e.offsets[79] = PAGES * PAGE;
    expect(&e, "which no BLOCK record has");
    end_lane(&e);

    prepare_lane(&e);
    g_assert_true(sev_multifd_full(&error_abort));
    expect(&e, "pages came after END");
    end_lane(&e);

    prepare_hostile(&e);
    end_comes = true;
    expect(&e, "END came while 1 channels still brought pages");
}

/* The session comes while a channel waits for it. */
static void *open_later(void *target)
{
    g_usleep(50 * 1000);
    sev_multifd_open(target);
    return NULL;
}

static void test_early(void)
{
    GThread *thread;
    Ends e;

    prepare_hostile(&e);
    sev_multifd_open(NULL);
    thread = g_thread_new("main", open_later, &e.target);
    g_assert_cmpint(methods->recv(&e.recv, &error_abort), ==, 0);
    g_assert_cmpuint(opened, ==, 70);
    g_thread_join(thread);
    end(&e);
}

/* Asked for as long as there are channels. */
static void test_down(void)
{
    Ends e;

    begin(&e);
    g_assert_false(sev_multifd_is_down());      /* it is not open yet */
    e.send.c = QIO_CHANNEL(e.wire);
    g_assert_false(sev_multifd_is_down());
    down = e.send.c;
    g_assert_true(sev_multifd_is_down());
    end(&e);
    g_assert_false(sev_multifd_is_down());
    down = NULL;
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    pstrcpy(block.idstr, sizeof(block.idstr), "block");
    pstrcpy(other.idstr, sizeof(other.idstr), "other");
    memory[0] = g_malloc(PAGES * PAGE);
    memory[1] = g_malloc(PAGES * PAGE);
    block.host = memory[0];
    block.used_length = PAGES * PAGE;
    is_private = bitmap_new(PAGES);
    arrived = bitmap_new(PAGES);
    sev_multifd_init();
    sev_multifd_set_source(&source);
    g_test_add_func("/sev/multifd/mixed", test_mixed);
    g_test_add_func("/sev/multifd/nothing-left", test_nothing_left);
    g_test_add_func("/sev/multifd/hostile-records", test_hostile_records);
    g_test_add_func("/sev/multifd/hostile-lengths", test_hostile_lengths);
    g_test_add_func("/sev/multifd/refused", test_refused);
    g_test_add_func("/sev/multifd/lane", test_lane);
    g_test_add_func("/sev/multifd/lane-hostile", test_lane_hostile);
    g_test_add_func("/sev/multifd/early", test_early);
    g_test_add_func("/sev/multifd/down", test_down);
    return g_test_run();
}
