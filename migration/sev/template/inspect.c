/*
 * query-sev-template: what each record says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/sev/session.h"
#include "inspect.h"

static char *span_text(SevSpan span)
{
    return g_strndup((const char *)span.data, span.len);
}

static bool visit_manifest(SevQuery *q, const SevRecordManifest *r,
                           Error **errp)
{
    SevTemplateInfo *info = q->info;
    Error *why = NULL;

    if (r->layout < SEV_LAYOUT_STREAM || r->layout > SEV_LAYOUT_IN_PLACE) {
        error_setg(errp, "layout %" PRIu64 " is unknown", r->layout);
        return false;
    }
    if (q->has_manifest) {
        error_setg(errp, "there is a second MANIFEST record");
        return false;
    }
    if (r->method != SEV_METHOD_PACKET && r->method != SEV_METHOD_LANE) {
        error_setg(errp, "method %" PRIu64 " is unknown", r->method);
        return false;
    }
    q->has_manifest = true;
    q->method = r->method;
    info->method = r->method == SEV_METHOD_LANE ? SEV_SEAL_METHOD_LANE
                                                : SEV_SEAL_METHOD_PACKETS;
    info->layout = r->layout - SEV_LAYOUT_STREAM;
    info->policy = r->policy;
    info->fingerprint = span_text(r->fingerprint);
    if (q->wrap) {
        if (!sev_wrap_is_for_method(q->wrap, r->method, errp)) {
            return false;
        }
        info->wrapped_for = span_text(q->wrap->session.u.session.target);
    }
    info->here = q->wrap ? sev_wrap_is_here(q->wrap, &why)
                         : sev_session_is_here(r->fingerprint, r->chip, &why);
    if (why) {
        info->why_not_here = g_strdup(error_get_pretty(why));
        error_free(why);
    }
    info->machine = span_text(r->machine);
    info->measurement = r->measurement.len ? span_text(r->measurement) : NULL;
    info->cpu = span_text(r->cpu);
    info->vcpus = r->vcpus;
    info->ram_bytes = r->ram_bytes;
    if (q->verify && r->layout == SEV_LAYOUT_IN_PLACE &&
        q->ram.fd < 0) {
        error_setg(errp, "it was sealed in place: name its RAM file with 'ram' "
                   "to verify it");
        return false;
    }
    return true;
}

/* The name of the image, and the session that opens it. */
static const SevRecordSession *name_image(SevQuery *q, const SevRecord *rec,
                                          Error **errp)
{
    uint8_t id[SEV_RECORD_DIGEST_LEN];

    if (q->has_session) {
        error_setg(errp, "there is a second SESSION record");
        return NULL;
    }
    q->has_session = true;
    sev_image_id(q->manifest, rec, id);
    q->info->image = sev_image_id_text(id);
    if (!q->wrap) {
        return &rec->u.session;
    }
    return sev_wrap_fits(q->wrap, q->manifest, rec, errp)
               ? &q->wrap->session.u.session : NULL;
}

static bool visit_session(SevQuery *q, const SevRecord *rec, Error **errp)
{
    const SevRecordSession *r = name_image(q, rec, errp);
    SevPlatformCerts sender = { 0 };

    if (!r) {
        return false;
    }
    sender.pdh = (uint8_t *)r->pdh.data;
    sender.pdh_len = r->pdh.len;
    q->info->sealed_by = sev_certs_fingerprint(&sender, errp);
    if (!q->info->sealed_by) {
        return false;
    }
    if (!q->info->here) {
        q->info->has_verified = false;  /* no key of this platform opens it */
        return true;
    }
    if (!q->verify && !sev_verifier_possible()) {
        return true;
    }
    q->verifier = sev_verifier_new(r->policy, r->pdh.data, r->pdh.len,
                                   r->session.data, r->session.len, errp);
    q->info->sealed_by_proven = q->verifier;
    if (!q->verify) {
        g_clear_pointer(&q->verifier, sev_verifier_free);
    }
    return q->info->sealed_by_proven;
}

static bool visit_block(SevQuery *q, const SevRecordBlock *r, Error **errp)
{
    SevQueryBlock block = { .length = r->length };

    if (q->blocks->len == SEV_RECORD_BLOCKS_MAX) {
        error_setg(errp, "it has more than %d blocks of RAM",
                   SEV_RECORD_BLOCKS_MAX);
        return false;
    }
    block.name = span_text(r->name);
    g_array_append_val(q->blocks, block);
    return true;
}

bool sev_query_visit(SevQuery *q, const SevRecord *rec, Error **errp)
{
    if (!q->has_manifest && rec->type != SEV_RECORD_MANIFEST) {
        error_setg(errp, "it is a migration stream, not a template");
        return false;
    }
    switch (rec->type) {
    case SEV_RECORD_MANIFEST:
        if (!visit_manifest(q, &rec->u.manifest, errp)) {
            return false;
        }
        q->manifest = g_byte_array_new();
        sev_record_encode(rec, q->manifest);
        return true;
    case SEV_RECORD_SESSION:
        return visit_session(q, rec, errp);
    case SEV_RECORD_BLOCK:
        return visit_block(q, &rec->u.block, errp);
    case SEV_RECORD_LANE:
        return sev_query_lane(q, &rec->u.lane, errp);
    case SEV_RECORD_IMAGE:
        return sev_query_image(q, &rec->u.image, errp);
    case SEV_RECORD_PAGES:
        return sev_query_pages(q, &rec->u.pages, errp);
    case SEV_RECORD_HEADERS:
        return sev_query_headers(q, &rec->u.headers, errp);
    case SEV_RECORD_STATE:
        return sev_query_state(q, &rec->u.state, errp);
    case SEV_RECORD_VMSA:
        return sev_query_vmsa(q, &rec->u.vmsa, errp);
    case SEV_RECORD_SHARED:
        return sev_query_shared(q, &rec->u.shared, errp);
    case SEV_RECORD_END:
        q->has_end = true;
        return true;
    default:
        return true;
    }
}
