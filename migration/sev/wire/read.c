/*
 * Large reads from a QEMUFile that do not pass its buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "io/channel.h"
#include "migration/qemu-file.h"
#include "read.h"
#include "digest.h"

/* Less than this is left to the QEMUFile, which reads ahead. */
#define BULK_MIN 4096

/* Sets the file's error when there is nothing more to read. */
static size_t coroutine_mixed_fn get_some(QEMUFile *f, uint8_t *buf, size_t len)
{
    QIOChannel *ioc = qemu_file_get_ioc(f);
    Error *err = NULL;
    ssize_t n;

    while ((n = qio_channel_read(ioc, (char *)buf, len, &err)) ==
           QIO_CHANNEL_ERR_BLOCK) {
        if (qemu_in_coroutine()) {
            qio_channel_yield(ioc, G_IO_IN);
        } else {
            qio_channel_wait(ioc, G_IO_IN);
        }
    }
    if (n <= 0) {
        qemu_file_set_error_obj(f, -EIO, err);
        return 0;
    }
    return n;
}

size_t coroutine_mixed_fn sev_bulk_get(QEMUFile *f, uint8_t *buf, size_t len)
{
    const uint8_t *at;
    size_t got = qemu_get_buffer(f, buf, MIN(len, sev_tap_ahead(f, &at)));

    /* A file that is followed has to pass its tap. */
    while (len - got >= BULK_MIN && f != sev_tap_file &&
           !qemu_file_get_error(f)) {
        got += get_some(f, buf + got, len - got);
    }
    return got + qemu_get_buffer(f, buf + got, len - got);
}
