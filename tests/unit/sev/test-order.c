/*
 * The order in which a target accepts records: every record in every state,
 * against a grid written by hand; and a stream that ends anywhere.
 *
 * The handlers behind order.c's table are replaced by ones that count.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/qemu-file.h"
#include "migration/sev/wire/read.h"
#include "migration/sev/lane.h"
#include "migration/sev/end.h"
#include "migration/sev/page-map.h"
#include "migration/sev/pages.h"
#include "migration/sev/session.h"
#include "migration/sev/vcpus.h"
#include "migration/sev/wire/write.h"
#include "migration/sev/order.h"
#include "migration/sev/template/template.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/template/image.h"
#include "migration/sev/wire/transcript.h"

/* --- What stands in for the rest of QEMU ----------------------------------- */

/* A QEMUFile that is a piece of memory. */
struct QEMUFile {
    const uint8_t *data;
    size_t len, at;
    GByteArray *out;
};

size_t coroutine_mixed_fn sev_bulk_get(QEMUFile *f, uint8_t *buf, size_t size)
{
    size_t len = MIN(size, f->len - f->at);

    memcpy(buf, f->data + f->at, len);
    f->at += len;
    return len;
}

void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    g_byte_array_append(f->out, buf, size);
}

void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
    error_free(err);
}

int qemu_file_get_error_obj(QEMUFile *f, Error **errp)
{
    error_setg(errp, "end of file");
    return -EIO;
}

static struct {
    unsigned calls[SEV_RECORD__MAX];
    bool refuse;                /* what a handler answers */
    unsigned complete;
    unsigned transcript, follow, sections;
} handlers;

static bool handler(const SevRecord *rec, Error **errp)
{
    handlers.calls[rec->type]++;
    if (handlers.refuse) {
        error_setg(errp, "handler refuses");
    }
    return !handlers.refuse;
}

#define HANDLER(name)                                                   \
    bool name(SevTarget *t, const SevRecord *rec, Error **errp)         \
    {                                                                   \
        return handler(rec, errp);                                      \
    }

HANDLER(sev_session_load_hello)
HANDLER(sev_session_load_session)
HANDLER(sev_template_load_manifest)
HANDLER(sev_pages_load_block)
HANDLER(sev_pages_load)
HANDLER(sev_map_load_state)
HANDLER(sev_end_load)
HANDLER(sev_lane_load_lane)
HANDLER(sev_vcpus_load_list)
HANDLER(sev_vcpus_load)
HANDLER(sev_image_load)
HANDLER(sev_image_load_headers)
HANDLER(sev_image_load_digest)
HANDLER(sev_image_load_shared)

void sev_lane_load_section(SevTarget *t)
{
    handlers.sections++;
}

void sev_tap_add(const void *bytes, size_t len)
{
}

void sev_tap_follow(QEMUFile *f, bool is_input)
{
}

void sev_transcript_pages(const uint8_t *record)
{
    handlers.transcript++;
}

void sev_transcript_follow(QEMUFile *f, bool is_input)
{
    handlers.follow++;
}

void qemu_set_offset(QEMUFile *f, off_t off, int whence)
{
    g_assert_not_reached();
}

bool sev_pages_blocks_complete(SevTarget *t, Error **errp)
{
    handlers.complete++;
    return true;
}

bool sev_vcpus_listed(const SevTarget *t, Error **errp)
{
    return true;
}

/* --- The grid --------------------------------------------------------------- */

#define HEX64 "00112233445566778899aabbccddeeff" \
              "0123456789abcdef0123456789abcdef"

static SevSpan text(const char *s)
{
    return (SevSpan) { (const uint8_t *)s, strlen(s) };
}

