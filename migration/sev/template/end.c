/*
 * The end of a template: the digest of its stream.
 *
 * The last section of the device state: a stream that was changed anywhere has
 * another one, one that was cut short has none, and the clone never runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "migration/sev/lane.h"
#include "migration/sev/section.h"
#include "migration/sev/wire/digest.h"
#include "migration/sev/fail.h"
#include "target/i386/sev/test/fault.h"
#include "template.h"
#include "migration/sev/trace.h"

static struct {
    uint8_t unused;             /* what the field below points at */
} end;

static int digest_put(QEMUFile *f, void *pv, size_t size,
                      const VMStateField *field, JSONWriter *vmdesc)
{
    uint8_t digest[SEV_TAP_DIGEST_LEN];
    Error *err = NULL;

    if (sev_fault(SEV_FAULT_LAST_WRITE, &err)) {
        return sev_migration_fail("template-end", err);
    }
    if (!sev_tap_end(f, digest)) {
        return -EINVAL;
    }
    qemu_put_buffer(f, digest, sizeof(digest));
    if (!sev_lane_save_sealed(f, digest, &err)) {
        return sev_migration_fail("template-end", err);
    }
    return 0;
}

static int digest_get(QEMUFile *f, void *pv, size_t size,
                      const VMStateField *field)
{
    uint8_t digest[SEV_TAP_DIGEST_LEN], theirs[SEV_TAP_DIGEST_LEN];
    Error *err = NULL;
    bool had = sev_tap_end(f, digest);

    if (qemu_get_buffer(f, theirs, sizeof(theirs)) != sizeof(theirs)) {
        return -EIO;
    }
    if (!sev_fault(SEV_FAULT_LAST_READ, &err) && had &&
        sev_span_is_bytes((SevSpan) { theirs, sizeof(theirs) }, digest,
                          sizeof(digest))) {
        if (sev_lane_load_sealed(*sev_load_target(), f, digest, &err)) {
            return 0;
        }
    }
    if (!err) {
        error_setg(&err, "SEV: the template was changed: its records and its "
                   "device state do not have the digest at its end");
    }
    return sev_migration_fail("template-end", err);
}

static const VMStateInfo info_digest = {
    .name = "digest of the stream",
    .get = digest_get,
    .put = digest_put,
};

static bool end_needed(void *opaque)
{
    return sev_template_making();
}

static const VMStateDescription vmstate_end = {
    .name = "sev-template-end",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = end_needed,
    .fields = (const VMStateField[]) {
        {
            .name = "digest",
            .info = &info_digest,
            .size = sizeof(end.unused),
            .flags = VMS_SINGLE,
            .offset = offsetof(typeof(end), unused),
        },
        VMSTATE_END_OF_LIST()
    },
};

bool sev_template_end_init(Error **errp)
{
    return vmstate_register_with_alias_id(NULL, 0, &vmstate_end, &end, -1, 0,
                                          errp) >= 0;
}

bool sev_template_end_last(Error **errp)
{
    vmstate_unregister(NULL, &vmstate_end, &end);
    return sev_template_end_init(errp);
}

bool sev_template_end_seen(Error **errp)
{
    if (sev_tap_is_open()) {
        error_setg(errp, "SEV: the template is cut short: its digest is not at "
                   "its end");
        return false;
    }
    return true;
}
