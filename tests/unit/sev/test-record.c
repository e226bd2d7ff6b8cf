/*
 * Records: round trip, truncated at every length, every field at its limits,
 * and the streams of earlier releases.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "migration/sev/wire/record.h"

#define HEX64 "00112233445566778899aabbccddeeff" \
              "0123456789abcdef0123456789abcdef"

static SevSpan span(const void *data, size_t len)
{
    return (SevSpan) { .data = data, .len = len };
}

static SevSpan text(const char *s)
{
    return span(s, strlen(s));
}

/* Bytes that are easy to find again in a hex dump. */
static SevSpan filler(size_t len)
{
    static uint8_t bytes[SEV_RECORD_PLAT_MAX];

    g_assert_cmpuint(len, <=, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = i * 7 + (i >> 8);
    }
    return span(bytes, len);
}

static GByteArray *pages(size_t count)
{
    GByteArray *out = g_byte_array_new();

    g_byte_array_set_size(out, count * SEV_RECORD_PAGE_LEN);
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = out->data + i * SEV_RECORD_PAGE_LEN;

        stq_be_p(at, i * 4096);
        memset(at + 8, 0x11 * (i % 15 + 1), SEV_RECORD_PACKET_HDR);
        memset(at + 8 + SEV_RECORD_PACKET_HDR, 0xa0 + i % 16,
               SEV_RECORD_PACKET_DATA);
    }
    return out;
}

