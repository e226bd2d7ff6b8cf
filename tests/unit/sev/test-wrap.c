/*
 * A wrap's file: whatever is changed in it, it is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "migration/sev/session.h"
#include "migration/sev/template/wrap.h"

#define HEX64 "00112233445566778899aabbccddeeff" \
              "0123456789abcdef0123456789abcdef"

static char *path;

/* This platform is the one with that fingerprint. */
bool sev_session_is_here(SevSpan target, SevSpan chip, Error **errp)
{
    if (!sev_span_is(target, HEX64)) {
        error_setg(errp, "elsewhere");
        return false;
    }
    return true;
}

static SevSpan text(const char *s)
{
    return (SevSpan) { (const uint8_t *)s, strlen(s) };
}

static SevRecord session(uint64_t policy)
{
    static const uint8_t blob[SEV_RECORD_SESSION_LEN];

    return (SevRecord) {
        .type = SEV_RECORD_SESSION,
        .u.session = {
            .policy = policy,
            .handle = 7,
            .api_minor = 24,
            .measurement = text("bWVhc3VyZW1lbnQ="),
            .target = text(HEX64),
            .pdh = { blob, 100 },
            .session = { blob, sizeof(blob) },
        },
    };
}

static SevRecord lane(uint8_t program)
{
    static uint8_t sum[SEV_RECORD_DIGEST_LEN];
    static const uint8_t packets[SEV_RECORD_LANE_MAX * SEV_RECORD_PAGE_LEN];

    sum[0] = program;
    return (SevRecord) {
        .type = SEV_RECORD_LANE,
        .u.lane = {
            .program = { sum, sizeof(sum) },
            .count = SEV_RECORD_LANE_MAX,
            .packets = { packets, sizeof(packets) },
        },
    };
}

static GByteArray *manifest(void)
{
    return g_byte_array_append(g_byte_array_new(),
                               (const uint8_t *)"manifest", 8);
}

/* A wrap of the image that manifest() and session(1) begin. */
static GByteArray *whole(void)
{
    g_autoptr(GByteArray) m = manifest(), s = g_byte_array_new();
    GByteArray *out = g_byte_array_new();
    SevRecord one = session(1), packets = lane(0);
    uint8_t id[SEV_RECORD_DIGEST_LEN];

    sev_record_encode(&one, s);
    sev_image_id(m, &one, id);
    sev_wrap_encode(out, id, HEX64, s, &packets);
    return out;
}

static SevWrap *read_bytes(const void *bytes, size_t len, Error **errp)
{
    g_assert_true(g_file_set_contents(path, bytes, len, NULL));
    return sev_wrap_read(path, errp);
}

static void assert_refused(const void *bytes, size_t len)
{
    Error *err = NULL;

    g_assert_null(read_bytes(bytes, len, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), path));
    error_free(err);
}

static void test_whole(void)
{
    g_autoptr(GByteArray) bytes = whole(), m = manifest();
    g_autoptr(SevWrap) w = read_bytes(bytes->data, bytes->len, &error_abort);
    SevRecord one = session(1), packets = lane(0);

    g_assert_cmpuint(bytes->len, <=, SEV_WRAP_MAX);
    g_assert_true(sev_wrap_is_here(w, &error_abort));
    g_assert_true(sev_wrap_fits(w, m, &one, &error_abort));
    g_assert_true(sev_wrap_fits_lane(w, &packets.u.lane, &error_abort));
    g_assert_true(sev_wrap_is_for_method(w, SEV_METHOD_LANE, &error_abort));
    g_assert_cmpuint(w->lane.u.lane.count, ==, SEV_RECORD_LANE_MAX);
}

static void test_changed(void)
{
    g_autoptr(GByteArray) bytes = whole();

    /* Every byte of what is not packets, and every 97th of those. */
    for (size_t i = 0; i < bytes->len; i += i < 1000 ? 1 : 97) {
        bytes->data[i] ^= 1 << i % 8;
        assert_refused(bytes->data, bytes->len);
        bytes->data[i] ^= 1 << i % 8;
    }
    for (size_t i = 1; i < 64; i++) {
        bytes->data[bytes->len - i] ^= 0x80;
        assert_refused(bytes->data, bytes->len);
        bytes->data[bytes->len - i] ^= 0x80;
    }
}

static void test_length(void)
{
    g_autoptr(GByteArray) bytes = whole();

    for (size_t len = 0; len < bytes->len; len += len < 1000 ? 1 : 397) {
        assert_refused(bytes->data, len);
    }
    assert_refused(bytes->data, bytes->len - 1);
    g_byte_array_append(bytes, (const uint8_t *)"", 1);
    assert_refused(bytes->data, bytes->len);
    g_byte_array_set_size(bytes, SEV_WRAP_MAX + 1);
    assert_refused(bytes->data, bytes->len);
}

static void refused(bool ok, Error *err, const char *words)
{
    g_assert_false(ok);
    if (!strstr(error_get_pretty(err), words)) {
        g_test_message("no \"%s\" in: %s", words, error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
}

static void test_wrong_pair(void)
{
    g_autoptr(GByteArray) bytes = whole(), m = manifest();
    g_autoptr(SevWrap) w = read_bytes(bytes->data, bytes->len, &error_abort);
    SevRecord one = session(1), other = session(3), packets = lane(1);
    Error *err = NULL;
    bool ok;

    ok = sev_wrap_fits(w, NULL, &one, &err);
    refused(ok, err, "what comes in is none");
    err = NULL;
    ok = sev_wrap_fits(w, m, &other, &err);
    refused(ok, err, "is of image");
    err = NULL;
    ok = sev_wrap_fits_lane(w, &packets.u.lane, &err);
    refused(ok, err, "another program");
    err = NULL;
    ok = sev_wrap_is_for_method(w, SEV_METHOD_PACKET, &err);
    refused(ok, err, "of packets");
    err = NULL;
    m->data[3] ^= 1;
    ok = sev_wrap_fits(w, m, &one, &err);
    refused(ok, err, "is of image");
}

int main(int argc, char **argv)
{
    g_autofree char *folder = g_dir_make_tmp("sev-wrap-XXXXXX", NULL);
    int ret;

    g_test_init(&argc, &argv, NULL);
    path = g_build_filename(folder, "wrap", NULL);
    g_test_add_func("/sev/wrap/whole", test_whole);
    g_test_add_func("/sev/wrap/changed", test_changed);
    g_test_add_func("/sev/wrap/length", test_length);
    g_test_add_func("/sev/wrap/wrong-pair", test_wrong_pair);
    ret = g_test_run();
    unlink(path);
    rmdir(folder);
    g_free(path);
    return ret;
}
