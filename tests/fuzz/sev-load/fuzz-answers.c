/*
 * Any bytes on a source's return path: refused in words, and the guest stays,
 * or the one good conversation, and the guest is the target's.
 *
 * Real are what reads and judges: answers.c, pace.c, return-path.c, handover.c,
 * outgoing.c, and the records below them.  Upstream's return path thread and the
 * migration thread take turns here, as the input says; the secure processor
 * knows whether a report is good.
 *
 * SEV_FUZZ_SEED=FILE makes a good one and ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/sev/answers.h"
#include "migration/sev/fail.h"
#include "migration/sev/handover.h"
#include "migration/sev/multifd.h"
#include "migration/sev/pace.h"
#include "migration/sev/params.h"
#include "migration/sev/return-path.h"
#include "migration/sev/order.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/wire/transcript.h"
#include "system/system.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte of an input */
enum {
    SWITCHOVER_ACK  = 1,        /* the capability is on */
    DIGEST          = 2,        /* no report is wanted */
    HUNG_UP         = 4,        /* when the guest is about to be given */
    CANCELLED       = 8,
};

struct QEMUFile {
    const uint8_t *data;
    size_t len, at;
    bool shut;
};

static MigrationState state;
static QEMUFile incoming, outgoing;
static uint8_t flags;
static bool go_written, stopped, has_error;
static const uint8_t stream_digest[SEV_RECORD_DIGEST_LEN] = "of this stream";
static const uint8_t good_report[] = "signed";

/* --- What stands in for upstream ------------------------------------------------ */

int autostart = 1;

size_t coroutine_mixed_fn qemu_get_buffer(QEMUFile *f, uint8_t *buf,
                                          size_t size)
{
    size_t len = MIN(size, f->len - f->at);

    memcpy(buf, f->data + f->at, len);
    f->at += len;
    return len;
}

void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    g_assert(f == &outgoing && size == SEV_RECORD_HEADER_LEN);
    g_assert(lduw_be_p(buf + 6) == SEV_RECORD_GO && !go_written);
    go_written = true;
    has_error = true;           /* so that nobody waits for SHUT */
}

int qemu_fflush(QEMUFile *f)
{
    return 0;
}

int qemu_file_get_error(QEMUFile *f)
{
    return 0;
}

void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
    g_assert_not_reached();
}

int qemu_file_shutdown(QEMUFile *f)
{
    f->shut = true;
    return 0;
}

QIOChannel *qemu_file_get_ioc(QEMUFile *f)
{
    g_assert_not_reached();
}

MigrationState *migrate_get_current(void)
{
    return &state;
}

bool migrate_switchover_ack(void)
{
    return flags & SWITCHOVER_ACK;
}

bool migrate_has_error(MigrationState *s)
{
    return has_error || s->error;
}

void migration_file_set_error(int ret, Error *err)
{
    g_assert(state.error && !stopped && ret < 0);
    stopped = true;
    error_free(err);
}

void bql_lock_impl(const char *file, int line)
{
}

void bql_unlock(void)
{
}

bool bql_locked(void)
{
    return false;
}

/* --- ... and for the rest of SEV --------------------------------------------------- */

void sev_platform_certs_clear(SevPlatformCerts *certs)
{
    g_free(certs->pdh);
    g_free(certs->plat);
    g_free(certs->amd);
    memset(certs, 0, sizeof(*certs));
}

SevAcknowledgement sev_params_acknowledgement(void)
{
    return flags & DIGEST ? SEV_ACKNOWLEDGEMENT_DIGEST
                          : SEV_ACKNOWLEDGEMENT_ATTESTED;
}

bool sev_report_check(const SevPlatformCerts *platform, const uint8_t *report,
                      size_t len, const uint8_t mnonce[SEV_MNONCE_LEN],
                      Error **errp)
{
    g_assert(len == SEV_REPORT_LEN);
    if (memcmp(report, good_report, sizeof(good_report))) {
        error_setg(errp, "the report is not signed");
        return false;
    }
    return true;
}

bool sev_transcript_end(QEMUFile *f, uint8_t digest[SEV_RECORD_DIGEST_LEN])
{
    memcpy(digest, stream_digest, SEV_RECORD_DIGEST_LEN);
    return true;
}

