/*
 * The lane's digest at the end of a stream: SEALED, both ends.
 *
 * It is the last of all sections, so that it covers what was before it: pages,
 * records, device state.  A template has it behind the digest of its stream
 * (template/end.c), a guest that moves or is saved in a section of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "migration/savevm.h"
#include "migration/vmstate.h"
#include "migration/sev/section.h"
#include "migration/sev/template/shared-sum.h"
#include "migration/sev/template/template.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/wire/read.h"
#include "migration/sev/wire/write.h"
#include "target/i386/sev/test/fault.h"
#include "fail.h"
#include "lane.h"
#include "multifd.h"
#include "ram-sum.h"

QEMU_BUILD_BUG_ON(SEV_LANE_SUM_LEN != SEV_RECORD_DIGEST_LEN);
QEMU_BUILD_BUG_ON(SEV_LANE_SUM_LEN != SEV_RAM_SUM_LEN);
QEMU_BUILD_BUG_ON(SEV_LANE_SUM_LEN != SEV_TAP_DIGEST_LEN);

/* Of what is being sent: its shared pages.  Migration thread. */
static uint8_t shared_sum[SEV_LANE_SUM_LEN];

/* SHA-256 of what lies beside a template's stream, block by block. */
typedef struct Sum {
    SevSharedSum pages;
    size_t len;
} Sum;

static void sum_end(Sum *s, uint8_t out[SEV_LANE_SUM_LEN])
{
    s->len = SEV_LANE_SUM_LEN;
    g_checksum_get_digest(s->pages.hash, out, &s->len);
    g_checksum_free(s->pages.hash);
}

/* --- Source ----------------------------------------------------------------- */

bool sev_lane_save_is_live(void)
{
    return sev_method() == SEV_METHOD_LANE && !sev_template_making();
}

/* Of blocks whose pages are not in the stream. */
static bool sum_template(SevSource *s, Error **errp)
{
    Sum sum = { .pages.hash = g_checksum_new(G_CHECKSUM_SHA256) };
    bool ok = true;

    RCU_READ_LOCK_GUARD();
    for (guint i = 0; ok && i < s->blocks->len; i++) {
        RAMBlock *rb = g_ptr_array_index(s->blocks, i);

        if (s->image || migrate_ram_is_ignored(rb)) {
            ok = sev_shared_sum_block(&sum.pages, i, rb, -1, 0);
        }
    }
    sum_end(&sum, shared_sum);
    if (!ok) {
        error_setg(errp, "SEV: the shared pages cannot be read");
    }
    return ok;
}

bool sev_lane_save_end(SevSource *s, Error **errp)
{
    if (s->method != SEV_METHOD_LANE) {
        return true;
    }
    if (!s->ram_sum) {
        return sum_template(s, errp);
    }
    sev_ram_sum_end(s->ram_sum, shared_sum);
    return true;
}

bool sev_lane_save_sealed(QEMUFile *f, const uint8_t *records, Error **errp)
{
    g_autofree uint8_t *packet = NULL;
    SevLaneSums sums = { 0 };
    SevRecord rec = { .type = SEV_RECORD_SEALED };

    if (sev_method() != SEV_METHOD_LANE) {
        return true;
    }
    packet = g_malloc(SEV_RECORD_PACKET_LEN);
    memcpy(sums.shared, shared_sum, sizeof(sums.shared));
    memcpy(sums.records, records, sizeof(sums.records));
    if (!sev_lane_seal_digest(&sums, packet, packet + SEV_RECORD_PACKET_HDR,
                              errp)) {
        return false;
    }
    rec.u.sealed.packet = (SevSpan) { packet, SEV_RECORD_PACKET_LEN };
    sev_record_put(f, &rec);
    return true;
}

/* --- Target ----------------------------------------------------------------- */

bool sev_lane_load_end(SevTarget *t, Error **errp)
{
    Sum sum;
    bool ok = true;

    if (t->uncovered) {
        error_setg(errp, "SEV stream: section \"%s\" came before END, where "
                   "the lane's digest does not cover it", t->uncovered);
        return false;
    }
    if (t->ram_sum) {
        if (migrate_multifd() && !sev_multifd_full(errp)) {
            return false;
        }
        sev_ram_sum_received(t->ram_sum);
        sev_ram_sum_end(t->ram_sum, t->shared_sum);
        return true;
    }
    sum = (Sum) { .pages.hash = g_checksum_new(G_CHECKSUM_SHA256) };
    for (guint i = 0; ok && i < t->blocks->len; i++) {
        SevTargetBlock *block = &g_array_index(t->blocks, SevTargetBlock, i);

        if (block->image) {
            ok = sev_shared_sum_block(&sum.pages, i, block->rb, -1, 0);
        }
    }
    sum_end(&sum, t->shared_sum);
    if (!ok) {
        error_setg(errp, "SEV: the shared pages cannot be read");
    }
    return ok;
}

