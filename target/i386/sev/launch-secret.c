/*
 * Where a launch secret goes when nobody says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "sev-guest.h"

bool sev_secret_area_fits(uint32_t size, const char *secret, Error **errp)
{
    g_autofree guchar *data = NULL;
    gsize len = 0;

    if (!size) {
        error_setg(errp, "SEV: the firmware's table names an area of 0 bytes "
                   "for the secret: specify gpa, or use a firmware with such "
                   "an area (OVMF's AmdSev build)");
        return false;
    }
    data = g_base64_decode(secret, &len);
    if (len > size) {
        error_setg(errp, "SEV: the secret has %zu bytes, the firmware's area "
                   "for it has %u", (size_t)len, size);
        return false;
    }
    return true;
}
