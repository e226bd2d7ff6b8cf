/*
 * Any bytes as an incoming migration: refused in words, or loaded so that the
 * guest's pages are what the records said.
 *
 * Everything of migration/sev that reads a stream is the real code: records,
 * their order, session, blocks, pages, images, page state, end.  Below it, in place of
 * transfer.h, is a model: three RAM blocks, a bit per page, and a secure
 * processor that knows its states and whether a packet is good.
 *
 * SEV_FUZZ_SEED=FILE makes a good stream and ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "migration/migration.h"
#include "migration/sev/end.h"
#include "migration/sev/pages.h"
#include "migration/sev/wire/write.h"
#include "migration/sev/session.h"
#include "migration/sev/order.h"
#include "migration/sev/template/image.h"
#include "qemu/module.h"
#include "model.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Nobody cancels the good stream. */
MigrationState *migrate_get_current(void)
{
    static MigrationState state;

    return &state;
}

/* --- A good stream ----------------------------------------------------------- */

static void put_session(QEMUFile *f)
{
    static const uint8_t zeros[SEV_RECORD_SESSION_LEN];
    SevRecord rec = {
        .type = SEV_RECORD_SESSION,
        .u.session = {
            .policy = 1, .handle = 1, .api_major = 1, .api_minor = 55,
            .measurement = { (const uint8_t *)"bWVhc3VyZW1lbnQ=", 16 },
            .target = { (const uint8_t *)MODEL_FINGERPRINT,
                        SEV_RECORD_FINGERPRINT_LEN },
            .pdh = { zeros, 64 },
            .session = { zeros, sizeof(zeros) },
        },
    };

    sev_record_put(f, &rec);
}

/* Some private pages of each block; down the stream, or into an image. */
static void put_pages(SevSource *s, QEMUFile *f)
{
    for (int i = 0; i < MODEL_BLOCKS; i++) {
        for (int page = i; page < 4; page += 2) {
            model_set_private(i, page);
            sev_pages_queue(s, model_block(i), page * MODEL_PAGE);
        }
    }
    sev_pages_save(s, f, true, &error_abort);
}

static void put_break(QEMUFile *f)
{
    SevRecord rec = { .type = SEV_RECORD_BREAK };

    sev_record_put(f, &rec);
}

static void put_image_in_place(QEMUFile *f)
{
    SevRecord rec = {
        .type = SEV_RECORD_IMAGE,
        .u.image = {
            .block = MODEL_FILE_BLOCK, .method = SEV_METHOD_PACKET,
            .layout = SEV_LAYOUT_IN_PLACE,
        },
    };

    sev_record_put(f, &rec);
}

/* Of zeros, as the file of the block is. */
static void put_headers_in_place(QEMUFile *f)
{
    static const uint8_t zeros[2 * SEV_RECORD_PACKET_HDR];
    SevRecord rec = {
        .type = SEV_RECORD_HEADERS,
        .u.headers = {
            .block = MODEL_FILE_BLOCK, .offset = MODEL_PAGE, .count = 2,
            .headers = { zeros, sizeof(zeros) },
        },
    };

    sev_record_put(f, &rec);
    model_set_private(MODEL_FILE_BLOCK, 1);
    model_set_private(MODEL_FILE_BLOCK, 2);
}

static GByteArray *good_stream(const char *kind)
{
    QEMUFile *f = model_file(NULL, 0);
    SevSource *s = sev_source_new();

    model_reset();
    put_session(f);
    sev_pages_save_blocks(s, f, &error_abort);
    if (g_str_equal(kind, "mapped")) {
        sev_image_save_begin(s, f);
        put_pages(s, f);
    } else if (g_str_equal(kind, "in-place")) {
        put_image_in_place(f);
        put_break(f);
        put_headers_in_place(f);
        put_break(f);
    } else {
        put_break(f);
        put_pages(s, f);
        put_break(f);
    }
    sev_end_save(s, f, &error_abort);
    sev_source_free(s);
    return model_file_free(f);
}

/* SEV_FUZZ_SEED=FILE, SEV_FUZZ_KIND=stream, mapped or in-place */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *seed = getenv("SEV_FUZZ_SEED");
    const char *kind = getenv("SEV_FUZZ_KIND");

    module_call_init(MODULE_INIT_QOM);
    if (seed) {
        g_autoptr(GByteArray) bytes = good_stream(kind ?: "stream");

        exit(!g_file_set_contents(seed, (char *)bytes->data, bytes->len,
                                  NULL));
    }
    return 0;
}

