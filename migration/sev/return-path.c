/*
 * What a source hears on the return path.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/sev/wire/record.h"
#include "fail.h"
#include "multifd.h"
#include "pace.h"
#include "return-path.h"
#include "target/i386/sev/test/fault.h"
#include "trace.h"

/* The first use of a platform makes its keys, which can take a while. */
#define ANSWER_TIMEOUT_S 120
/* How long a target that was told to run may take to say that it does */
#define SHUT_TIMEOUT_S 30
/* How soon a cancel is noticed. */
#define POLL_MS 50

/* What the target said, between migration and return path thread. */
static struct {
    QemuMutex lock;             /* protects the rest */
    QemuCond heard;
    SevRpState state;
    uint32_t seen;              /* for sev_answer_legal() */
    SevPlatformCerts certs;     /* SENDING: until they were fetched */
    SevAck ack;                 /* JUDGING */
} said;

void sev_return_path_init(void)
{
    qemu_mutex_init(&said.lock);
    qemu_cond_init(&said.heard);
}

/* --- The migration thread steps and waits -------------------------------------- */

void sev_return_path_begin(void)
{
    QEMU_LOCK_GUARD(&said.lock);
    said.state = SEV_RP_QUIET;
    said.seen = 0;
    sev_platform_certs_clear(&said.certs);
    sev_pace_begin();
}

void sev_return_path_step(SevRpState state)
{
    QEMU_LOCK_GUARD(&said.lock);
    assert(state == said.state + 1);
    said.state = state;
}

/* True when there is nothing to wait for any more. */
static bool wait_over(MigrationState *ms, MigrationStatus status,
                      const char *what, Error **errp)
{
    if (ms->state != status) {
        error_setg(errp, "SEV: the migration was cancelled before the target "
                   "sent its %s", what);
        return true;
    }
    if (migrate_has_error(ms)) {
        /* The return path thread knows best. */
        QEMU_LOCK_GUARD(&ms->error_mutex);
        error_propagate(errp, error_copy(ms->error));
        return true;
    }
    return false;
}

bool sev_return_path_wait_certs(MigrationState *ms, SevPlatformCerts *certs,
                                Error **errp)
{
    int64_t deadline = get_clock() +
                       ANSWER_TIMEOUT_S * (int64_t)NANOSECONDS_PER_SECOND;
    bool answered = false;

    bql_unlock();
    if (sev_fault(SEV_FAULT_CERTS_WAIT, errp)) {
        bql_lock();
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&said.lock) {
        while (said.state == SEV_RP_ASKED &&
               !wait_over(ms, MIGRATION_STATUS_SETUP, "SEV certificates",
                          errp)) {
            if (get_clock() > deadline) {
                error_setg(errp, "SEV: the target did not send its SEV "
                           "certificates within %d seconds", ANSWER_TIMEOUT_S);
                break;
            }
            qemu_cond_timedwait(&said.heard, &said.lock, POLL_MS);
        }
        if (said.state == SEV_RP_SENDING) {
            *certs = said.certs;
            memset(&said.certs, 0, sizeof(said.certs));
            answered = true;
        }
    }
    bql_lock();
    return answered;
}

bool sev_return_path_wait_ack(MigrationState *ms, SevAck *ack, Error **errp)
{
    if (sev_fault(SEV_FAULT_ACK_WAIT, errp)) {
        return false;
    }
    QEMU_LOCK_GUARD(&said.lock);
    while (said.state == SEV_RP_SENT) {
        if (wait_over(ms, MIGRATION_STATUS_DEVICE, "acknowledgement", errp)) {
            return false;
        }
        qemu_cond_timedwait(&said.heard, &said.lock, POLL_MS);
    }
    *ack = said.ack;
    return true;
}

