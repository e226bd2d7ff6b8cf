/*
 * The end of a move: acknowledged by the target, given by the source.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "io/channel.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "system/system.h"
#include "fail.h"
#include "handover.h"
#include "params.h"
#include "migration/sev/wire/write.h"
#include "return-path.h"
#include "order.h"
#include "target/i386/sev/test/fault.h"
#include "trace.h"
#include "migration/sev/wire/transcript.h"

QEMU_BUILD_BUG_ON(SEV_RECORD_REPORT_LEN != SEV_REPORT_LEN);

/* How long a target waits to be told; then somebody else has to decide. */
#define GO_TIMEOUT_S 30

/* --- Source ----------------------------------------------------------------- */

/* Who has to sign the report. */
static SevPlatformCerts sealed_to;

void sev_handover_begin(SevPlatformCerts *target)
{
    sev_platform_certs_clear(&sealed_to);
    sealed_to = *target;
    memset(target, 0, sizeof(*target));
}

void sev_handover_end(void)
{
    sev_platform_certs_clear(&sealed_to);
}

/* Does it name what was sent, and prove who says so? */
static bool ack_good(const SevAck *ack,
                     const uint8_t digest[SEV_RECORD_DIGEST_LEN], Error **errp)
{
    SevSpan named = { ack->digest, sizeof(ack->digest) };

    if (!sev_span_is_bytes(named, digest, SEV_RECORD_DIGEST_LEN)) {
        error_setg(errp, "SEV: the target acknowledges another stream than the "
                   "one that was sent: something on the way changed it");
        return false;
    }
    if (ack->report_len) {
        ERRP_GUARD();

        if (!sev_report_check(&sealed_to, ack->report, ack->report_len, digest,
                              errp)) {
            error_prepend(errp, "The target's acknowledgement is not the "
                          "platform's that the guest was sealed to: ");
            return false;
        }
    } else if (sev_params_acknowledgement() != SEV_ACKNOWLEDGEMENT_DIGEST) {
        error_setg(errp, "SEV: the target's secure processor made no "
                   "attestation report (status %" PRIu64 "), so nothing proves "
                   "that it has the guest: migration parameter "
                   "'sev-acknowledgement' set to 'digest' makes do with less",
                   ack->status);
        return false;
    }
    return true;
}

/* The point of no return; migrate_cancel is before it or too late. */
static bool give(MigrationState *ms, SevOutgoing *o, Error **errp)
{
    BQL_LOCK_GUARD();

    if (ms->state != MIGRATION_STATUS_DEVICE) {
        error_setg(errp, "SEV: the migration was cancelled before the guest "
                   "was handed over");
        return false;
    }
    if (migrate_has_error(ms)) {
        error_setg(errp, "SEV: the return path failed before the guest was "
                   "handed over");
        return false;
    }
    /* It may have died since: then the guest is nowhere else. */
    if (sev_return_path_hung_up(ms->to_dst_file)) {
        error_setg(errp, "SEV: the target hung up before the guest was handed "
                   "over");
        return false;
    }
    return sev_outgoing_take(o, SEV_OUTGOING_GIVE, errp);
}

/* The guest is the target's, whatever becomes of this message. */
static void say_go(MigrationState *ms)
{
    SevRecord rec = { .type = SEV_RECORD_GO };
    bool heard;

    sev_return_path_step(SEV_RP_GIVEN);
    sev_record_put(ms->to_dst_file, &rec);
    qemu_fflush(ms->to_dst_file);
    heard = !qemu_file_get_error(ms->to_dst_file) &&
            sev_return_path_wait_shut(ms);
    trace_sev_handover_shut(heard);
    if (!heard) {
        warn_report("The SEV guest was handed over, but the target has not "
                    "said that it runs: if it is paused there, 'cont' it");
        /* Nobody shall wait for a message that does not come. */
        WITH_QEMU_LOCK_GUARD(&ms->qemu_file_lock) {
            if (ms->rp_state.from_dst_file) {
                qemu_file_shutdown(ms->rp_state.from_dst_file);
            }
        }
    }
}

bool sev_handover_give(MigrationState *ms, SevOutgoing *o, Error **errp)
{
    uint8_t digest[SEV_RECORD_DIGEST_LEN];
    SevAck ack;

    if (!sev_transcript_end(ms->to_dst_file, digest)) {
        error_setg(errp, "SEV: the stream of this guest has no digest");
        return false;
    }
    if (!sev_return_path_wait_ack(ms, &ack, errp) ||
        sev_fault(SEV_FAULT_ACK_CHECK, errp) ||
        !ack_good(&ack, digest, errp) || !give(ms, o, errp)) {
        return false;
    }
    trace_sev_handover_give(ack.report_len);
    say_go(ms);
    return true;
}

/* --- Target ----------------------------------------------------------------- */

static bool coroutine_fn acknowledge(QEMUFile *f, Error **errp)
{
    uint8_t digest[SEV_RECORD_DIGEST_LEN], report[SEV_REPORT_LEN];
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord rec = { .type = SEV_RECORD_ACK };
    int status = 0;

    if (!sev_transcript_end(f, digest)) {
        error_setg(errp, "SEV: the stream of this guest has no digest");
        return false;
    }
    rec.u.ack.digest = (SevSpan) { digest, sizeof(digest) };
    if (sev_attest(digest, report, &status, NULL)) {
        rec.u.ack.report = (SevSpan) { report, sizeof(report) };
    }
    rec.u.ack.status = status;          /* the source decides whether it does */
    trace_sev_handover_ack(status);
    sev_record_encode(&rec, out);
    return !sev_fault(SEV_FAULT_ACK_SEND, errp) &&
           sev_return_path_send(SEV_RP_ACK, out->data, out->len, errp);
}

/* The coroutine that reads meets the end of the line then. */
static void go_over(void *opaque)
{
    qio_channel_shutdown(opaque, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
}

static bool coroutine_fn wait_go(SevTarget *t, QEMUFile *f, Error **errp)
{
    QEMUTimer *timer = timer_new_ms(QEMU_CLOCK_REALTIME, go_over,
                                    qemu_file_get_ioc(f));
    bool told;

    timer_mod(timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                     GO_TIMEOUT_S * 1000);
    told = !sev_fault(SEV_FAULT_GO_WAIT, errp) &&
           sev_stream_load_go(t, f, errp);
    timer_free(timer);
    return told;
}

void coroutine_fn sev_handover_take(SevTarget *t, QEMUFile *f)
{
    Error *err = NULL, *why = NULL;
    bool told = acknowledge(f, &why);

    if (told) {
        t->state = SEV_STREAM_ACKED;
        told = wait_go(t, f, &why);
    }
    trace_sev_handover_told(told);
    if (told) {
        return;
    }
    /* A "cont" that came earlier was meant for a guest that has arrived. */
    autostart = 0;
    error_setg(&err, "SEV: all of the guest is here, but the source did not "
               "say that it gave the guest up, so it is paused: if the source's "
               "migration is 'completed', 'cont' it here, else it is there and "
               "this QEMU is to be ended (%s)", error_get_pretty(why));
    warn_report("%s", error_get_pretty(err));
    sev_migration_fail("hand-over", err);
    error_free(why);
}
