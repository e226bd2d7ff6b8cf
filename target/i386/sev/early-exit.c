/*
 * QEMU ends before its machine is ready, and somebody waits for the monitor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-socket.h"
#include "early-exit.h"
#include "hw/qdev-core.h"
#include "io/channel-socket.h"
#include "io/net-listener.h"
#include "qapi/error.h"
#include "qemu/config-file.h"
#include "qemu/notify.h"
#include "qemu/option.h"
#include "system/system.h"
#include "trace.h"

/* For a monitor whose thread runs already; there may be none yet. */
#define MONITOR_MS  200

static bool is_peer_waiting(QIOChannelSocket *server)
{
    GPollFD fd = { .fd = server->fd, .events = G_IO_IN };

    return g_poll(&fd, 1, 0) > 0;
}

static void end_waiting_peers(QIOChannelSocket *server)
{
    /* The monitor's thread may be quicker: accept() must not block then. */
    const struct timeval limit = { .tv_usec = MONITOR_MS * 1000 };

    for (int ms = 0; ms < MONITOR_MS && is_peer_waiting(server); ms++) {
        g_usleep(1000);
    }
    setsockopt(server->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    while (is_peer_waiting(server)) {
        int peer = accept(server->fd, NULL, NULL);

        trace_sev_early_exit(peer >= 0);
        if (peer < 0) {
            break;
        }
        close(peer);
    }
}

static int end_monitor(void *unused, QemuOpts *opts, Error **errp)
{
    const char *name = qemu_opt_get(opts, "chardev");
    Chardev *chr = name ? qemu_chr_find(name) : NULL;
    SocketChardev *s = (SocketChardev *)object_dynamic_cast(
        OBJECT(chr), TYPE_CHARDEV_SOCKET);

    if (s && s->is_listen && s->listener &&
        !g_strcmp0(qemu_opt_get(opts, "mode"), "control")) {
        for (size_t i = 0; i < s->listener->nsioc; i++) {
            end_waiting_peers(s->listener->sioc[i]);
        }
    }
    return 0;
}

static void early_exit(Notifier *n, void *unused)
{
    if (!phase_check(PHASE_MACHINE_READY)) {
        qemu_opts_foreach(qemu_find_opts("mon"), end_monitor, NULL, NULL);
    }
}

void sev_early_exit_init(void)
{
    static Notifier notifier = { .notify = early_exit };

    qemu_add_exit_notifier(&notifier);
}