/* One of each type, as a stream has them; and the largest of some. */
static GPtrArray *samples(void)
{
    GPtrArray *all = g_ptr_array_new();
    static GByteArray *two, *most, *runs, *many;
    SevRecord *r;

    if (!two) {
        two = pages(2);
        most = pages(SEV_RECORD_PAGES_MAX);
        runs = g_byte_array_new();
        sev_runs_append(runs, 0x1000, 0x2000);
        sev_runs_append(runs, 0x8000, 0x1000);
        many = g_byte_array_new();
        for (size_t i = 0; i < SEV_RECORD_RUNS_MAX; i++) {
            sev_runs_append(many, i * 0x2000, 0x1000);
        }
    }
#define ADD(...) do {                                           \
        r = g_new(SevRecord, 1);                                \
        *r = (SevRecord) { __VA_ARGS__ };                       \
        g_ptr_array_add(all, r);                                \
    } while (0)

    ADD(.type = SEV_RECORD_HELLO, .u.hello = {
            .policy = 1, .api_major = 0, .api_minor = 24, .build = 15,
            .fingerprint = text(HEX64) });
    ADD(.type = SEV_RECORD_CERTS, .u.certs = {
            .pdh = filler(2084), .plat = filler(6252),
            .amd = filler(3200) });
    ADD(.type = SEV_RECORD_MANIFEST, .u.manifest = {
            .layout = SEV_LAYOUT_STREAM, .policy = 1, .api_minor = 24,
            .build = 15, .page_size = 4096, .blocks = 1,
            .ram_bytes = 0x20000000, .fingerprint = text(HEX64),
            .measurement = text("bWVhc3VyZW1lbnQ="),
            .machine = text("pc-q35-10.0"), .method = SEV_METHOD_PACKET,
            .vcpus = 2, .cpu = text("EPYC-v4-x86_64-cpu"),
            .chip = text(HEX64), .ram_layout = text(HEX64) });
    ADD(.type = SEV_RECORD_SESSION, .u.session = {
            .policy = 1, .handle = 7, .api_minor = 24, .build = 15,
            .measurement = text("bWVhc3VyZW1lbnQ="), .target = text(HEX64),
            .pdh = filler(2084), .session = filler(SEV_RECORD_SESSION_LEN) });
    ADD(.type = SEV_RECORD_BLOCK, .u.block = {
            .number = 0, .length = 0x10000, .name = text("pc.ram") });
    ADD(.type = SEV_RECORD_PAGES, .u.pages = {
            .block = 0, .count = 2, .pages = span(two->data, two->len) });
    ADD(.type = SEV_RECORD_STATE, .u.state = {
            .block = 0, .offset = 0, .length = 0x10000, .count = 2,
            .runs = span(runs->data, runs->len) });
    ADD(.type = SEV_RECORD_BREAK);
    ADD(.type = SEV_RECORD_END, .u.end = {
            .packets = 2, .private_pages = 3 });
    ADD(.type = SEV_RECORD_MANIFEST, .u.manifest = {
            .layout = SEV_LAYOUT_MAPPED, .policy = 1, .api_minor = 24,
            .build = 15, .page_size = 4096, .blocks = 1,
            .ram_bytes = 0x20000000, .fingerprint = text(HEX64),
            .machine = text("pc-q35-10.0"), .cpu = text("c"),
            .chip = text(HEX64), .ram_layout = text(HEX64) });
    ADD(.type = SEV_RECORD_IMAGE, .u.image = {
            .block = 1, .method = SEV_METHOD_PACKET,
            .layout = SEV_LAYOUT_MAPPED, .pages = 0x20000,
            .headers = 0x10000 });
    ADD(.type = SEV_RECORD_HEADERS, .u.headers = {
            .block = 0, .offset = 0x3000, .count = 2,
            .headers = filler(2 * SEV_RECORD_PACKET_HDR) });
    ADD(.type = SEV_RECORD_DIGEST, .u.digest = {
            .digest = filler(SEV_RECORD_DIGEST_LEN) });
    ADD(.type = SEV_RECORD_ACK, .u.ack = {
            .digest = filler(SEV_RECORD_DIGEST_LEN),
            .report = filler(SEV_RECORD_REPORT_LEN) });
    ADD(.type = SEV_RECORD_ACK, .u.ack = {
            .digest = filler(SEV_RECORD_DIGEST_LEN), .status = 2 });
    ADD(.type = SEV_RECORD_GO);
    ADD(.type = SEV_RECORD_LANE, .u.lane = {
            .program = filler(SEV_RECORD_DIGEST_LEN), .count = 2,
            .packets = span(two->data, two->len) });
    ADD(.type = SEV_RECORD_SEALED, .u.sealed = {
            .packet = filler(SEV_RECORD_PACKET_LEN) });
    ADD(.type = SEV_RECORD_VCPUS, .u.vcpus = {
            .ghcb = 2, .count = 2, .ids = filler(16) });
    ADD(.type = SEV_RECORD_VMSA, .u.vmsa = {
            .number = 1, .packet = filler(SEV_RECORD_PACKET_LEN) });
    ADD(.type = SEV_RECORD_WRAP, .u.wrap = {
            .image = filler(SEV_RECORD_DIGEST_LEN), .chip = text(HEX64) });

    /* At the limits. */
    ADD(.type = SEV_RECORD_PAGES, .u.pages = {
            .block = UINT64_MAX, .count = SEV_RECORD_PAGES_MAX,
            .pages = span(most->data, most->len) });
    ADD(.type = SEV_RECORD_PAGES);
    ADD(.type = SEV_RECORD_STATE, .u.state = {
            .block = UINT64_MAX, .offset = UINT64_MAX, .length = UINT64_MAX,
            .count = SEV_RECORD_RUNS_MAX,
            .runs = span(many->data, many->len) });
    ADD(.type = SEV_RECORD_CERTS, .u.certs = {
            .pdh = filler(SEV_RECORD_PDH_MAX),
            .plat = filler(SEV_RECORD_PLAT_MAX),
            .amd = filler(SEV_RECORD_AMD_MAX) });
    ADD(.type = SEV_RECORD_CERTS, .u.certs = {
            .pdh = filler(1), .plat = filler(1) });
    ADD(.type = SEV_RECORD_VCPUS);
    ADD(.type = SEV_RECORD_VCPUS, .u.vcpus = {
            .ghcb = UINT64_MAX, .count = SEV_RECORD_VCPUS_MAX,
            .ids = span(most->data, 8 * SEV_RECORD_VCPUS_MAX) });
#undef ADD
    return all;
}

static void free_samples(GPtrArray *all)
{
    g_ptr_array_set_free_func(all, g_free);
    g_ptr_array_unref(all);
}

/* Decode and encode again: equal bytes mean that no field was lost. */
static void assert_same(const uint8_t *buf, size_t len)
{
    g_autoptr(GByteArray) again = g_byte_array_new();
    SevRecord rec;

    g_assert_true(sev_record_decode(&rec, buf, len, &error_abort));
    sev_record_encode(&rec, again);
    g_assert_cmpmem(again->data, again->len, buf, len);
}

