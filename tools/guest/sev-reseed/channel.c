/*
 * How the guest learns that it was cloned.
 *
 * The host writes a line into a virtio-serial port.  The port's buffers are
 * shared memory, so the host can write there; the guest waits in read() and is
 * woken by the interrupt, before it has run for a millisecond.  Without a port,
 * or with nobody at its other end, the helper looks at a fw_cfg file once a
 * second: its text belongs to the QEMU process, not to the template.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "reseed.h"

#define PORTS "/sys/class/virtio-ports"

enum {
    LOOK_MS = 1000,             /* fw_cfg, while a port is connected */
    DEAF_MS = 20,               /* while nobody is at the port's other end */
};

static bool port_is_ours(const char *entry)
{
    char path[320], name[64] = "";
    FILE *f;

    snprintf(path, sizeof(path), PORTS "/%s/name", entry);
    f = fopen(path, "re");
    if (!f) {
        return false;
    }
    if (!fgets(name, sizeof(name), f)) {
        name[0] = 0;
    }
    fclose(f);
    name[strcspn(name, "\n")] = 0;
    return !strcmp(name, PORT_NAME);
}

static int port_open(char *path, size_t size)
{
    DIR *dir = opendir(PORTS);
    struct dirent *entry;
    int fd = -1;

    while (dir && fd < 0 && (entry = readdir(dir))) {
        if (strlen(entry->d_name) < 32 && port_is_ours(entry->d_name)) {
            snprintf(path, size, "/dev/%.32s", entry->d_name);
            fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        }
    }
    if (dir) {
        closedir(dir);
    }
    return fd;
}

bool channel_open(Channel *ch)
{
    *ch = (Channel) { .port = -1 };
    ch->port = port_open(ch->port_path, sizeof(ch->port_path));
    ch->has_fw_cfg = fw_cfg_read(FW_CFG_NAME, ch->known, sizeof(ch->known));
    return ch->port >= 0 || ch->has_fw_cfg;
}

bool channel_say(Channel *ch, const char *word, const char *value)
{
    char text[LINE_MAX_BYTES];
    int len = snprintf(text, sizeof(text), "%s%s%s\n", word,
                       value ? " " : "", value ? value : "");

    return ch->port >= 0 && write(ch->port, text, len) == len;
}

/* The next whole line of the port, if it has come; lines too long vanish. */
static bool port_line(Channel *ch, char *line)
{
    for (;;) {
        char *end = memchr(ch->line, '\n', ch->used);
        ssize_t n;

        if (end) {
            size_t len = end + 1 - ch->line;

            memcpy(line, ch->line, len - 1);
            line[len - 1] = 0;
            ch->used -= len;
            memmove(ch->line, ch->line + len, ch->used);
            return true;
        }
        if (ch->used == sizeof(ch->line)) {
            ch->used = 0;
        }
        n = read(ch->port, ch->line + ch->used, sizeof(ch->line) - ch->used);
        if (n <= 0) {
            return false;
        }
        ch->used += n;
    }
}

/*
 * A clone may have a fw_cfg file where its template had none.  The same text
 * twice is not news: the file stays there.
 */
static bool fw_cfg_news(Channel *ch, Message *m)
{
    char text[LINE_MAX_BYTES];

    if (!fw_cfg_read(FW_CFG_NAME, text, sizeof(text)) ||
        !strcmp(text, ch->known)) {
        return false;
    }
    strcpy(ch->known, text);
    return message_parse(text, m);
}

void channel_wait(Channel *ch, Message *m)
{
    char line[LINE_MAX_BYTES];

    for (int waited = 0; ; ) {
        struct pollfd p = { .fd = ch->port, .events = POLLIN };
        int pause = LOOK_MS;

        if (ch->port >= 0) {
            while (port_line(ch, line)) {
                if (message_parse(line, m)) {
                    return;
                }
            }
            poll(&p, 1, LOOK_MS);
            /* With nobody there it is always readable, and has nothing. */
            if ((p.revents & (POLLIN | POLLHUP)) == POLLIN) {
                continue;
            }
            pause = p.revents ? DEAF_MS : 0;
        }
        usleep(pause * 1000);
        waited += pause ? pause : LOOK_MS;
        if (waited >= LOOK_MS) {
            waited = 0;
            if (fw_cfg_news(ch, m)) {
                return;
            }
        }
    }
}
