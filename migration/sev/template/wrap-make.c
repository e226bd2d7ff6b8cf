/*
 * sev-template-wrap: the key of a template for another platform.
 *
 * The guest that QEMU was started with receives program and key of the template,
 * and nothing else; then they are sent to the other platform.  The secure processor
 * judges both as it judges any guest that comes and goes.  No vCPU runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands-sev-overlay.h"
#include "migration/migration.h"
#include "migration/sev/lane.h"
#include "migration/sev/params.h"
#include "migration/sev/session.h"
#include "system/runstate.h"
#include "wrap.h"
#include "migration/sev/trace.h"

/* A guest that was sent does not come back: one wrap for each process. */
static bool spent;

static bool may_make(Error **errp)
{
    const char *why = NULL;

    if (!sev_guest_present()) {
        why = "this QEMU has no SEV guest";
    } else if (spent) {
        why = "this QEMU's guest has gone into a wrap already";
    } else if (!runstate_check(RUN_STATE_INMIGRATE) ||
               migration_incoming_get_current()->state !=
               MIGRATION_STATUS_NONE) {
        why = "this QEMU's guest has begun, or is loading";
    }
    if (why) {
        error_setg(errp, "SEV: a wrap needs a guest of its own, and %s: use "
                   "'sev-clone wrap', or '-object sev-guest' with '-incoming "
                   "defer'", why);
    }
    return !why;
}

/* --- The template ----------------------------------------------------------- */

/* What the other platform gets, as this one has it. */
typedef struct Origin {
    SevTemplateHead head;
    SevRecord manifest, session, lane;      /* point into @head */
    const SevRecordSession *sealed;         /* the session that is opened */
    const SevRecordLane *carried;           /* and its packets */
    uint8_t image[SEV_RECORD_DIGEST_LEN];
} Origin;

static void origin_clear(Origin *o)
{
    sev_template_head_clear(&o->head);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Origin, origin_clear)

static bool decode(SevRecord *rec, const GByteArray *bytes, Error **errp)
{
    return sev_record_decode(rec, bytes->data, bytes->len, errp);
}

static bool use_wrap(Origin *o, const SevWrap *wrap, Error **errp)
{
    o->sealed = &wrap->session.u.session;
    o->carried = &wrap->lane.u.lane;
    return sev_wrap_fits(wrap, o->head.manifest, &o->session, errp) &&
           sev_wrap_fits_lane(wrap, &o->lane.u.lane, errp);
}

static bool read_origin(Origin *o, const char *path, Error **errp)
{
    const SevWrap *wrap = sev_wrap_in_use();
    const SevRecordManifest *m = &o->manifest.u.manifest;

    if (!sev_template_head(path, &o->head, errp) ||
        !decode(&o->manifest, o->head.manifest, errp) ||
        !decode(&o->session, o->head.session, errp)) {
        return false;
    }
    if (m->method != SEV_METHOD_LANE || !o->head.lane) {
        error_setg(errp, "SEV: template '%s' is of packets, which nothing but "
                   "their own platform opens: a wrap is for one that a lane "
                   "sealed ('sev-method=lane')", path);
        return false;
    }
    if (!decode(&o->lane, o->head.lane, errp)) {
        return false;
    }
    sev_image_id(o->head.manifest, &o->session, o->image);
    o->sealed = &o->session.u.session;
    o->carried = &o->lane.u.lane;
    return wrap ? use_wrap(o, wrap, errp)
                : sev_session_is_here(m->fingerprint, m->chip, errp);
}

/* --- In and out ------------------------------------------------------------- */

/* Before anything is opened; the secure processor says the same of NOSEND. */
static bool may_leave(const Origin *o, Error **errp)
{
    return sev_policy_may_send(o->sealed->policy, errp);
}

static bool take_in(const Origin *o, Error **errp)
{
    g_autofree char *program = NULL;
    g_autofree SevLanePacket *packets = sev_lane_unpack(o->carried, &program);

    return sev_session_open(o->sealed, errp) &&
           sev_lane_take(packets, o->carried->count, program, errp);
}

/* The platform that the migration parameters name. */
static bool find_target(SevPlatformCerts *target, Error **errp)
{
    ERRP_GUARD();
    const SevPlatformCerts *named;

    if (!sev_params_certs(&named, errp)) {
        if (!*errp) {
            error_setg(errp, "SEV: it is not said whom the wrap is for: set "
                       "migration parameters sev-pdh, sev-plat-cert and "
                       "sev-amd-cert to what query-sev-platform-certs says "
                       "there");
        }
        return false;
    }
    return sev_session_named_target(target, errp);
}

/* SEND_START and the packets; the file's bytes are appended to @out. */
static bool pass_on(const Origin *o, const SevPlatformCerts *target,
                    GByteArray *out, size_t *n, Error **errp)
{
    g_autofree SevLanePacket *packets = g_new(SevLanePacket,
                                              SEV_LANE_PACKETS_MAX);
    g_autoptr(GByteArray) session = g_byte_array_new();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree char *chip = sev_certs_chip(target, errp);
    uint8_t program[SEV_RECORD_DIGEST_LEN];
    SevRecord lane;

    if (!chip || !sev_session_encode(session, target, errp) ||
        !sev_lane_pass_on(packets, n, errp)) {
        return false;
    }
    lane = sev_lane_pack(bytes, program, packets, *n);
    sev_wrap_encode(out, o->image, chip, session, &lane);
    return true;
}

static bool write_file(const char *path, const GByteArray *bytes, Error **errp)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok;

    if (fd < 0) {
        error_setg_errno(errp, errno, "SEV: wrap '%s' cannot be made", path);
        return false;
    }
    ok = qemu_write_full(fd, bytes->data, bytes->len) == bytes->len &&
         !qemu_fdatasync(fd);
    if (!ok) {
        error_setg_errno(errp, errno, "SEV: wrap '%s' cannot be written", path);
        unlink(path);
    }
    close(fd);
    return ok;
}

SevWrapInfo *qmp_sev_template_wrap(const char *path, const char *wrap,
                                   Error **errp)
{
    g_auto(Origin) origin = { 0 };
    g_auto(SevPlatformCerts) target = { 0 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(SevWrapInfo) info = g_new0(SevWrapInfo, 1);
    ERRP_GUARD();
    size_t n;
    bool ok;

    if (!may_make(errp) || !find_target(&target, errp) ||
        !read_origin(&origin, path, errp) || !may_leave(&origin, errp)) {
        return NULL;
    }
    spent = true;
    /* DOMAIN and the API's version are the guest's: it is here first. */
    ok = take_in(&origin, errp) && sev_session_may_receive(&target, errp) &&
         pass_on(&origin, &target, out, &n, errp);
    /* A software chip wipes the guest's key now, a real one when QEMU ends. */
    if (!sev_send_finish(ok ? errp : NULL) || !ok ||
        !write_file(wrap, out, errp)) {
        error_append_hint(errp, "The guest's key stays in a real secure "
                          "processor until this QEMU ends: quit.\n");
        return NULL;
    }
    info->fingerprint = sev_certs_fingerprint(&target, errp);
    if (!info->fingerprint) {
        return NULL;
    }
    info->image = sev_image_id_text(origin.image);
    info->packets = n;
    trace_sev_wrap_make(info->image, info->fingerprint, n);
    return g_steal_pointer(&info);
}