static void encode(SevRecordType type, GByteArray *out)
{
    static const uint8_t blob[SEV_RECORD_SESSION_LEN];
    static const uint8_t packet[SEV_RECORD_PACKET_LEN];
    SevSpan one = { blob, 1 };
    SevRecord rec = { .type = type };

    switch (type) {
    case SEV_RECORD_HELLO:
        rec.u.hello.fingerprint = text(HEX64);
        break;
    case SEV_RECORD_CERTS:
        rec.u.certs = (SevRecordCerts) { .pdh = one, .plat = one };
        break;
    case SEV_RECORD_MANIFEST:
        rec.u.manifest.fingerprint = text(HEX64);
        rec.u.manifest.machine = text("pc-q35-10.0");
        rec.u.manifest.cpu = text("EPYC-v4-x86_64-cpu");
        rec.u.manifest.chip = text(HEX64);
        rec.u.manifest.ram_layout = text(HEX64);
        break;
    case SEV_RECORD_SESSION:
        rec.u.session.target = text(HEX64);
        rec.u.session.pdh = one;
        rec.u.session.session = (SevSpan) { blob, sizeof(blob) };
        break;
    case SEV_RECORD_BLOCK:
        rec.u.block.name = text("ram");
        break;
    case SEV_RECORD_DIGEST:
        rec.u.digest.digest = (SevSpan) { blob, SEV_RECORD_DIGEST_LEN };
        break;
    case SEV_RECORD_LANE:
        rec.u.lane.program = (SevSpan) { blob, SEV_RECORD_DIGEST_LEN };
        break;
    case SEV_RECORD_SEALED:
        rec.u.sealed.packet = (SevSpan) { packet, sizeof(packet) };
        break;
    case SEV_RECORD_VMSA:
        rec.u.vmsa.packet = (SevSpan) { packet, sizeof(packet) };
        break;
    case SEV_RECORD_WRAP:
        rec.u.wrap.image = (SevSpan) { blob, SEV_RECORD_DIGEST_LEN };
        rec.u.wrap.chip = text(HEX64);
        break;
    case SEV_RECORD_ACK:
        rec.u.ack.digest = (SevSpan) { blob, SEV_RECORD_DIGEST_LEN };
        break;
    default:
        break;
    }
    sev_record_encode(&rec, out);
}

#define NO SEV_STREAM__MAX
#define START SEV_STREAM_START
#define ASKED SEV_STREAM_ASKED
#define OFFERED SEV_STREAM_OFFERED
#define BLOCKS SEV_STREAM_BLOCKS
#define PAGES SEV_STREAM_PAGES
#define MAP SEV_STREAM_MAP
#define ENDED SEV_STREAM_ENDED
#define ACKED SEV_STREAM_ACKED
#define TOLD SEV_STREAM_TOLD

/* Next state, by state and record type; docs/interop/sev-record.rst. */
static const SevStreamState grid[SEV_STREAM__MAX][SEV_RECORD__MAX] = {
/*
 *          -   HELLO  CERTS MANIFEST SESSION BLOCK   PAGES  STATE BREAK  END
 *          IMAGE   HEADERS DIGEST SHARED ACK GO  LANE   SEALED VCPUS VMSA WRAP
 */
[START] = { NO, ASKED, NO,   OFFERED, BLOCKS, NO,     NO,    NO,   NO,    NO,
            NO,     NO,     NO,    NO,    NO, NO, NO,     NO,    NO, NO, NO },
[ASKED] = { NO, NO,    NO,   NO,      BLOCKS, NO,     NO,    NO,   NO,    NO,
            NO,     NO,     NO,    NO,    NO, NO, NO,     NO,    NO, NO, NO },
[OFFERED] = { NO, NO,  NO,   NO,      BLOCKS, NO,     NO,    NO,   NO,    NO,
            NO,     NO,     NO,    NO,    NO, NO, NO,     NO,    NO, NO, NO },
[BLOCKS] = { NO, NO,   NO,   NO,      NO,     BLOCKS, NO,    NO,   PAGES, NO,
            BLOCKS, NO,     NO,    NO,    NO, NO, BLOCKS, NO,    BLOCKS, NO, NO },
[PAGES] = { NO, NO,    NO,   NO,      NO,     NO,     PAGES, MAP,  PAGES, ENDED,
            NO,     PAGES,  NO,    NO,    NO, NO, NO,     NO,    NO, NO, NO },
[MAP] = {   NO, NO,    NO,   NO,      NO,     NO,     NO,    MAP,  NO,    ENDED,
            NO,     NO,     MAP,   MAP,   NO, NO, NO,     NO,    NO, MAP, NO },
[ENDED] = { NO, NO,    NO,   NO,      NO,     NO,     NO,    NO,   NO,    NO,
            NO,     NO,     NO,    NO,    NO, NO, NO,     NO,    NO, NO, NO },
[ACKED] = { NO, NO,    NO,   NO,      NO,     NO,     NO,    NO,   NO,    NO,
            NO,     NO,     NO,    NO,    NO, TOLD, NO,     NO,    NO, NO, NO },
[TOLD] = {  NO, NO,    NO,   NO,      NO,     NO,     NO,    NO,   NO,    NO,
            NO,     NO,     NO,    NO,    NO, NO, NO,     NO,    NO, NO, NO },
};

