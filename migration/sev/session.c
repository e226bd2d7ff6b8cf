/*
 * Who sends to whom: certificates and the session.  Both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/qemu-file.h"
#include "params.h"
#include "migration/sev/wire/write.h"
#include "return-path.h"
#include "session.h"
#include "migration/sev/template/wrap.h"
#include "target/i386/sev/test/fault.h"
#include "trace.h"
#include "migration/sev/wire/transcript.h"

static SevSpan span(const void *data, size_t len)
{
    return (SevSpan) { .data = data, .len = len };
}

static SevSpan text_span(const char *s)
{
    return span(s, s ? strlen(s) : 0);
}

/* --- HELLO and CERTS -------------------------------------------------------- */

static bool put_hello(QEMUFile *f, Error **errp)
{
    ERRP_GUARD();
    g_auto(SevPlatformCerts) own = { 0 };
    g_auto(SevGuestIdentity) id = { 0 };
    g_autofree char *fingerprint = NULL;
    SevRecord rec = { .type = SEV_RECORD_HELLO };
    int ret;

    if (!sev_platform_certs(&own, errp)) {
        return false;
    }
    fingerprint = sev_certs_fingerprint(&own, errp);
    if (!fingerprint) {
        return false;
    }
    sev_guest_identity(&id);
    rec.u.hello = (SevRecordHello) {
        .policy = id.policy,
        .api_major = id.api_major,
        .api_minor = id.api_minor,
        .build = id.build_id,
        .fingerprint = text_span(fingerprint),
        .handover = SEV_HANDOVER_ACK_GO,
    };
    trace_sev_session_ask(fingerprint);
    sev_record_put(f, &rec);
    qemu_fflush(f);
    ret = qemu_file_get_error_obj(f, errp);
    if (ret) {
        error_prepend(errp, "SEV: the target cannot be asked for its SEV "
                      "certificates: ");
    }
    return !ret;
}

static bool session_ask(MigrationState *ms, QEMUFile *f,
                        SevPlatformCerts *certs, Error **errp)
{
    sev_return_path_step(SEV_RP_ASKED);
    return put_hello(f, errp) && sev_return_path_wait_certs(ms, certs, errp);
}

/* --- Who receives ------------------------------------------------------------ */

bool sev_session_named_target(SevPlatformCerts *target, Error **errp)
{
    ERRP_GUARD();
    const SevPlatformCerts *named;

    if (!sev_params_certs(&named, errp)) {
        return !*errp && sev_platform_certs(target, errp);
    }
    *target = (SevPlatformCerts) {
        .pdh = g_memdup2(named->pdh, named->pdh_len),
        .pdh_len = named->pdh_len,
        .plat = g_memdup2(named->plat, named->plat_len),
        .plat_len = named->plat_len,
        .amd = g_memdup2(named->amd, named->amd_len),
        .amd_len = named->amd_len,
    };
    return true;
}

/*
 * Who answers must be who was named, if anybody was; then what the answer lacks
 * is what was said with the name.
 */
static bool answer_is_named(SevPlatformCerts *answer, const char *answered,
                            Error **errp)
{
    ERRP_GUARD();
    const SevPlatformCerts *named;
    g_autofree char *fingerprint = NULL;

    if (!sev_params_certs(&named, errp)) {
        return !*errp;
    }
    fingerprint = sev_certs_fingerprint(named, errp);
    if (fingerprint && !g_str_equal(fingerprint, answered)) {
        error_setg(errp, "SEV: the target is platform %s, migration parameter "
                   "'sev-pdh' names %s", answered, fingerprint);
        return false;
    }
    if (fingerprint && !sev_certs_fill(answer, named, errp)) {
        error_prepend(errp, "SEV: migration parameter 'sev-plat-cert': ");
        return false;
    }
    return fingerprint;
}

/* The guest is on this platform already: to stay needs no permission. */
static bool is_own(const char *fingerprint, Error **errp)
{
    g_auto(SevPlatformCerts) own = { 0 };
    g_autofree char *here = NULL;

    if (!sev_platform_certs(&own, errp)) {
        return false;
    }
    here = sev_certs_fingerprint(&own, errp);
    return here && g_str_equal(here, fingerprint);
}

static bool may_receive(SevPlatformCerts *target, const char *fingerprint,
                        bool asked, Error **errp)
{
    ERRP_GUARD();
    bool own = is_own(fingerprint, errp);

    trace_sev_session_target(fingerprint, asked, own);
    if (*errp || sev_fault(SEV_FAULT_CERTS_CHECK, errp)) {
        return false;
    }
    return own ? sev_certs_complete_own(target, errp)
               : sev_certs_trusted(target, errp) &&
                 sev_params_allowed(fingerprint, errp);
}

bool sev_session_may_receive(SevPlatformCerts *target, Error **errp)
{
    g_autofree char *fingerprint = sev_certs_fingerprint(target, errp);

    return fingerprint && may_receive(target, fingerprint, false, errp);
}

bool sev_session_find_target(MigrationState *ms, QEMUFile *f,
                             SevPlatformCerts *target, Error **errp)
{
    bool asked = ms->rp_state.rp_thread_created;
    g_autofree char *fingerprint = NULL;

    if (!(asked ? session_ask(ms, f, target, errp)
                : sev_session_named_target(target, errp))) {
        return false;
    }
    fingerprint = sev_certs_fingerprint(target, errp);
    if (!fingerprint ||
        (asked && !answer_is_named(target, fingerprint, errp))) {
        return false;
    }
    return may_receive(target, fingerprint, asked, errp);
}

bool sev_session_load_hello(SevTarget *t, const SevRecord *rec, Error **errp)
{
    g_auto(SevPlatformCerts) own = { 0 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord answer = { .type = SEV_RECORD_CERTS };

    if (rec->u.hello.handover != SEV_HANDOVER_ACK_GO) {
        error_setg(errp, "SEV stream: the source hands its guest over in way %"
                   PRIu64 ", this QEMU knows %d: use the same QEMU at both "
                   "ends", rec->u.hello.handover, SEV_HANDOVER_ACK_GO);
        return false;
    }
    t->asked = true;
    if (!sev_transcript_begin(errp) || !sev_platform_chain(&own, errp)) {
        return false;
    }
    if (sev_fault(SEV_FAULT_CERTS_SEND, errp)) {
        return false;
    }
    if (own.pdh_len > SEV_RECORD_PDH_MAX ||
        own.plat_len > SEV_RECORD_PLAT_MAX ||
        own.amd_len > SEV_RECORD_AMD_MAX) {
        error_setg(errp, "SEV: this platform's certificates (%zu, %zu, %zu "
                   "bytes) are too long", own.pdh_len, own.plat_len,
                   own.amd_len);
        return false;
    }
    answer.u.certs = (SevRecordCerts) {
        .pdh = span(own.pdh, own.pdh_len),
        .plat = span(own.plat, own.plat_len),
        .amd = span(own.amd, own.amd_len),
    };
    sev_record_encode(&answer, out);
    trace_sev_session_answer(own.pdh_len, own.plat_len, own.amd_len);

    return sev_return_path_send(SEV_RP_CERTS, out->data, out->len, errp);
}

/* --- SESSION ---------------------------------------------------------------- */

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
        .measurement = text_span(id.measurement),
        .target = text_span(fingerprint),
        .pdh = span(own.pdh, own.pdh_len),
        .session = span(session, sizeof(session)),
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

    return is_own(fingerprint, errp) ||
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
