/*
 * QEMU ends before its machine is ready, and somebody waits for the monitor.
 *
 * Who hands QEMU a listening socket (Kata, libvirt) keeps it and has connected
 * to it before QEMU runs.  A connection that QEMU never accepted stays open when
 * QEMU ends: Kata waits for its greeting for ever, and shows nothing of what
 * QEMU said.  So an exit before the machine is ready ends the connections that
 * wait for a QMP monitor.  It does so with every guest, because most such errors
 * come before anything says which guest was meant.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-socket.h"
#include "hw/qdev-core.h"
#include "io/channel-socket.h"
#include "io/net-listener.h"
#include "qapi/error.h"
#include "qemu/config-file.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "qemu/notify.h"
#include "qemu/option.h"
#include "system/system.h"
#include "trace.h"

/* For a monitor whose thread runs already; there may be none yet. */
#define MONITOR_MS  200

static bool is_peer_waiting(int server)
{
    GPollFD fd = { .fd = server, .events = G_IO_IN };

    return g_poll(&fd, 1, 0) > 0 && (fd.revents & G_IO_IN);
}

static void end_waiting_peers(int server)
{
    /* The monitor's thread may be quicker: accept() must not block then. */
    const struct timeval limit = { .tv_usec = MONITOR_MS * 1000 };

    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    while (is_peer_waiting(server)) {
        int peer = accept(server, NULL, NULL);

        trace_sev_early_exit(peer >= 0);
        if (peer < 0) {
            break;
        }
        close(peer);
    }
}

static void end_chardev(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)object_dynamic_cast(
        OBJECT(chr), TYPE_CHARDEV_SOCKET);

    if (!s || !s->is_listen || !s->listener) {
        return;
    }
    for (size_t i = 0; i < s->listener->nsioc; i++) {
        int server = s->listener->sioc[i]->fd;

        for (int ms = 0; ms < MONITOR_MS && is_peer_waiting(server); ms++) {
            g_usleep(1000);
        }
        end_waiting_peers(server);
    }
}

/* The command line is wrong, and was read up to there: no chardev was made. */
static void end_inherited(const char *name)
{
    QemuOpts *opts = qemu_opts_find(qemu_find_opts("chardev"), name);
    const char *number = opts ? qemu_opt_get(opts, "fd") : NULL;
    int server, is_listening = 0;
    socklen_t len = sizeof(is_listening);

    if (!number || qemu_strtoi(number, NULL, 10, &server) < 0 || server < 0 ||
        getsockopt(server, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) < 0 ||
        !is_listening) {
        return;
    }
    end_waiting_peers(server);
}

static int end_monitor(void *unused, QemuOpts *opts, Error **errp)
{
    const char *name = qemu_opt_get(opts, "chardev");
    Chardev *chr;

    if (!name || g_strcmp0(qemu_opt_get(opts, "mode"), "control")) {
        return 0;
    }
    chr = qemu_chr_find(name);
    if (chr) {
        end_chardev(chr);
    } else if (!is_daemonized()) {      /* else the child has the monitor */
        end_inherited(name);
    }
    return 0;
}

static void early_exit(Notifier *n, void *unused)
{
    if (!phase_check(PHASE_MACHINE_READY)) {
        qemu_opts_foreach(qemu_find_opts("mon"), end_monitor, NULL, NULL);
    }
}

/* A type_init() runs before the command line is read. */
static void early_exit_init(void)
{
    static Notifier notifier = { .notify = early_exit };

    qemu_add_exit_notifier(&notifier);
}

type_init(early_exit_init)
