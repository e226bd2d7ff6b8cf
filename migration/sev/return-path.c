/*
 * What a source hears on the return path.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "migration/qemu-file.h"
#include "record.h"
#include "return-path.h"
#include "target/i386/sev/fault.h"
#include "trace.h"

/* The first use of a platform makes its keys, which can take a while. */
#define ANSWER_TIMEOUT_S 120
/* How soon a cancel is noticed. */
#define ANSWER_POLL_MS 50

/* A question and its answer, between migration and return path thread. */
static struct {
    QemuMutex lock;             /* protects the rest */
    QemuCond answered;
    bool waiting;
    SevPlatformCerts certs;     /* pdh set: the answer */
} question;

void sev_return_path_init(void)
{
    qemu_mutex_init(&question.lock);
    qemu_cond_init(&question.answered);
}

/* --- Source: the migration thread waits -------------------------------------- */

void sev_return_path_expect(bool expect)
{
    QEMU_LOCK_GUARD(&question.lock);
    question.waiting = expect;
    sev_platform_certs_clear(&question.certs);
    memset(&question.certs, 0, sizeof(question.certs));
}

/* True when there is nothing to wait for any more. */
static bool question_over(MigrationState *ms, int64_t deadline, Error **errp)
{
    if (ms->state != MIGRATION_STATUS_SETUP) {
        error_setg(errp, "The migration was cancelled before the target sent "
                   "its SEV certificates");
        return true;
    }
    if (migrate_has_error(ms)) {
        /* The return path thread knows best. */
        QEMU_LOCK_GUARD(&ms->error_mutex);
        error_propagate(errp, error_copy(ms->error));
        return true;
    }
    if (get_clock() > deadline) {
        error_setg(errp, "The target did not send its SEV certificates within "
                   "%d seconds", ANSWER_TIMEOUT_S);
        return true;
    }
    return false;
}

bool sev_return_path_wait(MigrationState *ms, SevPlatformCerts *certs,
                          Error **errp)
{
    int64_t deadline = get_clock() +
                       ANSWER_TIMEOUT_S * (int64_t)NANOSECONDS_PER_SECOND;
    bool answered;

    bql_unlock();
    if (sev_fault(SEV_FAULT_CERTS_WAIT, errp)) {
        bql_lock();
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&question.lock) {
        while (!question.certs.pdh && !question_over(ms, deadline, errp)) {
            qemu_cond_timedwait(&question.answered, &question.lock,
                                ANSWER_POLL_MS);
        }
        answered = question.certs.pdh;
        *certs = question.certs;
        memset(&question.certs, 0, sizeof(question.certs));
    }
    bql_lock();
    return answered;
}

/* --- Source: the return path thread reads ------------------------------------- */

static uint8_t *rp_body(QEMUFile *rp, const char *what, uint16_t len,
                        size_t min, size_t max, Error **errp)
{
    g_autofree uint8_t *body = NULL;

    if (len < min || len > max) {
        error_setg(errp, "SEV return path: %s of %u bytes, not %zu to %zu",
                   what, len, min, max);
        return NULL;
    }
    body = g_malloc(len);
    if (qemu_get_buffer(rp, body, len) != len) {
        error_setg(errp, "SEV return path: %s was cut short", what);
        return NULL;
    }
    return g_steal_pointer(&body);
}

static void message_certs(QEMUFile *rp, uint16_t len, Error **errp)
{
    g_autofree uint8_t *body = rp_body(rp, "certificates", len,
                                       SEV_RECORD_HEADER_LEN, UINT16_MAX,
                                       errp);
    const SevRecordCerts *r;
    SevRecord rec;

    if (!body || sev_fault(SEV_FAULT_CERTS_READ, errp) ||
        !sev_record_decode(&rec, body, len, errp)) {
        return;
    }
    if (rec.type != SEV_RECORD_CERTS) {
        error_setg(errp, "SEV return path: a %s record, not CERTS",
                   sev_record_name(rec.type));
        return;
    }
    r = &rec.u.certs;
    QEMU_LOCK_GUARD(&question.lock);
    if (!question.waiting || question.certs.pdh) {
        error_setg(errp, "SEV return path: certificates that nobody asked for");
        return;
    }
    question.certs = (SevPlatformCerts) {
        .pdh = g_memdup2(r->pdh.data, r->pdh.len), .pdh_len = r->pdh.len,
        .plat = g_memdup2(r->plat.data, r->plat.len), .plat_len = r->plat.len,
        .amd = g_memdup2(r->amd.data, r->amd.len), .amd_len = r->amd.len,
    };
    qemu_cond_signal(&question.answered);
}

static void message_refusal(MigrationState *ms, QEMUFile *rp, uint16_t len,
                            Error **errp)
{
    g_autofree uint8_t *body = rp_body(rp, "refusal", len, 1,
                                       SEV_RP_REFUSAL_MAX, errp);
    g_autofree char *text = NULL;
    Error *err = NULL;

    if (!body || sev_fault(SEV_FAULT_REFUSAL_READ, errp)) {
        return;
    }
    text = g_utf8_make_valid((const char *)body, len);
    for (char *c = text; *c; c++) {
        if (g_ascii_iscntrl(*c)) {
            *c = ' ';
        }
    }
    trace_sev_return_path_refusal(text);
    error_setg(&err, "The target refused: %s", text);

    /* First, so that it wins over the errors of a socket going down. */
    migrate_set_error(ms, err);
    migration_file_set_error(-ECONNABORTED, error_copy(err));
    WITH_QEMU_LOCK_GUARD(&ms->qemu_file_lock) {
        if (ms->to_dst_file) {
            qemu_file_shutdown(ms->to_dst_file);
        }
    }
    error_propagate(errp, err);
}

/* The target hung up before it answered: say more than upstream can. */
static bool message_shut(QEMUFile *rp, uint16_t len, Error **errp)
{
    g_autofree uint8_t *body = NULL;

    WITH_QEMU_LOCK_GUARD(&question.lock) {
        if (!question.waiting || question.certs.pdh) {
            return false;
        }
    }
    body = rp_body(rp, "end", len, 4, 4, errp);
    if (body) {
        error_setg(errp, "The target ended the migration before it sent its "
                   "SEV certificates: is it an SEV guest, and the same QEMU?");
    }
    return true;
}

bool sev_return_path_message(MigrationState *ms, QEMUFile *rp, uint16_t type,
                             uint16_t len, Error **errp)
{
    switch (type) {
    case SEV_RP_CERTS:
        message_certs(rp, len, errp);
        return true;
    case SEV_RP_REFUSAL:
        message_refusal(ms, rp, len, errp);
        return true;
    case SEV_RP_SHUT:
        return sev_fault(SEV_FAULT_ACK_READ, errp) ||
               message_shut(rp, len, errp);
    default:
        return false;
    }
}

bool sev_return_path_is_line_error(Error *err)
{
    const char *said = error_get_pretty(err);

    return g_str_has_prefix(said, "Channel error") ||
           g_str_has_prefix(said, "Unable to ");
}

void sev_return_path_explain(MigrationState *ms, const char *doing)
{
    if (ms->state == MIGRATION_STATUS_CANCELLING ||
        ms->state == MIGRATION_STATUS_CANCELLED) {
        return;                 /* it was not lost */
    }
    QEMU_LOCK_GUARD(&ms->error_mutex);
    if (doing && ms->error && sev_return_path_is_line_error(ms->error)) {
        error_prepend(&ms->error, "The line to the target was lost while %s: ",
                      doing);
    }
}
