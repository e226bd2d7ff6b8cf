/*
 * Who may not receive an SEV guest, and what it cannot migrate with: each
 * refusal in its sentence, and the guest runs on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration-qmp.h"
#include "migration/migration-util.h"
#include "qobject/qdict.h"
#include "sev-vm.h"

/* @from tries to move to @to, which both ends must give up. */
static void refused(SevVm *from, SevVm *to, const char *words)
{
    g_autofree char *uri = sev_vm_listen(to);

    sev_vm_migrate(from, uri);
    sev_vm_expect(from, "failed", words);
    sev_vm_expect(to, "failed", NULL);
    sev_vm_wait_sound(from);
}

static void test_untrusted(void)
{
    SevVm *from = sev_vm_start("source", "a", NULL);
    SevVm *to = sev_vm_start_incoming("target", "b", NULL);
    SevVm *next = sev_vm_start_incoming("next", "b", NULL);

    sev_vm_wait_sound(from);
    refused(from, to, "the platform's ARK is not a root that is trusted here");
    g_assert_cmpuint(sev_vm_sev_info(from, "packets"), ==, 0);
    sev_vm_trust(from, next);
    sev_vm_move(from, next);
    sev_vm_stop(from);
    sev_vm_stop(to);
    sev_vm_stop(next);
}

/* Migration parameters name a platform that is not the one that answers. */
static void test_not_allowed(void)
{
    g_autofree char *zeros = g_strnfill(64, '0');
    SevVm *from = sev_vm_start("source", "a", NULL);
    SevVm *to = sev_vm_start_incoming("target", "b", NULL);

    sev_vm_trust(from, to);
    sev_vm_wait_sound(from);
    qtest_qmp_assert_success(from->qts,
        "{ 'execute': 'migrate-set-parameters',"
        "  'arguments': { 'sev-allowed-platforms': [ %s ] } }", zeros);
    refused(from, to, "is not among the 1 of migration parameter "
            "'sev-allowed-platforms'");
    g_assert_cmpuint(sev_vm_sev_info(from, "packets"), ==, 0);
    sev_vm_stop(from);
    sev_vm_stop(to);
}

static void mismatch(const SevVmOptions *here, const SevVmOptions *there,
                     const char *words)
{
    SevVm *from = sev_vm_start("source", "a", here);
    SevVm *to = sev_vm_start_incoming("target", "b", there);

    sev_vm_trust(from, to);
    sev_vm_wait_sound(from);
    refused(from, to, words);
    sev_vm_stop(from);
    sev_vm_stop(to);
}

static void test_policy(void)
{
    mismatch(&(SevVmOptions) { .policy = 0x3 },
             &(SevVmOptions) { .policy = 0x21 },
             "has policy=0x3, this target was started with policy=0x21");
}

static void test_cbitpos(void)
{
    mismatch(NULL, &(SevVmOptions) { .sev = "cbitpos=47" },
             "has cbitpos=51, this target was started with cbitpos=47");
}

static void test_nosend(void)
{
    SevVm *vm = sev_vm_start("source", "a",
                             &(SevVmOptions) { .policy = 0x9 });
    QDict *refusal;

    sev_vm_wait_sound(vm);
    refusal = qtest_qmp_assert_failure_ref(vm->qts,
        "{ 'execute': 'migrate', 'arguments': { 'uri': 'unix:nowhere' } }");
    sev_assert_words(refusal, "policy 0x9 has NOSEND");
    sev_vm_wait_sound(vm);
    sev_vm_stop(vm);
}

/* Neither end can have them; what was set before stays set. */
static void test_capabilities(void)
{
    static const struct {
        const char *capability, *words;
    } rows[] = {
        { "postcopy-ram",
          "the firmware cannot receive a page into a running guest" },
        { "background-snapshot", "its pages would bypass the firmware" },
        { "mapped-ram", "its fixed offsets have no room for packet headers" },
    };
    SevVm *vm = sev_vm_start("source", "a", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        QDict *refusal = qtest_qmp_assert_failure_ref(vm->qts,
            "{ 'execute': 'migrate-set-capabilities', 'arguments': {"
            "  'capabilities': [ { 'capability': %s, 'state': true } ] } }",
            rows[i].capability);

        sev_assert_words(refusal, rows[i].words);
    }
    sev_vm_wait_sound(vm);
    sev_vm_stop(vm);
}

static void test_savevm(void)
{
    g_autofree char *disk = sev_test_file("disk.qcow2");
    g_autofree char *extra = g_strdup_printf(
        "-drive if=none,id=disk0,format=qcow2,file=%s", disk);
    g_autofree char *said = NULL;
    SevVm *vm;

    if (!have_qemu_img() || !mkimg(disk, "qcow2", 16)) {
        g_test_skip("qemu-img is not there");
        return;
    }
    vm = sev_vm_start("source", "a", &(SevVmOptions) { .extra = extra });
    sev_vm_wait_sound(vm);
    said = qtest_hmp(vm->qts, "savevm one");
    g_assert_nonnull(strstr(said, "a snapshot inside a disk image cannot hold "
                            "an SEV guest"));
    sev_vm_wait_sound(vm);
    sev_vm_stop(vm);
}

void sev_add_refusal_tests(void)
{
    sev_test_add("/sev/refused/untrusted-root", test_untrusted);
    sev_test_add("/sev/refused/not-allowed", test_not_allowed);
    sev_test_add("/sev/refused/policy", test_policy);
    sev_test_add("/sev/refused/cbitpos", test_cbitpos);
    sev_test_add("/sev/refused/nosend", test_nosend);
    sev_test_add("/sev/refused/capabilities", test_capabilities);
    sev_test_add("/sev/refused/savevm", test_savevm);
}
