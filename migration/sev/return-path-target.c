/*
 * What a target says on the return path, and whether its source still listens.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "migration/qemu-file.h"
#include "return-path.h"
#include "target/i386/sev/fault.h"
#include "trace.h"

/* How long a target that refused waits for the source to hang up. */
#define LINGER_MS 3000

bool sev_return_path_send(uint16_t type, const void *data, uint16_t len,
                          Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    int ret;

    QEMU_LOCK_GUARD(&mis->rp_mutex);
    if (!mis->to_src_file) {
        error_setg(errp, "SEV stream: the source wants an answer but opened no "
                   "return path");
        return false;
    }
    qemu_put_be16(mis->to_src_file, type);
    qemu_put_be16(mis->to_src_file, len);
    qemu_put_buffer(mis->to_src_file, data, len);
    ret = qemu_fflush(mis->to_src_file);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "The source cannot be answered");
    }
    return ret >= 0;
}

/* What recv() says of the socket below @f: 0 at its end; -1: nothing, or none */
static ssize_t peek(QEMUFile *f)
{
    QIOChannel *ioc = qemu_file_get_ioc(f);
    QIOChannelTLS *tls = (QIOChannelTLS *)object_dynamic_cast(
        OBJECT(ioc), TYPE_QIO_CHANNEL_TLS);
    QIOChannelSocket *sock = (QIOChannelSocket *)object_dynamic_cast(
        OBJECT(tls ? tls->master : ioc), TYPE_QIO_CHANNEL_SOCKET);
    char next;

    return sock ? recv(sock->fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) : -1;
}

bool sev_return_path_has_bytes(QEMUFile *f)
{
    return peek(f) > 0;
}

bool sev_return_path_source_waits(Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (mis->to_src_file && peek(mis->from_src_file) == 0) {
        error_setg(errp, "The source hung up before this side could say that "
                   "it has all of the guest: it runs on there");
        return false;
    }
    return true;
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
