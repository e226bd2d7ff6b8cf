/*
 * What a target says, over a real socket whose other end does not read: no lock
 * is held while it waits, and messages of two threads do not mix.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "qemu/bswap.h"
#include "qemu/coroutine.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "io/channel-socket.h"
#include "migration/migration.h"
#include "migration/qemu-file.h"
#include "migration/sev/return-path.h"

#define HEADER_LEN 4
#define LONG UINT16_MAX         /* longer than a socket with a small buffer */

static MigrationIncomingState mis;

MigrationIncomingState *migration_incoming_get_current(void)
{
    return &mis;
}

/* A return path; the descriptor of its other end. */
static int line_open(void)
{
    int fds[2], small = 4096;
    QIOChannelSocket *ioc;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    g_assert_cmpint(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small,
                               sizeof(small)), ==, 0);
    ioc = qio_channel_socket_new_fd(fds[0], &error_abort);
    qio_channel_set_blocking(QIO_CHANNEL(ioc), false, &error_abort);
    mis.to_src_file = qemu_file_new_output(QIO_CHANNEL(ioc));
    object_unref(OBJECT(ioc));
    return fds[1];
}

static void line_close(int fd)
{
    close(fd);
    qemu_fclose(mis.to_src_file);
    mis.to_src_file = NULL;
}

/* Read one message, all of whose bytes must be @fill. */
static void read_message(int fd, uint16_t type, uint16_t len, uint8_t fill)
{
    g_autofree uint8_t *got = g_malloc(HEADER_LEN + len);
    size_t at = 0;

    while (at < HEADER_LEN + len) {
        ssize_t n = read(fd, got + at, HEADER_LEN + len - at);

        g_assert_cmpint(n, >, 0);
        at += n;
    }
    g_assert_cmphex(lduw_be_p(got), ==, type);
    g_assert_cmpuint(lduw_be_p(got + 2), ==, len);
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(got[HEADER_LEN + i], ==, fill);
    }
}

typedef struct Co {
    uint8_t fill;
    bool done;
    Error *err;
} Co;

static void coroutine_fn co_send(void *opaque)
{
    Co *co = opaque;
    g_autofree uint8_t *bytes = g_malloc(LONG);

    memset(bytes, co->fill, LONG);
    sev_return_path_send(SEV_RP_CERTS, bytes, LONG, &co->err);
    co->done = true;
}

static gpointer thread_send(gpointer opaque)
{
    uint8_t bytes[100];

    memset(bytes, GPOINTER_TO_INT(opaque), sizeof(bytes));
    sev_return_path_send(SEV_RP_REFUSAL, bytes, sizeof(bytes), &error_abort);
    return NULL;
}

static gpointer thread_read(gpointer opaque)
{
    int fd = GPOINTER_TO_INT(opaque);

    read_message(fd, SEV_RP_CERTS, LONG, 'c');
    read_message(fd, SEV_RP_REFUSAL, 100, 'r');
    return NULL;
}

static void main_loop_until(const bool *done)
{
    while (!*done) {
        main_loop_wait(false);
    }
}

/* The other end reads late: the main thread can take the lock meanwhile. */
static void test_yield(void)
{
    int fd = line_open();
    Co co = { .fill = 'c' };
    GThread *sender, *reader;

    qemu_coroutine_enter(qemu_coroutine_create(co_send, &co));
    g_assert_false(co.done);
    g_assert_cmpint(qemu_mutex_trylock(&mis.rp_mutex), ==, 0);
    qemu_mutex_unlock(&mis.rp_mutex);

    sender = g_thread_new("sender", thread_send, GINT_TO_POINTER('r'));
    g_usleep(50000);
    reader = g_thread_new("reader", thread_read, GINT_TO_POINTER(fd));
    main_loop_until(&co.done);
    g_thread_join(sender);
    g_thread_join(reader);
    g_assert_null(co.err);
    line_close(fd);
}

