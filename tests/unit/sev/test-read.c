/*
 * Large reads from a QEMUFile, over a real socket that delivers in pieces.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "io/channel-socket.h"
#include "migration/qemu-file.h"
#include "migration/sev/wire/read.h"
#include "migration/sev/wire/digest.h"

#define LEN (3 * 1024 * 1024 + 77)

/* Neither its value nor its neighbours repeat within a buffer. */
static uint8_t byte_at(size_t i)
{
    return (i * 2654435761u) >> 24;
}

typedef struct Line {
    QEMUFile *in;
    int out;
    size_t sent;                /* by the writer, then it hangs up */
    GThread *writer;
} Line;

static gpointer write_line(gpointer opaque)
{
    Line *line = opaque;
    g_autofree uint8_t *bytes = g_malloc(line->sent);
    size_t at = 0, piece = 1;

    for (size_t i = 0; i < line->sent; i++) {
        bytes[i] = byte_at(i);
    }
    while (at < line->sent) {
        size_t len = MIN(piece, line->sent - at);

        g_assert_cmpint(qemu_write_full(line->out, bytes + at, len), ==, len);
        at += len;
        piece = piece % 100003 * 7 + 1;
    }
    close(line->out);
    return NULL;
}

static void line_open(Line *line, size_t sent)
{
    QIOChannelSocket *ioc;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    ioc = qio_channel_socket_new_fd(fds[0], &error_abort);
    line->in = qemu_file_new_input(QIO_CHANNEL(ioc));
    object_unref(OBJECT(ioc));
    line->out = fds[1];
    line->sent = sent;
    line->writer = g_thread_new("writer", write_line, line);
}

static void line_close(Line *line)
{
    g_thread_join(line->writer);
    qemu_fclose(line->in);
}

/* Small and large reads in turn, each where the one before it ended. */
static void read_line(Line *line)
{
    g_autofree uint8_t *buf = g_malloc(LEN);
    size_t at = 0, turn = 0;

    while (at < LEN) {
        size_t want = MIN((++turn % 3) ? turn * 16 : 200000 + turn, LEN - at);
        size_t got = turn % 2 ? qemu_get_buffer(line->in, buf, want)
                              : sev_bulk_get(line->in, buf, want);

        g_assert_cmpuint(got, ==, want);
        for (size_t i = 0; i < got; i++) {
            g_assert_cmpuint(buf[i], ==, byte_at(at + i));
        }
        at += got;
    }
    g_assert_cmpint(qemu_file_get_error(line->in), ==, 0);
}

static void test_blocking(void)
{
    Line line;

    line_open(&line, LEN);
    read_line(&line);
    line_close(&line);
}

typedef struct Co {
    Line line;
    bool done;
} Co;

static void coroutine_fn co_read(void *opaque)
{
    Co *co = opaque;

    read_line(&co->line);
    co->done = true;
}

static void test_coroutine(void)
{
    Co co = { .done = false };

    line_open(&co.line, LEN);
    qemu_file_set_blocking(co.line.in, false);
    qemu_coroutine_enter(qemu_coroutine_create(co_read, &co));
    while (!co.done) {
        main_loop_wait(false);
    }
    line_close(&co.line);
}

static void test_cut(void)
{
    g_autofree uint8_t *buf = g_malloc(LEN);
    Line line;

    line_open(&line, LEN - 5);
    g_assert_cmpuint(sev_bulk_get(line.in, buf, LEN), ==, LEN - 5);
    g_assert_cmpint(qemu_file_get_error(line.in), !=, 0);
    g_assert_cmpuint(sev_bulk_get(line.in, buf, LEN), ==, 0);
    line_close(&line);
}

/* The digest of a template misses nothing. */
static void test_followed(void)
{
    uint8_t ours[SEV_TAP_DIGEST_LEN], theirs[SEV_TAP_DIGEST_LEN];
    g_autofree uint8_t *buf = g_malloc(LEN);
    Line line;

    line_open(&line, LEN);
    g_assert(sev_tap_begin(&error_abort));
    sev_tap_follow(line.in, true);
    g_assert_cmpuint(sev_bulk_get(line.in, buf, LEN - 1), ==, LEN - 1);
    g_assert(sev_tap_end(line.in, ours));
    g_assert(sev_tap_begin(&error_abort));
    sev_tap_add(buf, LEN - 1);
    sev_tap_follow(line.in, true);
    g_assert(sev_tap_end(line.in, theirs));
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
    line_close(&line);
}

/* A part of it, and what comes after that. */
static void test_part(void)
{
    uint8_t part[SEV_TAP_DIGEST_LEN], rest[SEV_TAP_DIGEST_LEN];
    g_autofree uint8_t *buf = g_malloc(LEN), *text = g_malloc(LEN);
    uint8_t again[SEV_TAP_DIGEST_LEN];
    gsize len = sizeof(again);
    const size_t first = 100001;
    GChecksum *sum;
    Line line;

    line_open(&line, LEN);
    g_assert(!sev_tap_part(line.in, part, NULL));
    g_assert(sev_tap_begin(&error_abort));
    sev_tap_follow(line.in, true);
    g_assert_cmpuint(sev_bulk_get(line.in, buf, first), ==, first);
    g_assert(sev_tap_part(line.in, part, &error_abort));
    g_assert_cmpuint(sev_bulk_get(line.in, buf, LEN - first), ==, LEN - first);
    g_assert(sev_tap_end(line.in, rest));
    line_close(&line);
    for (size_t i = 0; i < LEN; i++) {
        text[i] = byte_at(i);
    }
    sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, text, first);
    g_checksum_get_digest(sum, again, &len);
    g_assert_cmpmem(part, sizeof(part), again, len);
    g_checksum_reset(sum);
    g_checksum_update(sum, part, sizeof(part));
    g_checksum_update(sum, text + first, LEN - first);
    g_checksum_get_digest(sum, again, &len);
    g_assert_cmpmem(rest, sizeof(rest), again, len);
    g_checksum_free(sum);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_abort);
    g_test_add_func("/sev/bulk/blocking", test_blocking);
    g_test_add_func("/sev/bulk/coroutine", test_coroutine);
    g_test_add_func("/sev/bulk/cut", test_cut);
    g_test_add_func("/sev/bulk/followed", test_followed);
    g_test_add_func("/sev/bulk/part", test_part);
    return g_test_run();
}
