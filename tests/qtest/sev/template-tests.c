/*
 * Templates of an SEV guest in each layout: clones of them run, and each finds
 * the memory that was sealed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration-qmp.h"
#include "migration/migration-util.h"
#include "qobject/qdict.h"
#include "sev-vm.h"

#define PAGE 4096

typedef struct Layout {
    const char *name;           /* as query-sev-template calls it */
    const char *capability;     /* what makes a template of a migration */
    const char *save, *load;    /* before the name of the file */
    bool in_place;
} Layout;

static const Layout mapped = {
    "mapped", "sev-template", "file:", "file:"
};
static const Layout stream = {
    "stream", "sev-template", "exec:cat > ", "exec:cat "
};
static const Layout in_place = {
    "in-place", "x-ignore-shared", "file:", "file:", .in_place = true
};

/* Guest RAM in a file: the template's to change, a clone's only to read. */
static char *ram_option(const Layout *layout, bool share)
{
    g_autofree char *path = sev_test_file("ram");

    if (!layout->in_place) {
        return NULL;
    }
    return g_strdup_printf(
        "-object memory-backend-file,id=ram,size=16M,mem-path=%s,share=%s "
        "-machine memory-backend=ram", path, share ? "on" : "off");
}

/* A guest is started, runs and is sealed; it is stopped then. */
static SevVm *seal(const Layout *layout, const char *path)
{
    g_autofree char *extra = ram_option(layout, true);
    g_autofree char *uri = g_strdup_printf("%s%s", layout->save, path);
    SevVm *vm = sev_vm_start("origin", "a",
                             &(SevVmOptions) { .extra = extra });

    sev_vm_wait_sound(vm);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'stop' }");
    migrate_set_capability(vm->qts, layout->capability, true);
    sev_vm_migrate(vm, uri);
    sev_vm_expect(vm, "completed", NULL);
    return vm;
}

static SevVm *clone_begin(const Layout *layout, const char *name,
                          const char *host, const char *path)
{
    g_autofree char *extra = ram_option(layout, false);
    g_autofree char *uri = g_strdup_printf("%s%s", layout->load, path);
    SevVm *vm = sev_vm_start_incoming(name, host,
                                      &(SevVmOptions) { .extra = extra });

    if (layout->in_place) {
        migrate_set_capability(vm->qts, layout->capability, true);
    }
    sev_vm_load(vm, uri);
    return vm;
}

static SevVm *clone_run(const Layout *layout, const char *name,
                        const char *path)
{
    SevVm *vm = clone_begin(layout, name, "a", path);

    sev_vm_expect(vm, "completed", NULL);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'cont' }");
    sev_vm_wait_sound(vm);
    return vm;
}

static void assert_layout(SevVm *vm, const Layout *layout, const char *path)
{
    QDict *info = qtest_qmp_assert_success_ref(vm->qts,
        "{ 'execute': 'query-sev-template', 'arguments': { 'path': %s } }",
        path);

    g_assert_cmpstr(qdict_get_str(info, "layout"), ==, layout->name);
    g_assert_true(qdict_get_bool(info, "whole"));
    qobject_unref(info);
}

/* Two clones side by side, and one when the others have written and ended. */
static void clones(const Layout *layout)
{
    g_autofree char *path = sev_test_file("template");
    SevVm *origin = seal(layout, path), *one, *two;

    assert_layout(origin, layout, path);
    if (layout->in_place) {
        sev_vm_assert_gone(origin);     /* its memory is packets now */
    } else {
        qtest_qmp_assert_success(origin->qts, "{ 'execute': 'cont' }");
        sev_vm_wait_sound(origin);
    }
    sev_vm_stop(origin);
    one = clone_run(layout, "one", path);
    two = clone_run(layout, "two", path);
    sev_vm_wait_sound(one);
    sev_vm_stop(one);
    sev_vm_stop(two);
    sev_vm_stop(clone_run(layout, "three", path));
}

