/*
 * A relay between the two ends of a migration that damages what passes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/sockets.h"
#include "relay.h"
#include "sev-vm.h"

#define MAGIC       0x53455652u         /* "SEVR" */
#define TYPE_PAGES  6
/* From behind the type to the 100th byte of the first packet's ciphertext. */
#define DISTANCE    (8 + 16 + 8 + 52 + 100)
#define LIMIT_MS    (120 * 1000)

/* Looks at each byte of a stream for the one to damage. */
typedef struct Finder {
    uint64_t last;              /* eight bytes */
    unsigned to_go;
    bool found;
} Finder;

/* Is @byte, the next one, the one? */
static bool finder_feed(Finder *f, uint8_t byte)
{
    if (f->to_go && !--f->to_go) {
        f->found = true;
        return true;
    }
    f->last = f->last << 8 | byte;
    if (!f->found && !f->to_go && f->last >> 32 == MAGIC &&
        (f->last & UINT16_MAX) == TYPE_PAGES) {
        f->to_go = DISTANCE;
    }
    return false;
}

struct SevRelay {
    GThread *thread;
    SevRelayDamage damage;
    char *target;               /* path of its socket */
    int listener;
    Finder finder;
};

/* False: the line is to be cut. */
static bool inspect(SevRelay *r, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (finder_feed(&r->finder, bytes[i])) {
            if (r->damage == SEV_RELAY_CUT) {
                return false;
            }
            bytes[i] ^= 1;
        }
    }
    return true;
}

/* Bytes for an end that has hung up are lost, as on any line. */
static void pass_on(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        bytes += n;
        len -= n;
    }
}

/* Until both ends have hung up, or the line is cut. */
static void forward(SevRelay *r, int source, int target)
{
    struct pollfd ends[2] = {
        { .fd = source, .events = POLLIN },
        { .fd = target, .events = POLLIN },
    };
    int open = 2;
    static uint8_t buffer[64 * 1024];

    while (open && poll(ends, 2, LIMIT_MS) > 0) {
        for (int i = 0; i < 2; i++) {
            int other = i ? source : target;
            ssize_t len;

            if (ends[i].fd < 0 || !ends[i].revents) {
                continue;
            }
            len = read(ends[i].fd, buffer, sizeof(buffer));
            if (len > 0) {
                if (i == 0 && !inspect(r, buffer, len)) {
                    return;
                }
                pass_on(other, buffer, len);
            } else if (len == 0 || errno != EINTR) {
                shutdown(other, SHUT_WR);
                ends[i].fd = -1;        /* poll() looks past it */
                open--;
            }
        }
    }
}

static void *relay_thread(void *opaque)
{
    SevRelay *r = opaque;
    struct pollfd ready = { .fd = r->listener, .events = POLLIN };

    if (poll(&ready, 1, LIMIT_MS) > 0) {
        int source = qemu_accept(r->listener, NULL, NULL);
        int target = unix_connect(r->target, &error_abort);

        forward(r, source, target);
        close(source);
        close(target);
    }
    return NULL;
}

SevRelay *sev_relay_start(const char *uri, SevRelayDamage damage, char **here)
{
    g_autofree char *path = sev_test_file("relay.socket");
    SevRelay *r = g_new0(SevRelay, 1);
    const char *target;

    g_assert_true(strstart(uri, "unix:", &target));
    r->target = g_strdup(target);
    r->damage = damage;
    r->listener = unix_listen(path, &error_abort);
    r->thread = g_thread_new("relay", relay_thread, r);
    *here = g_strdup_printf("unix:%s", path);
    return r;
}

void sev_relay_finish(SevRelay *r)
{
    g_autofree char *path = sev_test_file("relay.socket");

    g_thread_join(r->thread);
    g_assert_true(r->finder.found);
    close(r->listener);
    unlink(path);
    g_free(r->target);
    g_free(r);
}

void sev_flip_in_file(const char *path)
{
    g_autofree char *bytes = NULL;
    Finder finder = {};
    gsize len;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    for (gsize i = 0; i < len && !finder.found; i++) {
        if (finder_feed(&finder, bytes[i])) {
            bytes[i] ^= 1;
        }
    }
    g_assert_true(finder.found);
    g_assert_true(g_file_set_contents(path, bytes, len, NULL));
}