bool sev_return_path_wait_shut(MigrationState *ms)
{
    int64_t deadline = get_clock() +
                       SHUT_TIMEOUT_S * (int64_t)NANOSECONDS_PER_SECOND;

    QEMU_LOCK_GUARD(&said.lock);
    while (said.state == SEV_RP_GIVEN && !migrate_has_error(ms) &&
           get_clock() < deadline) {
        qemu_cond_timedwait(&said.heard, &said.lock, POLL_MS);
    }
    return said.state == SEV_RP_OVER;
}

/* --- The return path thread reads ----------------------------------------------- */

/* The record of this type that is all of a message's body. */
static bool body_record(SevRecord *rec, SevRecordType type,
                        const uint8_t *body, uint16_t len, Error **errp)
{
    if (!sev_record_decode(rec, body, len, errp)) {
        return false;
    }
    if (rec->type != type) {
        error_setg(errp, "SEV return path: a %s record, not %s",
                   sev_record_name(rec->type), sev_record_name(type));
        return false;
    }
    return true;
}

static void read_certs(const uint8_t *body, uint16_t len, Error **errp)
{
    const SevRecordCerts *r;
    SevRecord rec;

    if (sev_fault(SEV_FAULT_CERTS_READ, errp) ||
        !body_record(&rec, SEV_RECORD_CERTS, body, len, errp)) {
        return;
    }
    r = &rec.u.certs;
    QEMU_LOCK_GUARD(&said.lock);
    said.certs = (SevPlatformCerts) {
        .pdh = g_memdup2(r->pdh.data, r->pdh.len), .pdh_len = r->pdh.len,
        .plat = g_memdup2(r->plat.data, r->plat.len), .plat_len = r->plat.len,
        .amd = g_memdup2(r->amd.data, r->amd.len), .amd_len = r->amd.len,
    };
    said.state = SEV_RP_SENDING;
    qemu_cond_signal(&said.heard);
}

static void read_ack(const uint8_t *body, uint16_t len, Error **errp)
{
    const SevRecordAck *r;
    SevRecord rec;

    if (sev_fault(SEV_FAULT_ACK_READ, errp) ||
        !body_record(&rec, SEV_RECORD_ACK, body, len, errp)) {
        return;
    }
    r = &rec.u.ack;
    trace_sev_return_path_ack(r->status, r->report.len);
    QEMU_LOCK_GUARD(&said.lock);
    memcpy(said.ack.digest, r->digest.data, r->digest.len);
    said.ack.status = r->status;
    said.ack.report_len = r->report.len;
    if (r->report.len) {
        memcpy(said.ack.report, r->report.data, r->report.len);
    }
    said.state = SEV_RP_JUDGING;
    qemu_cond_signal(&said.heard);
}

static void read_refusal(const uint8_t *body, uint16_t len, Error **errp)
{
    g_autofree char *text = NULL;

    if (sev_fault(SEV_FAULT_REFUSAL_READ, errp)) {
        return;
    }
    text = g_utf8_make_valid((const char *)body, len);
    for (char *c = text; *c; c++) {
        if (g_ascii_iscntrl(*c)) {
            *c = ' ';
        }
    }
    trace_sev_return_path_refusal(text);
    error_setg(errp, "SEV: the target refused: %s", text);
}

/* It ended too early: say more than that the message is out of place. */
static void read_early_shut(SevRpState state, const uint8_t *body, Error **errp)
{
    static const char *const before[SEV_RP__MAX] = {
        [SEV_RP_SENDING] = "while it was sent the guest",
        [SEV_RP_SENT] = "before it acknowledged the guest",
        [SEV_RP_JUDGING] = "before its acknowledgement was looked at",
    };

    if (state <= SEV_RP_ASKED) {
        error_setg(errp, "SEV: the target ended the migration before it sent "
                   "its SEV certificates, as one does that is no SEV guest, or "
                   "not the same QEMU");
    } else {
        error_setg(errp, "SEV: the target ended the migration %s (SHUT, error "
                   "%u)",
                   before[state], ldl_be_p(body));
    }
}

