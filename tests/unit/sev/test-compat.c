/*
 * What an SEV guest cannot migrate with: each row refused by its name, when it
 * is set and when it was set before, and nothing else refused.
 *
 * The rows are written down here a second time.  The test walks all of QEMU's
 * capabilities, so that a row that is lost or added by mistake is noticed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/sev/compat.h"
#include "migration/sev/sev.h"
#include "migration/sev/template/template.h"
#include "migration/sev/template/in-place.h"
#include "system/runstate.h"
#include "target/i386/sev/transfer.h"

/* --- What stands in for the rest of QEMU --------------------------------- */

static MigrationState ms;
static RunState runstate;
static MultiFDCompression compression;
static MigMode mode;
static const char *guest_says;          /* why it cannot be sent */
bool sev_migration_on;

MigrationState *migrate_get_current(void)
{
    return &ms;
}

bool migrate_multifd(void)
{
    return ms.capabilities[MIGRATION_CAPABILITY_MULTIFD];
}

bool migrate_return_path(void)
{
    return ms.capabilities[MIGRATION_CAPABILITY_RETURN_PATH];
}

MultiFDCompression migrate_multifd_compression(void)
{
    return compression;
}

MigMode migrate_mode(void)
{
    return mode;
}

RunState runstate_get(void)
{
    return runstate;
}

bool sev_place_wanted(void)
{
    return ms.capabilities[MIGRATION_CAPABILITY_X_IGNORE_SHARED];
}

bool sev_template_making(void)
{
    return ms.capabilities[MIGRATION_CAPABILITY_SEV_TEMPLATE] ||
           sev_place_wanted();
}

bool sev_guest_can_send(Error **errp)
{
    if (guest_says) {
        error_setg(errp, "%s", guest_says);
    }
    return !guest_says;
}

/* --- Helpers ------------------------------------------------------------- */

static void begin(void)
{
    memset(ms.capabilities, 0, sizeof(ms.capabilities));
    runstate = RUN_STATE_RUNNING;
    compression = MULTIFD_COMPRESSION_NONE;
    mode = MIG_MODE_NORMAL;
    guest_says = NULL;
    sev_migration_on = true;
}

static void allowed(void)
{
    g_assert_true(sev_compat_check(&error_abort));
}

static void refused(const char *words)
{
    Error *err = NULL;

    g_assert_false(sev_compat_check(&err));
    if (!strstr(error_get_pretty(err), words)) {
        g_error("'%s' lacks '%s'", error_get_pretty(err), words);
    }
    error_free(err);
    /* Also for who does not ask why. */
    g_assert_false(sev_compat_check(NULL));
}

/* --- Capabilities -------------------------------------------------------- */

static const bool impossible[MIGRATION_CAPABILITY__MAX] = {
    [MIGRATION_CAPABILITY_POSTCOPY_RAM] = true,
    [MIGRATION_CAPABILITY_X_COLO] = true,
    [MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT] = true,
    [MIGRATION_CAPABILITY_XBZRLE] = true,
    [MIGRATION_CAPABILITY_ZERO_COPY_SEND] = true,
    [MIGRATION_CAPABILITY_MAPPED_RAM] = true,
};

static void test_capabilities(void)
{
    begin();
    allowed();
    g_assert_true(sev_caps_check(ms.capabilities, &error_abort));
    for (int cap = 0; cap < MIGRATION_CAPABILITY__MAX; cap++) {
        g_autofree char *name = g_strdup_printf(
            "capability '%s'", MigrationCapability_str(cap));
        Error *err = NULL;

        begin();
        runstate = RUN_STATE_PAUSED;    /* templates are made of such guests */
        ms.capabilities[cap] = true;
        g_assert_cmpint(sev_caps_check(ms.capabilities, &err), !=,
                        impossible[cap]);
        if (impossible[cap]) {
            g_assert_nonnull(strstr(error_get_pretty(err), name));
            error_free(err);
            refused(name);
        } else {
            allowed();
        }
    }
}

/* An ordinary guest has what it had. */
static void test_off(void)
{
    begin();
    sev_migration_on = false;
    memset(ms.capabilities, true, sizeof(ms.capabilities));
    g_assert_true(sev_caps_check(ms.capabilities, &error_abort));
}

/* --- Parameters, and the guest ------------------------------------------- */

static void test_compression(void)
{
    begin();
    compression = MULTIFD_COMPRESSION_ZLIB;
    allowed();                          /* nobody uses it */
    ms.capabilities[MIGRATION_CAPABILITY_MULTIFD] = true;
    refused("multifd-compression 'zlib'");
    compression = MULTIFD_COMPRESSION_NONE;
    allowed();
}

static void test_mode(void)
{
    begin();
    mode = MIG_MODE_CPR_REBOOT;
    refused("in mode 'cpr-reboot'");
    mode = MIG_MODE_CPR_TRANSFER;
    refused("in mode 'cpr-transfer'");
}

static void test_guest(void)
{
    begin();
    guest_says = "policy 0x9 has NOSEND";
    refused("policy 0x9 has NOSEND");
}

/* --- Templates ----------------------------------------------------------- */

static void template_of(MigrationCapability cap)
{
    begin();
    ms.capabilities[cap] = true;
    refused("a template is made of a stopped guest: 'stop' first");
    runstate = RUN_STATE_SUSPENDED;
    refused("'stop' first");
    runstate = RUN_STATE_PAUSED;
    allowed();
    ms.capabilities[MIGRATION_CAPABILITY_MULTIFD] = true;
    refused("unset capability 'multifd'");
    ms.capabilities[MIGRATION_CAPABILITY_MULTIFD] = false;
    ms.capabilities[MIGRATION_CAPABILITY_RETURN_PATH] = true;
    refused("unset capability 'return-path'");
    ms.capabilities[MIGRATION_CAPABILITY_RETURN_PATH] = false;
    guest_says = "policy 0x9 has NOSEND";
    refused("NOSEND");
}

static void test_template(void)
{
    template_of(MIGRATION_CAPABILITY_SEV_TEMPLATE);
}

static void test_in_place(void)
{
    template_of(MIGRATION_CAPABILITY_X_IGNORE_SHARED);
    runstate = RUN_STATE_RUNNING;
    refused("'x-ignore-shared' seals the guest");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/compat/capabilities", test_capabilities);
    g_test_add_func("/sev/compat/off", test_off);
    g_test_add_func("/sev/compat/compression", test_compression);
    g_test_add_func("/sev/compat/mode", test_mode);
    g_test_add_func("/sev/compat/guest", test_guest);
    g_test_add_func("/sev/compat/template", test_template);
    g_test_add_func("/sev/compat/in-place", test_in_place);
    return g_test_run();
}
