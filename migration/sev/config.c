/*
 * What a target must have been started with to hold a guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/misc.h"
#include "migration/vmstate.h"
#include "target/i386/sev/transfer.h"
#include "channels.h"
#include "config.h"
#include "fail.h"
#include "trace.h"

/* On a stream; on a target, what came. */
static struct {
    uint32_t cbitpos;
    uint32_t reduced_phys_bits;
} config;

static int config_pre_save(void *opaque)
{
    g_auto(SevGuestIdentity) id = { 0 };

    sev_guest_identity(&id);
    config.cbitpos = id.cbitpos;
    config.reduced_phys_bits = id.reduced_phys_bits;
    return 0;
}

static bool same(const char *property, uint32_t theirs, uint32_t ours,
                 Error **errp)
{
    if (theirs != ours) {
        error_setg(errp, "SEV: the guest has %s=%u, this target was started "
                   "with %s=%u", property, theirs, property, ours);
    }
    return theirs == ours;
}

static int config_post_load(void *opaque, int version_id)
{
    g_auto(SevGuestIdentity) id = { 0 };
    Error *err = NULL;

    sev_guest_identity(&id);
    /* Before "ram", which waits for every channel. */
    if (sev_channels_complete(&err) &&
        same("cbitpos", config.cbitpos, id.cbitpos, &err) &&
        same("reduced-phys-bits", config.reduced_phys_bits,
             id.reduced_phys_bits, &err)) {
        return 0;
    }
    return sev_migration_fail("config", err);
}

static const VMStateDescription vmstate_config = {
    .name = "sev-config",
    .version_id = 1,
    .minimum_version_id = 1,
    .priority = MIG_PRI_MAX,            /* before "ram" */
    .early_setup = true,
    .pre_save = config_pre_save,
    .post_load = config_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(cbitpos, typeof(config)),
        VMSTATE_UINT32(reduced_phys_bits, typeof(config)),
        VMSTATE_END_OF_LIST()
    },
};

bool sev_config_init(Error **errp)
{
    return vmstate_register_with_alias_id(NULL, 0, &vmstate_config, &config,
                                          -1, 0, errp) >= 0;
}