/*
 * The digest covers what is before it, and upstream loads a second section of a
 * device over the first: nothing may follow.
 */
static bool is_last(QEMUFile *f, Error **errp)
{
    int footer = migrate_get_current()->send_section_footer ? 5 : 0;
    int next = qemu_peek_byte(f, footer);

    if (qemu_file_get_error(f) || next != QEMU_VM_EOF) {
        error_setg(errp, "SEV: behind the lane's digest comes a section of type "
                   "%d, which it does not cover, and not the end of the stream",
                   next);
        return false;
    }
    return true;
}

static bool get_sealed(QEMUFile *f, uint8_t *bytes, size_t len, SevRecord *rec,
                       Error **errp)
{
    if (sev_bulk_get(f, bytes, len) != len) {
        error_setg(errp, "SEV: the stream is cut short: its SEALED record is "
                   "not at its end");
        return false;
    }
    if (!sev_record_decode(rec, bytes, len, errp)) {
        return false;
    }
    if (rec->type != SEV_RECORD_SEALED) {
        error_setg(errp, "SEV stream: a %s record at a stream's end, not "
                   "SEALED", sev_record_name(rec->type));
        return false;
    }
    return true;
}

bool sev_lane_load_sealed(SevTarget *t, QEMUFile *f, const uint8_t *records,
                          Error **errp)
{
    const size_t len = SEV_RECORD_HEADER_LEN + SEV_RECORD_PACKET_LEN;
    g_autofree uint8_t *bytes = NULL;
    const uint8_t *packet;
    SevLaneSums sums = { 0 };
    SevRecord rec;

    if (t->method != SEV_METHOD_LANE) {
        return true;
    }
    bytes = g_malloc(len);
    if (!get_sealed(f, bytes, len, &rec, errp) || !is_last(f, errp)) {
        return false;
    }
    packet = rec.u.sealed.packet.data;
    memcpy(sums.shared, t->shared_sum, sizeof(sums.shared));
    memcpy(sums.records, records, sizeof(sums.records));
    if (sev_fault(SEV_FAULT_SEALED_READ, errp) ||
        !sev_lane_check_digest(&sums, packet, packet + SEV_RECORD_PACKET_HDR,
                               errp)) {
        return false;
    }
    t->sealed_checked = true;
    return true;
}

bool sev_lane_load_complete(const SevTarget *t, Error **errp)
{
    if (t->method == SEV_METHOD_LANE && !t->sealed_checked) {
        error_setg(errp, "SEV: the stream is cut short: the lane's digest is "
                   "not at its end");
        return false;
    }
    return true;
}

/* --- The section of a guest that moves --------------------------------------- */

static struct {
    uint8_t unused;             /* what the field below points at */
} end;

static int sealed_put(QEMUFile *f, void *pv, size_t size,
                      const VMStateField *field, JSONWriter *vmdesc)
{
    uint8_t records[SEV_TAP_DIGEST_LEN];
    Error *err = NULL;

    if (!sev_tap_part(f, records, &err) ||
        !sev_lane_save_sealed(f, records, &err)) {
        return sev_migration_fail("lane-end", err);
    }
    return 0;
}

static int sealed_get(QEMUFile *f, void *pv, size_t size,
                      const VMStateField *field)
{
    SevTarget *t = *sev_load_target();
    uint8_t records[SEV_TAP_DIGEST_LEN];
    Error *err = NULL;

    if (!t || !t->ram_sum || t->sealed_checked) {
        error_setg(&err, "SEV stream: a digest of the lane where none belongs");
        return sev_migration_fail("lane-end", err);
    }
    /* Not before END: nothing is followed until then. */
    if (!sev_tap_part(f, records, &err) ||
        !sev_lane_load_sealed(t, f, records, &err)) {
        return sev_migration_fail("lane-end", err);
    }
    return 0;
}

static const VMStateInfo info_sealed = {
    .name = "digest of the lane",
    .get = sealed_get,
    .put = sealed_put,
};

static bool end_needed(void *opaque)
{
    return sev_lane_save_is_live();
}

static const VMStateDescription vmstate_end = {
    .name = "sev-lane-end",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = end_needed,
    .fields = (const VMStateField[]) {
        {
            .name = "digest",
            .info = &info_sealed,
            .size = sizeof(end.unused),
            .flags = VMS_SINGLE,
            .offset = offsetof(typeof(end), unused),
        },
        VMSTATE_END_OF_LIST()
    },
};

bool sev_lane_end_init(Error **errp)
{
    return vmstate_register_with_alias_id(NULL, 0, &vmstate_end, &end, -1, 0,
                                          errp) >= 0;
}

bool sev_lane_end_last(Error **errp)
{
    vmstate_unregister(NULL, &vmstate_end, &end);
    return sev_lane_end_init(errp);
}
