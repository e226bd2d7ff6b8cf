/*
 * A source that failed: was it the line, whatever the words of the error?  Over
 * real sockets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "io/channel-socket.h"
#include "migration/migration.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/sev/channels.h"
#include "migration/sev/fail.h"
#include "migration/sev/multifd.h"
#include "migration/sev/return-path.h"

#define LOST "SEV: the line to the target was lost while it was tested: "

static MigrationState state;
static MigrationIncomingState mis;
static bool multifd, channel_down;

/* --- What stands in for the rest of QEMU -------------------------------- */

MigrationState *migrate_get_current(void)
{
    return &state;
}

MigrationIncomingState *migration_incoming_get_current(void)
{
    return &mis;
}

bool migrate_has_error(MigrationState *s)
{
    return s->error;
}

void migration_file_set_error(int ret, Error *err)
{
    error_free(err);
}

bool migrate_multifd(void)
{
    return multifd;
}

int migrate_multifd_channels(void)
{
    return 2;
}

bool migrate_switchover_ack(void)
{
    return false;
}

bool multifd_recv_all_channels_created(void)
{
    g_assert_not_reached();
}

void migration_incoming_process(void)
{
    g_assert_not_reached();
}

void migration_incoming_transport_cleanup(MigrationIncomingState *m)
{
    g_assert_not_reached();
}

void sev_platform_certs_clear(SevPlatformCerts *certs)
{
}

bool sev_multifd_is_down(void)
{
    return channel_down;
}

/* --- A migration and its end -------------------------------------------- */

/* Up to here it went well; the descriptor of the other end. */
static int migration_begin(void)
{
    QIOChannelSocket *ioc;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    ioc = qio_channel_socket_new_fd(fds[0], &error_abort);
    state.to_dst_file = qemu_file_new_output(QIO_CHANNEL(ioc));
    object_unref(OBJECT(ioc));
    state.rp_state.from_dst_file = qemu_file_get_return_path(state.to_dst_file);
    state.state = MIGRATION_STATUS_FAILED;
    multifd = channel_down = false;
    sev_migration_fail_begin();
    return fds[1];
}

/* As upstream does it: the first error counts. */
static void upstream_fails(const char *words)
{
    if (!state.error) {
        error_setg(&state.error, "%s", words);
    }
}

/* Close it, and compare what query-migrate would say. */
static void migration_end(const char *want)
{
    sev_return_path_look(&state);
    qemu_fclose(state.rp_state.from_dst_file);
    qemu_fclose(state.to_dst_file);
    state.to_dst_file = state.rp_state.from_dst_file = NULL;
    if (!sev_channels_explain(&state, 10)) {
        sev_return_path_explain(&state, "it was tested");
    }
    g_assert_cmpstr(error_get_pretty(state.error), ==, want);
    g_clear_pointer(&state.error, error_free);
}

/* --- Tests -------------------------------------------------------------- */

static void test_lost(void)
{
    close(migration_begin());
    upstream_fails("in words of tomorrow");
    migration_end(LOST "in words of tomorrow");
}

/* query-migrate asked for the reason before the end did: it is given once. */
static void test_asked(void)
{
    close(migration_begin());
    upstream_fails("gone");
    sev_return_path_look(&state);
    sev_return_path_explain(&state, "it was tested");
    g_assert_cmpstr(error_get_pretty(state.error), ==, LOST "gone");
    migration_end(LOST "gone");
}

/* What nobody read hides the end of a stream from who only peeks. */
static void test_unread(void)
{
    int fd = migration_begin();

    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    close(fd);
    upstream_fails("no more");
    migration_end(LOST "no more");
}

/* The end came, and the return path thread has noticed before all others. */
static void test_return_path(void)
{
    int fd = migration_begin();

    g_assert_cmpint(shutdown(fd, SHUT_WR), ==, 0);
    g_assert_cmpuint(qemu_get_be16(state.rp_state.from_dst_file), ==, 0);
    upstream_fails("the end");
    migration_end(LOST "the end");
    close(fd);
}

static void test_alive(void)
{
    int fd = migration_begin();

    upstream_fails("Channel error: of a device, as it happens");
    migration_end("Channel error: of a device, as it happens");
    close(fd);
}

/* The target hangs up because of what was said before. */
static void test_ours(void)
{
    int fd = migration_begin();
    Error *err = NULL;

    error_setg(&err, "SEV: the target refused: no");
    sev_migration_fail("test", err);
    close(fd);
    upstream_fails("Unable to write to socket: Broken pipe");
    migration_end("SEV: the target refused: no");
}

/* ... and here hung up before, so ours is not the reason. */
static void test_too_late(void)
{
    Error *err = NULL;

    close(migration_begin());
    upstream_fails("gone");
    error_setg(&err, "The return path failed");
    sev_migration_fail("test", err);
    migration_end(LOST "gone");
}

static void test_cancelled(void)
{
    close(migration_begin());
    state.state = MIGRATION_STATUS_CANCELLED;
    upstream_fails("cancelled");
    migration_end("cancelled");
}

/* Only channels that nobody reads are gone. */
static void test_multifd(void)
{
    int fd = migration_begin();

    multifd = channel_down = true;
    upstream_fails("gone");
    sev_return_path_look(&state);
    g_assert_true(sev_channels_explain(&state, 10));
    g_assert_nonnull(strstr(error_get_pretty(state.error),
                            "capability 'multifd'"));
    g_assert_false(sev_channels_explain(&state, 10));   /* it was */
    g_clear_pointer(&state.error, error_free);

    sev_migration_fail_begin();
    upstream_fails("gone");
    g_assert_false(sev_channels_explain(&state, 1000 * 1000));
    channel_down = false;
    migration_end("gone");
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    qemu_mutex_init(&state.error_mutex);
    qemu_mutex_init(&state.qemu_file_lock);
    sev_return_path_init();
    g_test_add_func("/sev/line/lost", test_lost);
    g_test_add_func("/sev/line/asked", test_asked);
    g_test_add_func("/sev/line/unread", test_unread);
    g_test_add_func("/sev/line/return-path", test_return_path);
    g_test_add_func("/sev/line/alive", test_alive);
    g_test_add_func("/sev/line/ours", test_ours);
    g_test_add_func("/sev/line/too-late", test_too_late);
    g_test_add_func("/sev/line/cancelled", test_cancelled);
    g_test_add_func("/sev/line/multifd", test_multifd);
    return g_test_run();
}