/* A thread is in the middle of its message: a coroutine waits for its turn. */
static gpointer thread_send_long(gpointer opaque)
{
    g_autofree uint8_t *bytes = g_malloc(LONG);

    memset(bytes, 't', LONG);
    sev_return_path_send(SEV_RP_CERTS, bytes, LONG, &error_abort);
    return NULL;
}

static gpointer thread_read_both(gpointer opaque)
{
    int fd = GPOINTER_TO_INT(opaque);

    g_usleep(50000);
    read_message(fd, SEV_RP_CERTS, LONG, 't');
    read_message(fd, SEV_RP_CERTS, LONG, 'c');
    return NULL;
}

static void test_turn(void)
{
    int fd = line_open();
    Co co = { .fill = 'c' };
    struct pollfd first = { .fd = fd, .events = POLLIN };
    GThread *sender, *reader;

    sender = g_thread_new("sender", thread_send_long, NULL);
    /* It has the turn when something of it can be read. */
    g_assert_cmpint(poll(&first, 1, 60000), ==, 1);
    qemu_coroutine_enter(qemu_coroutine_create(co_send, &co));
    g_assert_false(co.done);
    reader = g_thread_new("reader", thread_read_both, GINT_TO_POINTER(fd));
    main_loop_until(&co.done);
    g_thread_join(sender);
    g_thread_join(reader);
    g_assert_null(co.err);
    line_close(fd);
}

/* A thread does not wait for ever, and gives the turn back. */
static void test_deaf(void)
{
    g_autofree uint8_t *bytes = g_malloc0(LONG);
    int fd = line_open();
    Error *err = NULL;

    g_assert_false(sev_return_path_send(SEV_RP_CERTS, bytes, LONG, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "does not read"));
    error_free(err);
    line_close(fd);
    fd = line_open();
    thread_send(GINT_TO_POINTER('r'));
    read_message(fd, SEV_RP_REFUSAL, 100, 'r');
    line_close(fd);
}

/* The other end hangs up: an error, once, and the next one can be sent. */
static void test_hung_up(void)
{
    Co co = { .fill = 'c' };
    int fd = line_open();

    qemu_coroutine_enter(qemu_coroutine_create(co_send, &co));
    close(fd);
    main_loop_until(&co.done);
    g_assert_nonnull(co.err);
    error_free(co.err);
    qemu_fclose(mis.to_src_file);

    fd = line_open();
    thread_send(GINT_TO_POINTER('r'));
    read_message(fd, SEV_RP_REFUSAL, 100, 'r');
    line_close(fd);
}

/* Known as soon as the kernel knows: with and without bytes before the end. */
static void test_peek(void)
{
    int fd = line_open();

    g_assert_false(sev_return_path_hung_up(mis.to_src_file));
    g_assert_false(sev_return_path_has_bytes(mis.to_src_file));
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    g_assert_false(sev_return_path_hung_up(mis.to_src_file));
    g_assert_true(sev_return_path_has_bytes(mis.to_src_file));
    line_close(fd);
    fd = line_open();
    shutdown(fd, SHUT_RDWR);
    g_assert_true(sev_return_path_hung_up(mis.to_src_file));
    line_close(fd);
}

static void test_no_path(void)
{
    Error *err = NULL;

    g_assert_false(sev_return_path_send(SEV_RP_REFUSAL, "no", 2, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "opened no return path"));
    error_free(err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    qemu_mutex_init(&mis.rp_mutex);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/sev/return-path/target/yield", test_yield);
    g_test_add_func("/sev/return-path/target/turn", test_turn);
    g_test_add_func("/sev/return-path/target/deaf", test_deaf);
    g_test_add_func("/sev/return-path/target/hung-up", test_hung_up);
    g_test_add_func("/sev/return-path/target/peek", test_peek);
    g_test_add_func("/sev/return-path/target/no-path", test_no_path);
    return g_test_run();
}
