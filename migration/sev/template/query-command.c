/*
 * query-sev-template, the command.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/thread-pool.h"
#include "qapi/qapi-commands-sev-overlay.h"
#include "qemu/coroutine.h"
#include "inspect.h"

typedef struct Question {
    const char *path, *ram, *wrap;
    bool verify;
    SevTemplateInfo *info;
    Error *err;
} Question;

static int look(void *opaque)
{
    Question *q = opaque;

    q->info = sev_template_look(q->path, q->ram, q->wrap, q->verify,
                                &q->err);
    return 0;
}

/*
 * A large template takes a while, and a stranger's any while that it likes: a
 * thread reads it, and the main loop serves the guest.
 */
SevTemplateInfo *coroutine_fn
qmp_query_sev_template(const char *path, const char *ram, const char *wrap,
                       bool has_verify, bool verify, Error **errp)
{
    Question q = {
        .path = path, .ram = ram, .wrap = wrap, .verify = has_verify && verify,
    };
    g_auto(SevPlatformCerts) own = { 0 };

    /* Opens the platform, here where the BQL is held; who asks it says why not. */
    sev_platform_certs(&own, NULL);
    thread_pool_submit_co(look, &q);
    error_propagate(errp, q.err);
    return q.info;
}
