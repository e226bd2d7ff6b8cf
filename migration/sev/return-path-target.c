/*
 * What a target says on the return path, and whether its source still listens.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "qemu/bswap.h"
#include "qemu/coroutine.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "migration/qemu-file.h"
#include "return-path.h"
#include "target/i386/sev/test/fault.h"
#include "trace.h"

/* Of a message: type and length, 16 bits each, as upstream has them */
#define HEADER_LEN 4
/* How long a target that refused waits for the source to hang up. */
#define LINGER_MS 3000

/* A thread must not wait for ever for a source that does not read. */
#define WRITE_S 3
#define WRITE_POLL_US 1000
/* How often a coroutine looks whether another message is through. */
#define TURN_POLL_NS (1 * SCALE_MS)

/* --- Sending ------------------------------------------------------------------ */

/*
 * Messages must not mix, and a coroutine that waits for its socket must not
 * hold a lock: the main thread goes on meanwhile, and may want it.  So who has
 * the turn is a flag, and the lock is for the flag.
 */
static struct {
    QemuMutex lock;
    QemuCond over;
    bool taken;
} turn;

static void __attribute__((constructor)) turn_init(void)
{
    qemu_mutex_init(&turn.lock);
    qemu_cond_init(&turn.over);
}

static void coroutine_mixed_fn turn_take(void)
{
    qemu_mutex_lock(&turn.lock);
    while (turn.taken) {
        if (qemu_in_coroutine()) {
            qemu_mutex_unlock(&turn.lock);
            qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, TURN_POLL_NS);
            qemu_mutex_lock(&turn.lock);
        } else {
            qemu_cond_wait(&turn.over, &turn.lock);
        }
    }
    turn.taken = true;
    qemu_mutex_unlock(&turn.lock);
}

static void turn_give(void)
{
    QEMU_LOCK_GUARD(&turn.lock);
    turn.taken = false;
    qemu_cond_signal(&turn.over);
}

/* As much as the socket takes.  Upstream's messages go under the same lock. */
static ssize_t write_some(QIOChannel **ioc, const uint8_t *at, size_t left,
                          Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    QEMU_LOCK_GUARD(&mis->rp_mutex);
    if (!mis->to_src_file) {
        error_setg(errp, "SEV stream: the source wants an answer but opened no "
                   "return path");
        return -1;
    }
    *ioc = qemu_file_get_ioc(mis->to_src_file);
    return qio_channel_write(*ioc, (const char *)at, left, errp);
}

static bool coroutine_mixed_fn write_all(const uint8_t *at, size_t left,
                                         Error **errp)
{
    int64_t deadline = get_clock() + WRITE_S * (int64_t)NANOSECONDS_PER_SECOND;

    while (left) {
        QIOChannel *ioc;
        ssize_t n = write_some(&ioc, at, left, errp);

        if (n == QIO_CHANNEL_ERR_BLOCK && qemu_in_coroutine()) {
            qio_channel_yield(ioc, G_IO_OUT);
        } else if (n == QIO_CHANNEL_ERR_BLOCK) {
            if (get_clock() > deadline) {
                error_setg(errp, "it does not read for %d seconds", WRITE_S);
                return false;
            }
            g_usleep(WRITE_POLL_US);
        } else if (n < 0) {
            return false;
        } else {
            at += n;
            left -= n;
        }
    }
    return true;
}

bool coroutine_mixed_fn sev_return_path_send(uint16_t type, const void *data,
                                             uint16_t len, Error **errp)
{
    g_autofree uint8_t *message = g_malloc(HEADER_LEN + len);
    bool sent;
    ERRP_GUARD();

    stw_be_p(message, type);
    stw_be_p(message + 2, len);
    memcpy(message + HEADER_LEN, data, len);
    turn_take();
    sent = write_all(message, HEADER_LEN + len, errp);
    turn_give();
    if (!sent) {
        error_prepend(errp, "SEV: the source cannot be answered: ");
    }
    return sent;
}

/* --- Listening ---------------------------------------------------------------- */

/* Of the socket below @ioc; -1: it is no socket. */
static int socket_of(QIOChannel *ioc)
{
    QIOChannelTLS *tls = (QIOChannelTLS *)object_dynamic_cast(
        OBJECT(ioc), TYPE_QIO_CHANNEL_TLS);
    QIOChannelSocket *sock = (QIOChannelSocket *)object_dynamic_cast(
        OBJECT(tls ? tls->master : ioc), TYPE_QIO_CHANNEL_SOCKET);

    return sock ? sock->fd : -1;
}

/*
 * What recv() says of the socket below @f: 0 at its end; -1: an error, EAGAIN
 * when there is nothing, ENOTSOCK when there is none.
 */
static ssize_t peek(QEMUFile *f)
{
    int fd = socket_of(qemu_file_get_ioc(f));
    char next;

    if (fd < 0) {
        errno = ENOTSOCK;
        return -1;
    }
    return recv(fd, &next, 1, MSG_PEEK | MSG_DONTWAIT);
}

bool sev_return_path_has_bytes(QEMUFile *f)
{
    return peek(f) > 0;
}

bool sev_return_path_hung_up(QEMUFile *f)
{
    ssize_t n = peek(f);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK &&
                      errno != EINTR && errno != ENOTSOCK);
}

bool sev_channel_is_down(QIOChannel *ioc)
{
    struct pollfd line = { .fd = socket_of(ioc), .events = POLLRDHUP };

    /* A negative descriptor is passed over. */
    return poll(&line, 1, 0) > 0 &&
           line.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

static void linger_over(void *opaque)
{
    qio_channel_shutdown(opaque, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
}

/*
 * Closing a socket with unread data resets it, and the source would see the
 * reset before our sentence.  Read on until it hangs up.
 */
static void coroutine_fn linger(QIOChannel *ioc)
{
    g_autofree char *sink = g_malloc(64 * KiB);
    int64_t deadline = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + LINGER_MS;
    QEMUTimer *timer = timer_new_ms(QEMU_CLOCK_REALTIME, linger_over, ioc);
    ssize_t got;

    timer_mod(timer, deadline);
    do {
        got = qio_channel_read(ioc, sink, 64 * KiB, NULL);
        if (got == QIO_CHANNEL_ERR_BLOCK) {
            qio_channel_yield(ioc, G_IO_IN);
        }
    } while ((got > 0 || got == QIO_CHANNEL_ERR_BLOCK) &&
             qemu_clock_get_ms(QEMU_CLOCK_REALTIME) < deadline);
    timer_free(timer);
}

void coroutine_fn sev_return_path_refuse(const char *text)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    size_t len = MIN(strlen(text), SEV_RP_REFUSAL_MAX);

    trace_sev_return_path_refusal(text);
    if (len && mis->from_src_file &&
        !sev_fault(SEV_FAULT_REFUSAL_SEND, NULL) &&
        sev_return_path_send(SEV_RP_REFUSAL, text, len, NULL)) {
        linger(qemu_file_get_ioc(mis->from_src_file));
    }
}
