/*
 * fw_cfg by port I/O (QEMU docs/specs/fw_cfg.rst, "Selector and data").
 *
 * Not through the kernel's sysfs: its list of files and keys is that of the
 * machine the template was booted on, and a clone without -kernel has others.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <sys/io.h>

#include "reseed.h"

enum {
    PORT_SELECT = 0x510,
    PORT_DATA = 0x511,
    KEY_SIGNATURE = 0x0000,
    KEY_DIRECTORY = 0x0019,
    FILES_MAX = 4096,
};

/* The directory, in big-endian order. */
struct file {
    uint32_t size;
    uint16_t select;
    uint16_t reserved;
    char name[56];
};

static void fetch(void *out, size_t len)
{
    for (uint8_t *p = out; len--; p++) {
        *p = inb(PORT_DATA);
    }
}

static bool find(const char *name, struct file *f)
{
    uint32_t count;

    outw(KEY_DIRECTORY, PORT_SELECT);
    fetch(&count, sizeof(count));
    count = be32toh(count);
    for (uint32_t i = 0; i < count && i < FILES_MAX; i++) {
        fetch(f, sizeof(*f));
        f->name[sizeof(f->name) - 1] = 0;
        if (!strcmp(f->name, name)) {
            return true;
        }
    }
    return false;
}

bool fw_cfg_read(const char *name, char *text, size_t size)
{
    struct file f;
    char signature[4];
    size_t len;

    if (ioperm(PORT_SELECT, 2, 1)) {
        return false;
    }
    outw(KEY_SIGNATURE, PORT_SELECT);
    fetch(signature, sizeof(signature));
    if (memcmp(signature, "QEMU", 4) || !find(name, &f)) {
        return false;
    }
    len = be32toh(f.size);
    if (len >= size) {
        return false;
    }
    outw(be16toh(f.select), PORT_SELECT);
    fetch(text, len);
    text[len] = 0;
    text[strcspn(text, "\r\n")] = 0;
    return true;
}
