/*
 * Migration of SEV guests under TCG: they arrive, or they stay and run on.
 *
 * refusal-tests.c has who is refused and why, template-tests.c the templates.
 * scripts/overlay/check.py runs all of it as one program, sev-migration-test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "migration/migration-qmp.h"
#include "migration/migration-util.h"
#include "qobject/qdict.h"
#include "relay.h"
#include "sev-vm.h"

/* The guest's first words at this address follow from it: firmware.S. */
#define PATTERN_AT  0x8000
#define PATTERN_LEN 0x1000

/* What the host sees of the guest's memory. */
static void look_at_pattern(SevVm *vm, uint8_t *seen)
{
    size_t right = 0;

    qtest_memread(vm->qts, PATTERN_AT, seen, PATTERN_LEN);
    for (size_t i = 0; i < PATTERN_LEN; i += 2) {
        right += lduw_le_p(seen + i) == ((PATTERN_AT + i) ^ 0xa55a);
    }
    g_assert_cmpuint(right, <, 16);     /* by chance it is none */
}

/* Each end has a key of its own, and neither shows its host the memory. */
static void test_match(void)
{
    SevVm *from = sev_vm_start("source", "a", NULL);
    SevVm *to = sev_vm_start_incoming("target", "b", NULL);
    uint8_t here[PATTERN_LEN], there[PATTERN_LEN];

    sev_vm_trust(from, to);
    sev_vm_wait_sound(from);
    sev_vm_move(from, to);
    g_assert_cmpuint(sev_vm_sev_info(from, "packets"), >, 0);
    qtest_qmp_assert_success(to->qts, "{ 'execute': 'stop' }");
    look_at_pattern(from, here);
    look_at_pattern(to, there);
    g_assert_cmpint(memcmp(here, there, sizeof(here)), !=, 0);
    sev_vm_stop(from);
    sev_vm_stop(to);
}

static void test_there_and_back(void)
{
    SevVm *first = sev_vm_start("first", "a", NULL);
    SevVm *away = sev_vm_start_incoming("away", "b", NULL);
    SevVm *back = sev_vm_start_incoming("back", "a", NULL);

    sev_vm_trust(first, away);
    sev_vm_trust(away, back);
    sev_vm_wait_sound(first);
    sev_vm_move(first, away);
    sev_vm_move(away, back);
    sev_vm_stop(first);
    sev_vm_stop(away);
    sev_vm_stop(back);
}

/* --- Called off ---------------------------------------------------------- */

static void wait_for_packets(SevVm *vm)
{
    g_test_timer_start();
    while (!sev_vm_sev_info(vm, "packets")) {
        g_assert_cmpfloat(g_test_timer_elapsed(), <, 120);
        g_usleep(1000);
    }
}

/*
 * @slow: while the guest runs and packets are on their way.  Otherwise when all
 * but the last pages were sent and the guest is stopped.  Neither can complete
 * before it is called off, however long that takes.
 */
static void cancel(bool slow)
{
    static const char *const ended[] = { "failed", "completed", NULL };
    SevVm *from = sev_vm_start("source", "a", NULL);
    SevVm *to = sev_vm_start_incoming("target", "b", NULL);
    SevVm *next = sev_vm_start_incoming("next", "b", NULL);
    g_autofree char *uri = sev_vm_listen(to);

    sev_vm_trust(from, to);
    sev_vm_wait_sound(from);
    migrate_set_capability(from->qts, "pause-before-switchover", true);
    if (slow) {
        migrate_set_parameter_int(from->qts, "max-bandwidth", 4096);
        migrate_set_parameter_int(from->qts, "avail-switchover-bandwidth", 1);
    }
    sev_vm_migrate(from, uri);
    if (slow) {
        wait_for_packets(from);
    } else {
        wait_for_migration_status(from->qts, "pre-switchover",
                                  (const char **)ended);
    }
    migrate_cancel(from->qts);
    sev_vm_expect(from, "cancelled", NULL);
    sev_vm_expect(to, "failed", NULL);
    sev_vm_wait_sound(from);

    migrate_set_capability(from->qts, "pause-before-switchover", false);
    migrate_set_parameter_int(from->qts, "max-bandwidth", 1 << 30);
    migrate_set_parameter_int(from->qts, "avail-switchover-bandwidth", 0);
    sev_vm_move(from, next);
    sev_vm_stop(from);
    sev_vm_stop(to);
    sev_vm_stop(next);
}

