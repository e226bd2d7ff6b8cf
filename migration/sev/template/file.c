/*
 * A template's file as query-sev-template reads it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "file.h"

bool sev_template_file_open(SevTemplateFile *f, const char *path, Error **errp)
{
    struct stat st;

    /* A FIFO must not make the monitor wait. */
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0 || fstat(f->fd, &st)) {
        error_setg_errno(errp, errno, "SEV: template '%s' cannot be read",
                         path);
        return false;
    }
    if (!S_ISREG(st.st_mode) || !st.st_size) {
        error_setg(errp, "SEV: template '%s' is %s", path,
                   S_ISREG(st.st_mode) ? "empty" : "no regular file");
        return false;
    }
    f->len = st.st_size;
    f->room = MIN(f->len, SEV_TEMPLATE_FILE_MAX);
    f->window = g_malloc(f->room);
    f->begin = f->end = 0;
    return true;
}

void sev_template_file_close(SevTemplateFile *f)
{
    g_clear_pointer(&f->window, g_free);
    if (f->fd >= 0) {
        close(f->fd);
        f->fd = -1;
    }
}

/* Fill the window from @at on; what is in it already stays. */
static void refill(SevTemplateFile *f, uint64_t at)
{
    if (at >= f->begin && at < f->end) {
        memmove(f->window, f->window + (at - f->begin), f->end - at);
    } else {
        f->end = at;
    }
    f->begin = at;
    while (f->end < f->len && f->end - at < f->room) {
        size_t want = MIN(f->len - f->end, f->room - (f->end - at));
        ssize_t got = RETRY_ON_EINTR(pread(f->fd, f->window + (f->end - at),
                                           want, f->end));

        if (got <= 0) {
            f->len = f->end;    /* it became shorter, or cannot be read */
            break;
        }
        f->end += got;
    }
}

static bool in_file(const SevTemplateFile *f, uint64_t at, size_t len)
{
    return len <= f->len && at <= f->len - len;
}

const uint8_t *sev_template_file_at(SevTemplateFile *f, uint64_t at, size_t len)
{
    if (len > SEV_TEMPLATE_FILE_MAX || !in_file(f, at, len)) {
        return NULL;
    }
    if (at < f->begin || at + len > f->end) {
        refill(f, at);
    }
    return in_file(f, at, len) ? f->window + (at - f->begin) : NULL;
}

bool sev_template_file_copy(const SevTemplateFile *f, uint64_t at, void *to,
                            size_t len)
{
    ssize_t got = at > INT64_MAX - len ? -1 :
                  RETRY_ON_EINTR(pread(f->fd, to, len, at));

    return got >= 0 && got == len;
}

uint64_t sev_template_file_holes(const SevTemplateFile *f, uint64_t at,
                                 uint64_t end)
{
    uint64_t holes = 0;

    while (at < end) {
        off_t data = lseek(f->fd, at, SEEK_DATA);
        off_t hole;

        if (data < 0 && errno != ENXIO) {
            break;                      /* the file system cannot tell */
        }
        if (data < 0 || data >= end) {
            holes += end - at;          /* no data from here on */
            break;
        }
        holes += data - at;
        hole = lseek(f->fd, data, SEEK_HOLE);
        if (hole <= data) {
            break;
        }
        at = hole;
    }
    return holes;
}
