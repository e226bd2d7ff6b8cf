/*
 * The digest that both ends of a move have: equal when they saw the same, and
 * different when anything that it stands for differs.
 *
 * With the real tap and the real QEMUFile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "crypto/init.h"
#include "io/channel-buffer.h"
#include "migration/qemu-file.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/wire/transcript.h"

#define DEVICES "device state, and what comes behind it"

/* What a stream is made of; each can be changed. */
typedef struct Stream {
    uint8_t session;            /* a byte of the record */
    uint64_t offset;            /* of the second packet of the main channel */
    uint8_t mac;                /* a byte of its header */
    uint8_t data;               /* ... of its data */
    uint8_t channel;            /* a channel that had a record */
    uint8_t channel_mac;
    uint8_t device;             /* a byte behind END */
} Stream;

static const Stream plain = {
    .session = 's', .offset = 4096, .mac = 'm', .data = 'd', .channel = 1,
    .channel_mac = 'c', .device = 'v',
};

/* A PAGES record of three packets. */
static const uint8_t *record(uint64_t offset, uint8_t mac, uint8_t data)
{
    static uint8_t buf[SEV_RECORD_MAX];

    for (size_t i = 0; i < 3; i++) {
        uint8_t *packet = sev_pages_packet(buf, i);

        memset(packet, mac, SEV_RECORD_PACKET_HDR);
        memset(packet + SEV_RECORD_PACKET_HDR, data, SEV_RECORD_PACKET_DATA);
        sev_pages_set_offset(buf, i, i == 1 ? offset : i * 8192);
    }
    sev_pages_end(buf, 0, 3);
    return buf;
}

static void both_ends(const Stream *s)
{
    uint8_t session[100];

    memset(session, s->session, sizeof(session));
    g_assert_true(sev_transcript_begin(&error_abort));
    sev_tap_add(session, sizeof(session));
    sev_transcript_pages(record(s->offset, s->mac, s->data));
    sev_transcript_channel(s->channel, record(4096, s->channel_mac, 'x'));
    sev_transcript_channel(7, record(8192, 's', 'x'));
}

/* What goes over the wire to @copy. */
static void source(const Stream *s, QIOChannelBuffer *copy, uint8_t *digest)
{
    QIOChannelBuffer *wire = qio_channel_buffer_new(1024);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(wire));
    char devices[] = DEVICES;

    devices[5] = s->device;
    both_ends(s);
    qemu_put_buffer(f, (const uint8_t *)"before", 6);
    sev_transcript_follow(f, false);
    qemu_put_buffer(f, (const uint8_t *)devices, sizeof(devices));
    g_assert_true(sev_transcript_end(f, digest));
    qemu_put_buffer(f, (const uint8_t *)"after", 5);
    qemu_fflush(f);
    qio_channel_write_all(QIO_CHANNEL(copy), (char *)wire->data, wire->usage,
                          &error_abort);
    copy->offset = 0;
    qemu_fclose(f);
    object_unref(OBJECT(wire));
}

static void target(const Stream *s, QIOChannelBuffer *wire, uint8_t *digest)
{
    QEMUFile *f = qemu_file_new_input(QIO_CHANNEL(wire));
    uint8_t bytes[6];

    both_ends(s);
    qemu_get_buffer(f, bytes, 6);
    g_assert_cmpmem(bytes, 6, "before", 6);
    sev_transcript_follow(f, true);
    for (size_t i = 0; i < sizeof(DEVICES); i++) {
        qemu_get_byte(f);
    }
    g_assert_true(sev_transcript_end(f, digest));
    qemu_get_buffer(f, bytes, 5);
    g_assert_cmpmem(bytes, 5, "after", 5);
    qemu_fclose(f);
}

static void digests(const Stream *s, uint8_t *sent, uint8_t *got)
{
    QIOChannelBuffer *wire = qio_channel_buffer_new(1024);

    source(s, wire, sent);
    target(s, wire, got);
    object_unref(OBJECT(wire));
}

static void test_equal(void)
{
    uint8_t one[SEV_RECORD_DIGEST_LEN], two[SEV_RECORD_DIGEST_LEN];

    digests(&plain, one, two);
    g_assert_cmpmem(one, sizeof(one), two, sizeof(two));
}

static void assert_differs(const Stream *s, bool differs)
{
    uint8_t one[SEV_RECORD_DIGEST_LEN], two[SEV_RECORD_DIGEST_LEN];
    uint8_t was[SEV_RECORD_DIGEST_LEN];

    digests(&plain, was, two);
    digests(s, one, two);
    g_assert_cmpmem(one, sizeof(one), two, sizeof(two));
    g_assert_true(!memcmp(one, was, sizeof(one)) != differs);
}

static void test_differs(void)
{
    Stream s = plain;

    s.session++;
    assert_differs(&s, true);
    s = plain;
    s.offset = 12288;
    assert_differs(&s, true);
    s = plain;
    s.mac++;
    assert_differs(&s, true);
    s = plain;
    s.channel = 2;
    assert_differs(&s, true);
    s = plain;
    s.channel_mac++;
    assert_differs(&s, true);
    s = plain;
    s.device++;
    assert_differs(&s, true);
    /* The MAC stands for it. */
    s = plain;
    s.data++;
    assert_differs(&s, false);
}

/* One that came to nothing leaves nothing; one that never began is none. */
static void test_none(void)
{
    QIOChannelBuffer *wire = qio_channel_buffer_new(64);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(wire));
    uint8_t digest[SEV_RECORD_DIGEST_LEN];

    sev_transcript_channel(1, record(0, 'm', 'd'));
    sev_transcript_follow(f, false);
    g_assert_false(sev_transcript_end(f, digest));

    both_ends(&plain);
    g_assert_false(sev_transcript_end(f, digest));      /* END was not seen */
    sev_transcript_drop();
    g_assert_false(sev_tap_is_open());
    test_equal();
    qemu_fclose(f);
    object_unref(OBJECT(wire));
}

/* A template's digest is another's business. */
static void test_template(void)
{
    g_assert_true(sev_tap_begin(&error_abort));
    sev_transcript_drop();
    g_assert_true(sev_tap_is_open());
    sev_tap_drop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    qcrypto_init(&error_abort);
    g_test_add_func("/sev/transcript/equal", test_equal);
    g_test_add_func("/sev/transcript/differs", test_differs);
    g_test_add_func("/sev/transcript/none", test_none);
    g_test_add_func("/sev/transcript/template", test_template);
    return g_test_run();
}
