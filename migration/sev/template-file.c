/*
 * A template's file as query-sev-template reads it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "template-file.h"

#define CHUNK (1 * MiB)         /* what is read at once */

bool sev_template_file_open(SevTemplateFile *f, const char *path, Error **errp)
{
    struct stat st;
    void *room;

    /* A FIFO must not make the monitor wait. */
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0 || fstat(f->fd, &st)) {
        error_setg_errno(errp, errno, "Template '%s' cannot be read", path);
        return false;
    }
    if (!S_ISREG(st.st_mode) || !st.st_size) {
        error_setg(errp, "Template '%s' is %s", path,
                   S_ISREG(st.st_mode) ? "empty" : "no regular file");
        return false;
    }
    room = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        error_setg_errno(errp, errno, "No room for template '%s', %jd bytes",
                         path, (intmax_t)st.st_size);
        return false;
    }
    f->bytes = room;
    f->len = f->room = st.st_size;
    return true;
}

void sev_template_file_close(SevTemplateFile *f)
{
    if (f->bytes) {
        munmap((void *)f->bytes, f->room);
        f->bytes = NULL;
    }
    if (f->fd >= 0) {
        close(f->fd);
        f->fd = -1;
    }
}

bool sev_template_file_need(SevTemplateFile *f, size_t at, size_t len)
{
    f->end = MAX(f->end, MIN(at, f->len));
    while (at + len > f->end && f->end < f->len) {
        size_t want = MIN(f->len - f->end, MAX(CHUNK, at + len - f->end));
        ssize_t got = pread(f->fd, (uint8_t *)f->bytes + f->end, want, f->end);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            f->len = f->end;    /* it became shorter, or cannot be read */
            break;
        }
        f->end += got;
    }
    return len <= f->len && at <= f->len - len;
}

void sev_template_file_drop(SevTemplateFile *f, size_t at)
{
    at = QEMU_ALIGN_DOWN(at, CHUNK);
    if (at > f->begin) {
        madvise((uint8_t *)f->bytes + f->begin, at - f->begin, MADV_DONTNEED);
        f->begin = at;
    }
}

bool sev_template_file_copy(const SevTemplateFile *f, uint64_t at, void *to,
                            size_t len)
{
    ssize_t got = at > f->room ? -1 : RETRY_ON_EINTR(pread(f->fd, to, len, at));

    return got >= 0 && got == len;
}