static void test_order(void)
{
    for (int state = 0; state < SEV_STREAM__MAX; state++) {
        for (int type = 1; type < SEV_RECORD__MAX; type++) {
            g_autoptr(GByteArray) out = g_byte_array_new();
            SevStreamState next = grid[state][type];
            SevTarget *t = sev_target_new();
            Error *err = NULL;
            bool ok;

            encode(type, out);
            memset(&handlers, 0, sizeof(handlers));
            t->state = state;
            ok = sev_stream_load_bytes(t, out->data, out->len, &err);
            g_assert_cmpint(ok, ==, next != NO);
            g_assert_cmpint(ok, ==, !err);
            g_assert_cmpint(t->state, ==, ok ? next : state);
            g_assert_cmpuint(t->seen[type], ==, ok);
            g_assert_cmpuint(handlers.calls[type], ==,
                             ok && type != SEV_RECORD_BREAK &&
                             type != SEV_RECORD_GO);
            if (!ok) {
                g_assert_nonnull(strstr(error_get_pretty(err),
                                        "out of place"));
                g_assert_nonnull(strstr(error_get_pretty(err),
                                        sev_record_name(type)));
                error_free(err);
            }
            sev_target_free(t);
        }
    }
}

/* A handler that refuses: the state stays, so nothing can follow on. */
static void test_refused(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevTarget *t = sev_target_new();
    Error *err = NULL;

    encode(SEV_RECORD_SESSION, out);
    memset(&handlers, 0, sizeof(handlers));
    handlers.refuse = true;
    g_assert_false(sev_stream_load_bytes(t, out->data, out->len, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "handler refuses");
    g_assert_cmpint(t->state, ==, SEV_STREAM_START);
    error_free(err);
    sev_target_free(t);
}

/* --- Whole streams ----------------------------------------------------------- */

static const SevRecordType whole[] = {
    SEV_RECORD_HELLO, SEV_RECORD_SESSION, SEV_RECORD_BLOCK, SEV_RECORD_BLOCK,
    SEV_RECORD_BREAK,
    SEV_RECORD_PAGES, SEV_RECORD_PAGES, SEV_RECORD_BREAK,
    SEV_RECORD_BREAK,
    SEV_RECORD_PAGES, SEV_RECORD_STATE, SEV_RECORD_STATE, SEV_RECORD_END,
};
#define SECTIONS 4

/* Load sections until one fails or all are in; how many were. */
static int load(SevTarget *t, const uint8_t *data, size_t len, Error **errp)
{
    QEMUFile f = { .data = data, .len = len };
    int i;

    memset(&handlers, 0, sizeof(handlers));
    for (i = 0; i < SECTIONS; i++) {
        if (!sev_stream_load(t, &f, errp)) {
            break;
        }
    }
    return i;
}

static GByteArray *whole_stream(void)
{
    GByteArray *out = g_byte_array_new();

    for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
        encode(whole[i], out);
    }
    return out;
}