/* All of the body of a message that is ours, or of a SHUT too early. */
static void message_read(MigrationState *ms, QEMUFile *rp, uint16_t type,
                         uint16_t len, SevRpState state, Error **errp)
{
    g_autofree uint8_t *body = g_malloc(len + 1);

    if (qemu_get_buffer(rp, body, len) != len) {
        error_setg(errp, "SEV return path: %s of %u bytes was cut short",
                   sev_answer_name(type), len);
        return;
    }
    switch (type) {
    case SEV_RP_CERTS:
        read_certs(body, len, errp);
        break;
    case SEV_RP_ACK:
        read_ack(body, len, errp);
        break;
    case SEV_RP_REFUSAL:
        read_refusal(body, len, errp);
        break;
    case SEV_RP_PONG:
        sev_pace_heard(ldl_be_p(body), get_clock(), errp);
        break;
    case SEV_RP_SHUT:
        read_early_shut(state, body, errp);
        break;
    default:
        g_assert_not_reached();
    }
}

/*
 * Stop the migration thread, which may be in the middle of a write: upstream
 * would let it go on until it looks.  The error comes first, so that it wins
 * over those of a socket going down.
 */
static void stop_sending(MigrationState *ms, Error *err)
{
    sev_migration_set_error(err);
    migration_file_set_error(-ECONNABORTED, error_copy(err));
    WITH_QEMU_LOCK_GUARD(&ms->qemu_file_lock) {
        if (ms->to_dst_file) {
            qemu_file_shutdown(ms->to_dst_file);
        }
    }
}

bool sev_return_path_message(MigrationState *ms, QEMUFile *rp, uint16_t type,
                             uint16_t len, Error **errp)
{
    bool legal, ours, early;
    SevRpState state;
    ERRP_GUARD();

    WITH_QEMU_LOCK_GUARD(&said.lock) {
        state = said.state;
        early = type == SEV_RP_SHUT && len == 4 && state < SEV_RP_GIVEN;
        legal = early || sev_answer_legal(state, &said.seen, type, len,
                                          migrate_switchover_ack(), errp);
        if (legal && !early && type == SEV_RP_SHUT) {
            said.state = SEV_RP_OVER;
            qemu_cond_signal(&said.heard);
        }
    }
    trace_sev_return_path_message(type, len, sev_rp_state_name(state),
                                  legal && !early);
    ours = early || type == SEV_RP_CERTS || type == SEV_RP_ACK ||
           type == SEV_RP_REFUSAL ||
           (type == SEV_RP_PONG && state >= SEV_RP_SENDING);
    if (legal && !ours) {
        if (type != SEV_RP_SHUT || !sev_fault(SEV_FAULT_SHUT_READ, errp)) {
            return false;
        }
        sev_migration_set_error(*errp);
        return true;
    }
    if (legal) {
        message_read(ms, rp, type, len, state, errp);
    }
    if (*errp) {
        stop_sending(ms, *errp);
    }
    return true;
}

/* --- Errors ------------------------------------------------------------------------ */

/* Did the line break before we closed it?  Main thread. */
static bool broken;

void sev_return_path_look(MigrationState *ms)
{
    QEMU_LOCK_GUARD(&ms->qemu_file_lock);
    broken = ms->to_dst_file &&
             (sev_channel_is_down(qemu_file_get_ioc(ms->to_dst_file)) ||
              (ms->rp_state.from_dst_file &&
               qemu_file_get_error(ms->rp_state.from_dst_file)) ||
              sev_multifd_is_down());
}

bool sev_return_path_broke(MigrationState *ms)
{
    return broken && ms->error && !sev_migration_error_is_ours();
}

void sev_return_path_explain(MigrationState *ms, const char *doing)
{
    if (ms->state == MIGRATION_STATUS_CANCELLING ||
        ms->state == MIGRATION_STATUS_CANCELLED) {
        return;                 /* it was not lost */
    }
    QEMU_LOCK_GUARD(&ms->error_mutex);
    if (doing && sev_return_path_broke(ms)) {
        error_prepend(&ms->error, "SEV: the line to the target was lost while "
                      "%s: ",
                      doing);
        sev_migration_error_explained();
    }
}
