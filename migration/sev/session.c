/*
 * The session between two platforms: SESSION records, both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "params.h"
#include "migration/sev/wire/write.h"
#include "session.h"
#include "migration/sev/template/wrap.h"
#include "trace.h"

typedef void PutRecord(void *to, const SevRecord *rec);

static bool start(const SevPlatformCerts *target, PutRecord *put, void *to,
                  Error **errp)
{
    g_auto(SevPlatformCerts) own = { 0 };
    g_auto(SevGuestIdentity) id = { 0 };
    g_autofree char *fingerprint = sev_certs_fingerprint(target, errp);
    uint8_t session[SEV_SESSION_LEN];
    SevRecord rec = { .type = SEV_RECORD_SESSION };

    if (!fingerprint || !sev_platform_certs(&own, errp)) {
        return false;
    }
    sev_guest_identity(&id);
    if (own.pdh_len > SEV_RECORD_PDH_MAX ||
        (id.measurement && strlen(id.measurement) > SEV_RECORD_TEXT_MAX)) {
        error_setg(errp, "SEV: the guest's identity is too long to send");
        return false;
    }
    if (!sev_send_start(target, session, errp)) {
        return false;
    }
    rec.u.session = (SevRecordSession) {
        .policy = id.policy,
        .handle = id.handle,
        .api_major = id.api_major,
        .api_minor = id.api_minor,
        .build = id.build_id,
        .measurement = sev_span_text(id.measurement),
        .target = sev_span_text(fingerprint),
        .pdh = sev_span(own.pdh, own.pdh_len),
        .session = sev_span(session, sizeof(session)),
    };
    put(to, &rec);
    trace_sev_session_sealed(fingerprint, id.policy);
    return true;
}

static void put_to_file(void *f, const SevRecord *rec)
{
    sev_record_put(f, rec);
}

static void put_to_bytes(void *out, const SevRecord *rec)
{
    sev_record_encode(rec, out);
}

bool sev_session_seal(QEMUFile *f, const SevPlatformCerts *target,
                      Error **errp)
{
    return start(target, put_to_file, f, errp);
}

bool sev_session_encode(GByteArray *out, const SevPlatformCerts *target,
                        Error **errp)
{
    return start(target, put_to_bytes, out, errp);
}

bool sev_session_is_here(SevSpan target, SevSpan chip, Error **errp)
{
    g_auto(SevPlatformCerts) own = { 0 };
    g_autofree char *here = NULL;
    g_autofree char *own_chip = NULL;

    if (!sev_platform_certs(&own, errp)) {
        return false;
    }
    here = sev_certs_fingerprint(&own, errp);
    own_chip = here && chip.len ? sev_certs_chip(&own, errp) : NULL;
    if (!here || (chip.len && !own_chip)) {
        return false;
    }
    if (!sev_span_is(target, here)) {
        if (own_chip && sev_span_is(chip, own_chip)) {
            error_setg(errp, "SEV: the stream is sealed to the PDH %.*s of "
                       "this platform, which was replaced since (it is %s "
                       "now): nothing can open it any more, make it again",
                       (int)target.len, target.data, here);
            return false;
        }
        error_setg(errp, "SEV: the stream is sealed to the platform %.*s, this "
                   "one is %s: load it there, or make it again with this "
                   "platform's certificates (query-sev-platform-certs here) in "
                   "the source's migration parameters sev-pdh, sev-plat-cert "
                   "and sev-amd-cert; over a socket they are exchanged without "
                   "that", (int)target.len, target.data,
                   here);
        return false;
    }
    return true;
}

/*
 * RECEIVE_START will prove that who made the session holds the key of this PDH;
 * or this platform's own, which can make sessions in anybody's name.
 */
static bool source_allowed(const char *fingerprint, Error **errp)
{
    ERRP_GUARD();

    return sev_session_is_own(fingerprint, errp) ||
           (!*errp && sev_params_source_allowed(fingerprint, errp));
}

bool sev_session_open(const SevRecordSession *r, Error **errp)
{
    SevPlatformCerts source = {
        .pdh = (uint8_t *)r->pdh.data, .pdh_len = r->pdh.len,
    };
    g_auto(SevGuestIdentity) id = { 0 };
    g_autofree char *fingerprint = NULL;

    if (r->policy > UINT32_MAX || r->handle > UINT32_MAX ||
        r->api_major > UINT8_MAX || r->api_minor > UINT8_MAX ||
        r->build > UINT8_MAX) {
        error_setg(errp, "SEV stream: policy 0x%" PRIx64 ", handle 0x%" PRIx64
                   ", API %" PRIu64 ".%" PRIu64 " or build %" PRIu64
                   " is out of range", r->policy, r->handle, r->api_major,
                   r->api_minor, r->build);
        return false;
    }
    if (!sev_session_is_here(r->target, (SevSpan) { 0 }, errp)) {
        return false;
    }
    fingerprint = sev_certs_fingerprint(&source, errp);
    if (!fingerprint || !source_allowed(fingerprint, errp)) {
        return false;
    }
    id.claimed_by = g_strdup(fingerprint);
    id.policy = r->policy;
    id.handle = r->handle;
    id.api_major = r->api_major;
    id.api_minor = r->api_minor;
    id.build_id = r->build;
    if (r->measurement.len) {
        id.measurement = g_strndup((const char *)r->measurement.data,
                                   r->measurement.len);
    }
    if (!sev_guest_accepts(&id, errp) ||
        !sev_receive_start(&id, r->pdh.data, r->pdh.len,
                           r->session.data, r->session.len, errp) ||
        (sev_params_refuse_replay() &&
         !sev_session_once(r->session.data, r->session.len, errp))) {
        return false;
    }
    trace_sev_session_opened(fingerprint, id.policy);
    return true;
}

bool sev_session_load_session(SevTarget *t, const SevRecord *rec, Error **errp)
{
    const SevWrap *wrap = sev_wrap_in_use();

    if (!wrap) {
        return sev_session_open(&rec->u.session, errp);
    }
    return sev_wrap_fits(wrap, t->manifest, rec, errp) &&
           sev_session_open(&wrap->session.u.session, errp);
}