static void test_whole(void)
{
    g_autoptr(GByteArray) out = whole_stream();
    SevTarget *t = sev_target_new();
    g_autofree char *where = NULL;

    g_assert_cmpint(load(t, out->data, out->len, &error_abort), ==, SECTIONS);
    g_assert_cmpint(t->state, ==, SEV_STREAM_ENDED);
    g_assert_cmpuint(handlers.calls[SEV_RECORD_PAGES], ==, 3);
    g_assert_cmpuint(handlers.calls[SEV_RECORD_STATE], ==, 2);
    g_assert_cmpuint(handlers.complete, ==, 1);
    g_assert_cmpuint(handlers.transcript, ==, 3);       /* PAGES */
    g_assert_cmpuint(handlers.follow, ==, 1);           /* END */
    g_assert_cmpuint(handlers.sections, ==, SECTIONS);
    where = sev_stream_where(t);
    g_assert_cmpstr(where, ==, "1 HELLO, 1 SESSION, 2 BLOCK, 3 PAGES, "
                    "2 STATE, 3 BREAK, 1 END");
    sev_target_free(t);
}

/* GO, when our acknowledgement is out: it, and nothing else. */
static void test_go(void)
{
    static const SevRecordType types[] = {
        SEV_RECORD_GO, SEV_RECORD_BREAK, SEV_RECORD_PAGES, SEV_RECORD_END,
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        bool is_go = types[i] == SEV_RECORD_GO;
        SevTarget *t = sev_target_new();
        Error *err = NULL;

        encode(types[i], out);
        for (size_t len = 0; len <= out->len; len++) {
            QEMUFile f = { .data = out->data, .len = len };

            t->state = SEV_STREAM_ACKED;
            g_assert_cmpint(sev_stream_load_go(t, &f, &err), ==,
                            is_go && len == out->len);
            g_assert_cmpint(!err, ==, is_go && len == out->len);
            error_free(err);
            err = NULL;
        }
        sev_target_free(t);
    }
}

/* Wherever it is cut, it does not end, and the error says "cut short". */
static void test_cut(void)
{
    g_autoptr(GByteArray) out = whole_stream();

    for (size_t len = 0; len < out->len; len++) {
        g_autofree uint8_t *copy = g_memdup2(out->data, len);
        SevTarget *t = sev_target_new();
        Error *err = NULL;

        g_assert_cmpint(load(t, copy, len, &err), <, SECTIONS);
        g_assert_cmpint(t->state, !=, SEV_STREAM_ENDED);
        g_assert_nonnull(strstr(error_get_pretty(err), "cut short in a"));
        g_assert_nonnull(strstr(error_get_pretty(err), "end of file"));
        error_free(err);
        sev_target_free(t);
    }
}

/* Put and get are inverse, through a file. */
static void test_put(void)
{
    g_autoptr(GByteArray) want = g_byte_array_new();
    g_autoptr(GByteArray) got = g_byte_array_new();
    QEMUFile f = { .out = got };
    SevRecord rec = { .type = SEV_RECORD_END,
                      .u.end = { .packets = 1, .private_pages = 2 } };

    sev_record_put(&f, &rec);
    sev_record_encode(&rec, want);
    g_assert_cmpmem(got->data, got->len, want->data, want->len);
}

/* One record with room behind it, as the manifest's section has. */
static void test_padded(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevTarget *t = sev_target_new();
    Error *err = NULL;
    guint len;

    memset(&handlers, 0, sizeof(handlers));
    encode(SEV_RECORD_MANIFEST, out);
    len = out->len;
    g_byte_array_set_size(out, 1024);
    memset(out->data + len, 0, 1024 - len);
    g_assert_true(sev_stream_load_bytes(t, out->data, 1024, &error_abort));
    g_assert_cmpint(t->state, ==, SEV_STREAM_OFFERED);

    t->state = SEV_STREAM_START;
    g_assert_false(sev_stream_load_bytes(t, out->data, len - 1, &err));
    g_assert_cmpint(t->state, ==, SEV_STREAM_START);
    error_free(err);
    err = NULL;
    g_assert_false(sev_stream_load_bytes(t, out->data, 3, &err));
    error_free(err);
    sev_target_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/stream/order", test_order);
    g_test_add_func("/sev/stream/refused", test_refused);
    g_test_add_func("/sev/stream/whole", test_whole);
    g_test_add_func("/sev/stream/go", test_go);
    g_test_add_func("/sev/stream/cut", test_cut);
    g_test_add_func("/sev/stream/put", test_put);
    g_test_add_func("/sev/stream/padded", test_padded);
    return g_test_run();
}