void sev_tap_add(const void *bytes, size_t len)
{
}

bool sev_send_cancel(Error **errp)
{
    return true;
}

bool sev_send_finish(Error **errp)
{
    return true;
}

bool sev_return_path_hung_up(QEMUFile *f)
{
    return flags & HUNG_UP;
}

bool sev_channel_is_down(QIOChannel *ioc)
{
    g_assert_not_reached();
}

bool sev_multifd_is_down(void)
{
    g_assert_not_reached();
}

/* The target's half of handover.c */
bool sev_attest(const uint8_t mnonce[SEV_MNONCE_LEN],
                uint8_t report[SEV_REPORT_LEN], int *fw_error, Error **errp)
{
    g_assert_not_reached();
}

bool coroutine_mixed_fn sev_return_path_send(uint16_t type, const void *data,
                                             uint16_t len, Error **errp)
{
    g_assert_not_reached();
}

bool sev_stream_load_go(SevTarget *t, QEMUFile *f, Error **errp)
{
    g_assert_not_reached();
}

/* --- A good conversation ------------------------------------------------------------ */

static void put_message(GByteArray *out, uint8_t turns, uint16_t type,
                        const void *body, uint16_t len)
{
    uint8_t header[5] = { turns };

    stw_be_p(header + 1, type);
    stw_be_p(header + 3, len);
    g_byte_array_append(out, header, sizeof(header));
    g_byte_array_append(out, body, len);
}

static void put_record(GByteArray *out, uint8_t turns, uint16_t type,
                       const SevRecord *rec)
{
    g_autoptr(GByteArray) body = g_byte_array_new();

    sev_record_encode(rec, body);
    put_message(out, turns, type, body->data, body->len);
}

