/*
 * sev-template-use-wrap: the wrap that the next image is opened with.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-sev-overlay.h"
#include "wrap.h"
#include "migration/sev/trace.h"

/* Main thread. */
static SevWrap *in_use;

const SevWrap *sev_wrap_in_use(void)
{
    return in_use;
}

SevWrapInfo *qmp_sev_template_use_wrap(const char *wrap, Error **errp)
{
    g_autoptr(SevWrap) w = NULL;
    g_autofree char *image = NULL;
    SevWrapInfo *info;

    if (!*wrap) {
        g_clear_pointer(&in_use, sev_wrap_free);
        return g_new0(SevWrapInfo, 1);
    }
    w = sev_wrap_read(wrap, errp);
    if (!w || !sev_wrap_is_here(w, errp)) {
        return NULL;
    }
    image = sev_image_id_text(w->wrap.u.wrap.image.data);
    trace_sev_wrap_use(wrap, image);
    info = g_new0(SevWrapInfo, 1);
    info->image = g_steal_pointer(&image);
    info->fingerprint =
        g_strndup((const char *)w->session.u.session.target.data,
                  w->session.u.session.target.len);
    info->packets = w->lane.u.lane.count;
    sev_wrap_free(in_use);
    in_use = g_steal_pointer(&w);
    return info;
}
