/*
 * The beginning of a template: a section with its manifest, before any RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/vmstate.h"
#include "migration/sev/order.h"
#include "migration/sev/fail.h"
#include "target/i386/sev/test/fault.h"
#include "template.h"
#include "migration/sev/trace.h"

/* Fixed, so that no length from a file is believed: the record, then zeros. */
#define MANIFEST_ROOM 2048
QEMU_BUILD_BUG_ON(MANIFEST_ROOM < SEV_RECORD_MANIFEST_MAX);

static struct {
    uint8_t bytes[MANIFEST_ROOM];
    SevTarget **target;
} section;

static bool manifest_needed(void *opaque)
{
    return sev_template_making();
}

static int manifest_pre_save(void *opaque)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Error *err = NULL;

    if (sev_fault(SEV_FAULT_MANIFEST_WRITE, &err) ||
        !sev_template_may_begin(&err) ||
        !sev_template_encode_manifest(out, &err)) {
        return sev_migration_fail("template", err);
    }
    assert(out->len <= MANIFEST_ROOM);
    memset(section.bytes, 0, MANIFEST_ROOM);
    memcpy(section.bytes, out->data, out->len);
    return 0;
}

static int manifest_post_load(void *opaque, int version_id)
{
    Error *err = NULL;

    if (sev_stream_load_bytes(*section.target, section.bytes, MANIFEST_ROOM,
                              &err)) {
        return 0;
    }
    return sev_migration_fail("template", err);
}

static const VMStateDescription vmstate_manifest = {
    .name = "sev-template",
    .version_id = 1,
    .minimum_version_id = 1,
    .priority = MIG_PRI_MAX,            /* before "ram" */
    .early_setup = true,
    .needed = manifest_needed,
    .pre_save = manifest_pre_save,
    .post_load = manifest_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8_ARRAY(bytes, typeof(section), MANIFEST_ROOM),
        VMSTATE_END_OF_LIST()
    },
};

bool sev_template_begin_init(SevTarget **target, Error **errp)
{
    section.target = target;
    return vmstate_register_with_alias_id(NULL, 0, &vmstate_manifest, &section,
                                          -1, 0, errp) >= 0;
}