static void test_cancel_packets(void)
{
    cancel(true);
}

static void test_cancel_switchover(void)
{
    cancel(false);
}

/* --- Damaged on its way -------------------------------------------------- */

/* It fails at both ends, the guest runs on, and the next attempt succeeds. */
static void damaged(SevRelayDamage damage, const char *target_says,
                    const char *source_says)
{
    SevVm *from = sev_vm_start("source", "a", NULL);
    SevVm *to = sev_vm_start_incoming("target", "b", NULL);
    SevVm *next = sev_vm_start_incoming("next", "b", NULL);
    g_autofree char *uri = sev_vm_listen(to);
    g_autofree char *relay_uri = NULL;
    SevRelay *relay = sev_relay_start(uri, damage, &relay_uri);

    sev_vm_trust(from, to);
    sev_vm_wait_sound(from);
    sev_vm_migrate(from, relay_uri);
    sev_vm_expect(to, "failed", target_says);
    sev_vm_expect(from, "failed", source_says);
    sev_relay_finish(relay);
    sev_vm_wait_sound(from);
    sev_vm_move(from, next);
    sev_vm_stop(from);
    sev_vm_stop(to);
    sev_vm_stop(next);
}

static void test_flipped(void)
{
    damaged(SEV_RELAY_FLIP, "fails its MAC", "SEV: the target refused: ");
}

static void test_cut(void)
{
    damaged(SEV_RELAY_CUT, NULL, "SEV: the line to the target was lost while ");
}

/* --- Through a file ------------------------------------------------------ */

/* Sealed to the own platform; a bit of a packet makes the difference. */
static void test_file(void)
{
    SevVm *from = sev_vm_start("source", "a", NULL);
    SevVm *to = sev_vm_start_incoming("target", "a", NULL);
    SevVm *next = sev_vm_start_incoming("next", "a", NULL);
    g_autofree char *path = sev_test_file("saved");
    g_autofree char *uri = g_strdup_printf("file:%s", path);

    sev_vm_wait_sound(from);
    qtest_qmp_assert_success(from->qts, "{ 'execute': 'stop' }");
    sev_vm_migrate(from, uri);
    sev_vm_expect(from, "completed", NULL);
    sev_vm_stop(from);

    sev_flip_in_file(path);
    sev_vm_load(to, uri);
    sev_vm_expect(to, "failed", "fails its MAC");
    sev_flip_in_file(path);             /* it is what it was */
    sev_vm_load(next, uri);
    sev_vm_expect(next, "completed", NULL);
    qtest_qmp_assert_success(next->qts, "{ 'execute': 'cont' }");
    sev_vm_wait_sound(next);
    sev_vm_stop(to);
    sev_vm_stop(next);
}

/* --- Multifd ------------------------------------------------------------- */

static void test_multifd(void)
{
    SevVm *from = sev_vm_start("source", "a", NULL);
    SevVm *to = sev_vm_start_incoming("target", "b", NULL);
    QDict *info, *ram, *sev;

    sev_vm_trust(from, to);
    for (SevVm *vm = from; vm; vm = vm == from ? to : NULL) {
        migrate_set_capability(vm->qts, "multifd", true);
        migrate_set_parameter_int(vm->qts, "multifd-channels", 2);
    }
    sev_vm_wait_sound(from);
    sev_vm_move(from, to);
    info = migrate_query(from->qts);
    ram = qdict_get_qdict(info, "ram");
    sev = qdict_get_qdict(info, "sev");
    g_assert_cmpint(qdict_get_int(sev, "packet-bytes"), >, 0);
    /* They were on the channels, not on the line that opened first. */
    g_assert_cmpint(qdict_get_int(ram, "multifd-bytes"), >=,
                    qdict_get_int(sev, "packet-bytes"));
    qobject_unref(info);
    sev_vm_stop(from);
    sev_vm_stop(to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    sev_test_add("/sev/migration/match", test_match);
    sev_test_add("/sev/migration/there-and-back", test_there_and_back);
    sev_test_add("/sev/migration/cancel/packets", test_cancel_packets);
    sev_test_add("/sev/migration/cancel/switchover", test_cancel_switchover);
    sev_test_add("/sev/migration/flipped", test_flipped);
    sev_test_add("/sev/migration/cut", test_cut);
    sev_test_add("/sev/migration/file", test_file);
    sev_test_add("/sev/migration/multifd", test_multifd);
    sev_add_refusal_tests();
    sev_add_template_tests();
    return g_test_run();
}