static void test_mapped(void)
{
    clones(&mapped);
}

static void test_stream(void)
{
    clones(&stream);
}

static void test_in_place(void)
{
    clones(&in_place);
}

static void test_running(void)
{
    SevVm *vm = sev_vm_start("origin", "a", NULL);

    sev_vm_wait_sound(vm);
    migrate_set_capability(vm->qts, "sev-template", true);
    sev_assert_words(qtest_qmp_assert_failure_ref(vm->qts,
        "{ 'execute': 'migrate', 'arguments': { 'uri': 'file:none' } }"),
        "a template is made of a stopped guest: 'stop' first");
    sev_vm_wait_sound(vm);
    sev_vm_stop(vm);
}

static void test_other_host(void)
{
    g_autofree char *path = sev_test_file("template");
    SevVm *origin = seal(&mapped, path);
    SevVm *clone = clone_begin(&mapped, "clone", "b", path);

    sev_vm_expect(clone, "failed", "sealed to the platform");
    sev_vm_stop(origin);
    sev_vm_stop(clone);
}

/*
 * One bit, @at bytes into the file: a clone that opens all pages at once must
 * be refused.
 */
static void damaged(const char *path, gsize at, const char *words)
{
    g_autofree char *bytes = NULL;
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    SevVm *vm = sev_vm_start_incoming("clone", "a", NULL);
    gsize len;

    g_test_message("byte %zu", at);
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    bytes[at] ^= 0x10;
    g_assert_true(g_file_set_contents(path, bytes, len, NULL));
    migrate_set_parameter_str(vm->qts, "sev-template-open", "eager");
    sev_vm_load(vm, uri);
    sev_vm_expect(vm, "failed", words);
    sev_vm_stop(vm);
    bytes[at] ^= 0x10;
    g_assert_true(g_file_set_contents(path, bytes, len, NULL));
}

/* Ciphertext has a zero every 256 bytes; nothing else here has so few. */
static bool is_packet(const char *page)
{
    unsigned zeros = 0;

    for (size_t i = 0; i < PAGE; i++) {
        zeros += !page[i];
    }
    return zeros < PAGE / 64;
}

static gsize first_packet(const char *bytes, gsize len)
{
    for (gsize at = 0; at + PAGE <= len; at += PAGE) {
        if (is_packet(bytes + at)) {
            return at;
        }
    }
    g_assert_not_reached();
}

/* Where @text is first; what describes the devices, at the end, has it too. */
static gsize behind(const char *bytes, gsize len, const char *text)
{
    const char *found = memmem(bytes, len, text, strlen(text));

    g_assert_nonnull(found);
    return found + strlen(text) - bytes;
}

/*
 * What describes it, a private page, a shared one (QEMU's ACPI tables, by who
 * made them) and the state of a device, behind its instance and version.
 */
static void test_damaged(void)
{
    g_autofree char *path = sev_test_file("template");
    g_autofree char *bytes = NULL;
    SevVm *origin = seal(&mapped, path);
    gsize len;

    sev_vm_stop(origin);
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    damaged(path, 100, "the template was changed");
    damaged(path, first_packet(bytes, len) + 77, "fails its MAC");
    damaged(path, behind(bytes, len, "BOCHS BXPC"),
            "shared pages do not have the sum");
    damaged(path, behind(bytes, len, "cpu_common") + 8 + 3,
            "the template was changed");
    sev_vm_stop(clone_run(&mapped, "last", path));
}

void sev_add_template_tests(void)
{
    sev_test_add("/sev/template/mapped", test_mapped);
    sev_test_add("/sev/template/stream", test_stream);
    sev_test_add("/sev/template/in-place", test_in_place);
    sev_test_add("/sev/template/running", test_running);
    sev_test_add("/sev/template/other-host", test_other_host);
    sev_test_add("/sev/template/damaged", test_damaged);
}