/* The refusal must be in words, and nothing beyond @len may be read. */
static void assert_refused(const uint8_t *buf, size_t len, const char *word)
{
    g_autofree uint8_t *copy = g_memdup2(buf, len);   /* ASan watches it */
    SevRecord rec;
    Error *err = NULL;

    g_assert_false(sev_record_decode(&rec, copy, len, &err));
    g_assert_nonnull(err);
    if (word && !strstr(error_get_pretty(err), word)) {
        g_test_message("no \"%s\" in: %s", word, error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
}

static void test_round_trip(void)
{
    GPtrArray *all = samples();

    for (size_t i = 0; i < all->len; i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();

        sev_record_encode(g_ptr_array_index(all, i), out);
        assert_same(out->data, out->len);
    }
    free_samples(all);
}

static void test_fields(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    GPtrArray *all = samples();
    const SevRecord *in = g_ptr_array_index(all, 3);
    const SevRecordSession *want = &in->u.session;
    SevRecordSession *got;
    SevRecord rec;

    sev_record_encode(in, out);
    g_assert_true(sev_record_decode(&rec, out->data, out->len, &error_abort));
    got = &rec.u.session;
    g_assert_cmpint(rec.type, ==, SEV_RECORD_SESSION);
    g_assert_cmpuint(got->policy, ==, want->policy);
    g_assert_cmpuint(got->handle, ==, want->handle);
    g_assert_cmpuint(got->api_minor, ==, want->api_minor);
    g_assert_cmpuint(got->build, ==, want->build);
    g_assert_cmpmem(got->measurement.data, got->measurement.len,
                    want->measurement.data, want->measurement.len);
    g_assert_cmpmem(got->target.data, got->target.len,
                    want->target.data, want->target.len);
    g_assert_cmpmem(got->pdh.data, got->pdh.len,
                    want->pdh.data, want->pdh.len);
    g_assert_cmpmem(got->session.data, got->session.len,
                    want->session.data, want->session.len);
    free_samples(all);
}

/* Cut anywhere, or with a byte too many: refused. */
static void test_truncated(void)
{
    GPtrArray *all = samples();

    for (size_t i = 0; i < all->len; i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        size_t len, step;

        sev_record_encode(g_ptr_array_index(all, i), out);
        len = out->len;
        step = len > 20000 ? 997 : 1;       /* a prime: meets every field */
        for (size_t cut = 0; cut < len; cut += step) {
            assert_refused(out->data, cut, NULL);
        }
        assert_refused(out->data, len - 1, NULL);
        g_byte_array_append(out, (const uint8_t *)"", 1);
        assert_refused(out->data, len + 1, NULL);
    }
    free_samples(all);
}

/* Cut, with a header that tells the truth about the cut payload. */
static void test_short_payload(void)
{
    GPtrArray *all = samples();

    for (size_t i = 0; i < all->len; i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        size_t step;

        sev_record_encode(g_ptr_array_index(all, i), out);
        step = out->len > 20000 ? 997 : 1;
        for (size_t cut = SEV_RECORD_HEADER_LEN; cut < out->len; cut += step) {
            stq_be_p(out->data + 8, cut - SEV_RECORD_HEADER_LEN);
            assert_refused(out->data, cut, NULL);
        }
    }
    free_samples(all);
}

/* Every aligned word set to values that a hostile source would choose. */
static void test_hostile_words(void)
{
    static const uint64_t values[] = {
        0, 1, 63, 64, 65, 255, 256, 4095, 4096, 4097, 16384, 16385,
        INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX - 7, UINT64_MAX,
    };
    GPtrArray *all = samples();

    for (size_t i = 0; i < all->len; i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        size_t limit;

        sev_record_encode(g_ptr_array_index(all, i), out);
        limit = MIN(out->len, 512) & ~7;
        for (size_t at = 0; at < limit; at += 8) {
            uint64_t was = ldq_be_p(out->data + at);

            for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
                g_autofree uint8_t *copy = NULL;
                SevRecord rec;
                Error *err = NULL;

                stq_be_p(out->data + at, values[v]);
                copy = g_memdup2(out->data, out->len);
                if (sev_record_decode(&rec, copy, out->len, &err)) {
                    assert_same(copy, out->len);
                } else {
                    g_assert_nonnull(err);
                    error_free(err);
                }
            }
            stq_be_p(out->data + at, was);
        }
    }
    free_samples(all);
}

static void test_header(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord rec = { .type = SEV_RECORD_BREAK };
    SevRecordType type;
    size_t len;

    sev_record_encode(&rec, out);
    g_assert_cmpuint(out->len, ==, SEV_RECORD_HEADER_LEN);
    g_assert_true(sev_record_decode_header(out->data, &type, &len,
                                           &error_abort));
    g_assert_cmpint(type, ==, SEV_RECORD_BREAK);
    g_assert_cmpuint(len, ==, 0);

    stw_be_p(out->data + 6, SEV_RECORD_INVALID);
    assert_refused(out->data, out->len, "type 0 is unknown");
    stw_be_p(out->data + 6, SEV_RECORD__MAX);
    assert_refused(out->data, out->len, "is unknown");
    stw_be_p(out->data + 6, 0xffff);
    assert_refused(out->data, out->len, "type 65535 is unknown");
    stw_be_p(out->data + 6, SEV_RECORD_BREAK);

    stw_be_p(out->data + 4, 0);
    assert_refused(out->data, out->len, "version 0");
    stw_be_p(out->data + 4, SEV_RECORD_VERSION + 1);
    assert_refused(out->data, out->len, "version 2, this QEMU reads 1");
    stw_be_p(out->data + 4, SEV_RECORD_VERSION);

    out->data[0] ^= 1;
    assert_refused(out->data, out->len, "not 0x53455652");
    out->data[0] ^= 1;

    stq_be_p(out->data + 8, 1);
    assert_refused(out->data, out->len, "BREAK record of 1 bytes");
    stq_be_p(out->data + 8, UINT64_MAX);
    assert_refused(out->data, out->len, "bytes, not 0 to 0");
}

/* A count one above the limit, with all the bytes that it asks for. */
static void test_count_limits(void)
{
    g_autoptr(GByteArray) most = pages(SEV_RECORD_PAGES_MAX + 1);
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord rec = {
        .type = SEV_RECORD_PAGES,
        .u.pages = { .count = SEV_RECORD_PAGES_MAX,
                     .pages = { most->data,
                                most->len - SEV_RECORD_PAGE_LEN } },
    };
    const uint64_t payload = SEV_RECORD_PAYLOAD_MAX + SEV_RECORD_PAGE_LEN;

    sev_record_encode(&rec, out);
    g_byte_array_append(out, most->data, SEV_RECORD_PAGE_LEN);
    stq_be_p(out->data + SEV_RECORD_HEADER_LEN + 8, SEV_RECORD_PAGES_MAX + 1);
    stq_be_p(out->data + 8, payload);
    assert_refused(out->data, out->len, "PAGES record of");

    /* One page fewer than counted, and one more. */
    g_byte_array_set_size(out, 0);
    rec.u.pages.count = 3;
    rec.u.pages.pages.len = 3 * SEV_RECORD_PAGE_LEN;
    sev_record_encode(&rec, out);
    stq_be_p(out->data + SEV_RECORD_HEADER_LEN + 8, 4);
    assert_refused(out->data, out->len, "field pages needs");
    stq_be_p(out->data + SEV_RECORD_HEADER_LEN + 8, 2);
    assert_refused(out->data, out->len, "bytes too many");
    stq_be_p(out->data + SEV_RECORD_HEADER_LEN + 8, UINT64_MAX / 2);
    assert_refused(out->data, out->len, "the limit is 64");
}

static void test_text(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord rec = {
        .type = SEV_RECORD_BLOCK,
        .u.block = { .length = 4096, .name = text("pc\nram") },
    };

    sev_record_encode(&rec, out);
    assert_refused(out->data, out->len, "not printable");
}

/* Both kinds of HELLO: with the way of handing over, and of before. */
static void test_hello(void)
{
    g_autoptr(GByteArray) old = g_byte_array_new();
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord rec = {
        .type = SEV_RECORD_HELLO,
        .u.hello.fingerprint = text(HEX64),
    };
    SevRecord got;

    sev_record_encode(&rec, old);
    rec.u.hello.handover = SEV_HANDOVER_ACK_GO;
    sev_record_encode(&rec, out);
    g_assert_cmpuint(out->len, ==, old->len + 8);
    assert_same(out->data, out->len);
    g_assert_true(sev_record_decode(&got, old->data, old->len, &error_abort));
    g_assert_cmpuint(got.u.hello.handover, ==, SEV_HANDOVER_NONE);
    g_assert_true(sev_record_decode(&got, out->data, out->len, &error_abort));
    g_assert_cmpuint(got.u.hello.handover, ==, SEV_HANDOVER_ACK_GO);

    for (size_t len = old->len + 1; len < out->len; len++) {
        stq_be_p(out->data + 8, len - SEV_RECORD_HEADER_LEN);
        assert_refused(out->data, len, "field hand-over needs 8 bytes");
    }
    stq_be_p(out->data + 8, out->len - SEV_RECORD_HEADER_LEN);
    stq_be_p(out->data + out->len - 8, 0);
    assert_refused(out->data, out->len, "hand-over is 0");
}

/* A report is whole, or not there. */
static void test_ack(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord rec = {
        .type = SEV_RECORD_ACK,
        .u.ack = { .digest = filler(SEV_RECORD_DIGEST_LEN),
                   .report = filler(SEV_RECORD_REPORT_LEN) },
    };
    size_t at = SEV_RECORD_HEADER_LEN + 8 + SEV_RECORD_DIGEST_LEN + 8;

    sev_record_encode(&rec, out);
    for (size_t len = 1; len < SEV_RECORD_REPORT_LEN; len++) {
        stq_be_p(out->data + at, len);
        stq_be_p(out->data + 8, at + 8 + len - SEV_RECORD_HEADER_LEN);
        assert_refused(out->data, at + 8 + len, "field report has");
    }
}

/* Packets written in place make the same bytes as an encoded record. */
static void test_in_place(void)
{
    g_autoptr(GByteArray) want = pages(5);
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree uint8_t *buf = g_malloc(SEV_RECORD_MAX);
    SevRecord rec = {
        .type = SEV_RECORD_PAGES,
        .u.pages = { .block = 3, .count = 5,
                     .pages = { want->data, want->len } },
    };
    SevRecord got;
    size_t len;

    for (size_t i = 0; i < 5; i++) {
        memcpy(sev_pages_packet(buf, i),
               want->data + i * SEV_RECORD_PAGE_LEN + 8,
               SEV_RECORD_PAGE_LEN - 8);
        sev_pages_set_offset(buf, i, i * 4096);
    }
    len = sev_pages_end(buf, 3, 5);
    sev_record_encode(&rec, out);
    g_assert_cmpmem(buf, len, out->data, out->len);

    g_assert_true(sev_record_decode(&got, buf, len, &error_abort));
    for (size_t i = 0; i < 5; i++) {
        uint64_t offset;
        const uint8_t *packet = sev_record_page(&got.u.pages, i, &offset);

        g_assert_cmpuint(offset, ==, i * 4096);
        g_assert_true(packet == sev_pages_packet(buf, i));
    }
}

static void test_runs(void)
{
    GPtrArray *all = samples();
    SevRecord *in = g_ptr_array_index(all, 6);
    uint64_t offset, length;

    sev_record_run(&in->u.state, 1, &offset, &length);
    g_assert_cmpuint(offset, ==, 0x8000);
    g_assert_cmpuint(length, ==, 0x1000);
    free_samples(all);
}

/*
 * Every record of a stream that an earlier release wrote.  With
 * SEV_GOLDEN_WRITE=FILE in the environment, make that file instead.
 */
static void test_golden(void)
{
    const char *make = getenv("SEV_GOLDEN_WRITE");
    g_autofree char *path = g_build_filename(SEV_STREAMS, "v1",
                                             "records.bin", NULL);
    g_autoptr(GByteArray) want = g_byte_array_new();
    g_autofree char *file = NULL;
    GPtrArray *all = samples();
    size_t len, at = 0;

    for (size_t i = 0; i <= 8; i++) {
        sev_record_encode(g_ptr_array_index(all, i), want);
    }
    free_samples(all);
    if (make) {
        g_assert_true(g_file_set_contents(make, (char *)want->data,
                                          want->len, NULL));
        return;
    }

    g_assert_true(g_file_get_contents(path, &file, &len, NULL));
    while (at < len) {
        const uint8_t *rec = (const uint8_t *)file + at;
        SevRecordType type;
        size_t payload;

        g_assert_cmpuint(len - at, >=, SEV_RECORD_HEADER_LEN);
        g_assert_true(sev_record_decode_header(rec, &type, &payload,
                                               &error_abort));
        g_assert_cmpuint(len - at, >=, SEV_RECORD_HEADER_LEN + payload);
        assert_same(rec, SEV_RECORD_HEADER_LEN + payload);
        at += SEV_RECORD_HEADER_LEN + payload;
    }
    g_assert_cmpmem(file, len, want->data, want->len);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/record/round-trip", test_round_trip);
    g_test_add_func("/sev/record/fields", test_fields);
    g_test_add_func("/sev/record/truncated", test_truncated);
    g_test_add_func("/sev/record/short-payload", test_short_payload);
    g_test_add_func("/sev/record/hostile-words", test_hostile_words);
    g_test_add_func("/sev/record/header", test_header);
    g_test_add_func("/sev/record/count-limits", test_count_limits);
    g_test_add_func("/sev/record/text", test_text);
    g_test_add_func("/sev/record/hello", test_hello);
    g_test_add_func("/sev/record/ack", test_ack);
    g_test_add_func("/sev/record/in-place", test_in_place);
    g_test_add_func("/sev/record/runs", test_runs);
    g_test_add_func("/sev/record/golden", test_golden);
    return g_test_run();
}