static void put_seed(const char *name)
{
    static const uint8_t some[64], four[4], first_pace[4] = { 0x5e, 0, 0, 1 },
                         second_pace[4] = { 0x5e, 0, 0, 2 };
    uint8_t report[SEV_REPORT_LEN] = { 0 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    SevRecord certs = {
        .type = SEV_RECORD_CERTS,
        .u.certs = { { some, 64 }, { some, 64 }, { some, 64 } },
    };
    SevRecord ack = {
        .type = SEV_RECORD_ACK,
        .u.ack = {
            .digest = { stream_digest, SEV_RECORD_DIGEST_LEN },
            .report = { report, sizeof(report) },
        },
    };
    uint8_t first = SWITCHOVER_ACK;

    memcpy(report, good_report, sizeof(good_report));
    g_byte_array_append(out, &first, 1);
    put_message(out, 0, SEV_RP_SWITCHOVER_ACK, some, 0);
    put_message(out, 1, SEV_RP_PONG, four, 4);
    put_record(out, 0, SEV_RP_CERTS, &certs);
    put_message(out, 0x84, SEV_RP_PONG, first_pace, 4);
    put_message(out, 1, SEV_RP_PONG, second_pace, 4);
    put_record(out, 0, SEV_RP_ACK, &ack);
    put_message(out, 1, SEV_RP_SHUT, four, 4);
    exit(!g_file_set_contents(name, (char *)out->data, out->len, NULL));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    module_call_init(MODULE_INIT_QOM);
    qemu_mutex_init(&state.error_mutex);
    qemu_mutex_init(&state.qemu_file_lock);
    sev_return_path_init();
    if (getenv("SEV_FUZZ_SEED")) {
        put_seed(getenv("SEV_FUZZ_SEED"));
    }
    return 0;
}

/* --- One move ----------------------------------------------------------------------- */

/* How far the migration thread is. */
typedef struct Move {
    SevRpState state;
    SevOutgoing guest;
    bool over;
} Move;

/* Certificates came, or an acknowledgement: fetch it, as the thread does. */
static void heard(Move *m, uint16_t type)
{
    g_auto(SevPlatformCerts) certs = { 0 };

    if (type == SEV_RP_CERTS) {
        g_assert(m->state == SEV_RP_ASKED);
        state.state = MIGRATION_STATUS_SETUP;
        g_assert(sev_return_path_wait_certs(&state, &certs, &error_abort));
        g_assert(certs.pdh_len && certs.plat_len);
        m->state = SEV_RP_SENDING;
        sev_handover_begin(&certs);
    } else if (type == SEV_RP_ACK) {
        g_assert(m->state == SEV_RP_SENT);
        m->state = SEV_RP_JUDGING;
    } else if (type == SEV_RP_SHUT) {
        g_assert(m->state == SEV_RP_GIVEN);
        m->over = true;
    }
}

static void judge(Move *m)
{
    Error *err = NULL;

    state.state = flags & CANCELLED ? MIGRATION_STATUS_CANCELLING
                                    : MIGRATION_STATUS_DEVICE;
    m->guest.state = SEV_OUTGOING_OPEN;
    if (sev_handover_give(&state, &m->guest, &err)) {
        g_assert(!err && go_written && !(flags & (HUNG_UP | CANCELLED)));
        g_assert(m->guest.state == SEV_OUTGOING_GIVEN);
        m->state = SEV_RP_GIVEN;
        has_error = false;
        incoming.shut = false;
    } else {
        g_assert(err && !go_written);
        g_assert(m->guest.state == SEV_OUTGOING_OPEN);
        m->over = true;
    }
    error_free(err);
}

/* What it is always: no more packets are opened than were sent. */
static void check_pace(uint64_t sent)
{
    SevPace p = sev_pace_get();

    g_assert(p.opened <= sent && p.under_way <= SEV_PACE_MARKS);
}

/* The migration thread has its turn. */
static void turn(Move *m)
{
    if (m->state == SEV_RP_QUIET || m->state == SEV_RP_SENDING) {
        sev_return_path_step(++m->state);
    } else if (m->state == SEV_RP_JUDGING) {
        judge(m);
    }
}

/* The return path thread reads one message; false when it ends. */
static bool message(Move *m)
{
    uint8_t header[4], body[65536];
    Error *err = NULL;
    uint16_t type, len;

    if (qemu_get_buffer(&incoming, header, 4) != 4) {
        return false;
    }
    type = lduw_be_p(header);
    len = lduw_be_p(header + 2);
    if (sev_return_path_message(&state, &incoming, type, len, &err)) {
        if (err) {
            g_assert(stopped && sev_migration_error_is_ours() && outgoing.shut);
            error_free(err);
            return false;
        }
        g_assert(type == SEV_RP_CERTS || type == SEV_RP_ACK ||
                 type == SEV_RP_PONG);
    } else {
        g_assert(!err && len <= 4);     /* upstream's: it reads it */
        g_assert(type == SEV_RP_PONG || type == SEV_RP_SWITCHOVER_ACK ||
                 type == SEV_RP_SHUT);
        if (qemu_get_buffer(&incoming, body, len) != len) {
            return false;
        }
    }
    heard(m, type);
    return !m->over;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Move m = { .guest = { SEV_PURPOSE_MOVE, SEV_OUTGOING_OPEN } };
    uint64_t sent = 0;
    uint8_t turns;

    if (!size) {
        return 0;
    }
    flags = data[0];
    incoming = (QEMUFile) { .data = data + 1, .len = size - 1 };
    outgoing = (QEMUFile) { 0 };
    go_written = stopped = has_error = false;
    g_clear_pointer(&state.error, error_free);
    sev_migration_fail_begin();
    state.to_dst_file = &outgoing;
    state.rp_state.from_dst_file = &incoming;
    sev_return_path_begin();
    while (!m.over && qemu_get_buffer(&incoming, &turns, 1) == 1) {
        /* Packets go out, or none, and a PING behind them. */
        if (m.state == SEV_RP_SENDING && (turns & 4)) {
            sent += turns >> 3;
            if (!sev_pace_mark(sent, sent) && (turns & 8)) {
                sev_pace_ask(sent);
            }
            sent++;
            sev_pace_mark(sent, sent);
        }
        for (int i = 0; i < (turns & 3) && !m.over; i++) {
            turn(&m);
        }
        if (m.over || !message(&m)) {
            break;
        }
        check_pace(sent);
    }
    g_assert(go_written == (m.guest.state == SEV_OUTGOING_GIVEN));
    sev_return_path_begin();
    sev_handover_end();
    return 0;
}