/* --- A stream of records, changed --------------------------------------------- */

typedef struct Slice {
    size_t at, len;
} Slice;

/* The record that contains byte @pos of a stream, as its headers say. */
static Slice record_at(const uint8_t *data, size_t size, size_t pos)
{
    Slice s = { 0, 0 };

    while (s.at + s.len <= pos) {
        s.at += s.len;
        s.len = size - s.at;
        if (s.len >= SEV_RECORD_HEADER_LEN) {
            uint64_t payload = ldq_be_p(data + s.at + 8);

            s.len = MIN(s.len - SEV_RECORD_HEADER_LEN, payload) +
                    SEV_RECORD_HEADER_LEN;
        }
    }
    return s;
}

static size_t drop(uint8_t *data, size_t size, Slice s)
{
    memmove(data + s.at, data + s.at + s.len, size - s.at - s.len);
    return size - s.len;
}

static size_t twice(uint8_t *data, size_t size, size_t max_size, Slice s)
{
    if (size + s.len > max_size) {
        return size;
    }
    memmove(data + s.at + s.len, data + s.at, size - s.at);
    return size + s.len;
}

/* A payload of another length, and a header that agrees. */
static size_t resize(uint8_t *data, size_t size, size_t max_size, Slice s)
{
    g_autofree uint8_t *payload = NULL;
    size_t len, room = max_size - size, rest = size - s.at - s.len;

    if (s.len <= SEV_RECORD_HEADER_LEN) {
        return size;
    }
    len = s.len - SEV_RECORD_HEADER_LEN;
    room = MIN(room, 8192) + len;
    payload = g_malloc0(room);
    memcpy(payload, data + s.at + SEV_RECORD_HEADER_LEN, len);
    len = LLVMFuzzerMutate(payload, len, room);
    memmove(data + s.at + SEV_RECORD_HEADER_LEN + len, data + s.at + s.len,
            rest);
    memcpy(data + s.at + SEV_RECORD_HEADER_LEN, payload, len);
    stq_be_p(data + s.at + 8, len);
    return s.at + SEV_RECORD_HEADER_LEN + len + rest;
}

/* One of the 64-bit numbers that begin every payload. */
static size_t renumber(uint8_t *data, size_t size, Slice s, unsigned seed)
{
    static const uint64_t likely[] = {
        0, 1, 2, MODEL_PAGE, 16 * MODEL_PAGE, UINT64_MAX, INT64_MIN,
        UINT64_MAX - MODEL_PAGE + 1, UINT32_MAX, 64, 65, 4096, 4097,
    };
    size_t at = SEV_RECORD_HEADER_LEN + 8 * (seed / 97 % 5);

    if (at + 8 <= s.len) {
        uint64_t was = ldq_be_p(data + s.at + at);

        stq_be_p(data + s.at + at, seed & 1 ? was + MODEL_PAGE
                                            : likely[seed % G_N_ELEMENTS(likely)]);
    }
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    Slice s;

    if (!size) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    s = record_at(data, size, seed / 13 % size);
    switch (seed % 8) {
    case 0:
        return drop(data, size, s);
    case 1:
        return twice(data, size, max_size, s);
    case 2:
        return LLVMFuzzerMutate(data, size, max_size);
    case 3:
    case 4:
        return renumber(data, size, s, seed / 8);
    default:
        return resize(data, size, max_size, s);
    }
}

/* --- One migration ------------------------------------------------------------ */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    QEMUFile *f = model_file(data, size);
    SevTarget *t = sev_target_new();
    g_autofree char *where = NULL;
    Error *err = NULL;
    bool ok;

    model_reset();
    /* The guest's choice; the stream's length makes it. */
    model_first_touch = size % 4 != 0;
    model_open = size % 4 == 1 ? SEV_TEMPLATE_OPEN_SWEEP
                               : SEV_TEMPLATE_OPEN_FIRST_TOUCH;
    do {
        ok = sev_stream_load(t, f, &err);
        g_assert(ok == !err);
    } while (ok && t->state != SEV_STREAM_ENDED);
    where = sev_stream_where(t);
    g_assert(where);
    model_check(ok, t);
    error_free(err);
    sev_target_free(t);
    g_byte_array_unref(model_file_free(f));
    return 0;
}
