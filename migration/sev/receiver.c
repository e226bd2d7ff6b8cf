/*
 * Who may receive a guest: HELLO and CERTS, and what is checked before SEND_START.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/qemu-file.h"
#include "params.h"
#include "migration/sev/wire/write.h"
#include "return-path.h"
#include "session.h"
#include "target/i386/sev/test/fault.h"
#include "trace.h"
#include "migration/sev/wire/transcript.h"

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
        .fingerprint = sev_span_text(fingerprint),
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

bool sev_session_is_own(const char *fingerprint, Error **errp)
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
    bool own = sev_session_is_own(fingerprint, errp);

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

/* --- The target answers ------------------------------------------------------ */

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
        .pdh = sev_span(own.pdh, own.pdh_len),
        .plat = sev_span(own.plat, own.plat_len),
        .amd = sev_span(own.amd, own.amd_len),
    };
    sev_record_encode(&answer, out);
    trace_sev_session_answer(own.pdh_len, own.plat_len, own.amd_len);

    return sev_return_path_send(SEV_RP_CERTS, out->data, out->len, errp);
}
