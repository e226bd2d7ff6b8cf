/*
 * SEV guests under TCG for qtests: two hosts, a guest of 4 KiB, and what
 * becomes of a migration.
 *
 * The guest is tests/data/sev/golden/firmware.S.  It is its own firmware, all
 * its memory is private, and it prints '+' for as long as that memory holds
 * what the guest wrote, and '!' otherwise.  So a test needs no guest kernel:
 * it waits for marks and never for a time.
 *
 * The guest of QEMU's own migration-test cannot be used: SeaBIOS reads the boot
 * sector by DMA, and a device sees only ciphertext in private memory.
 *
 * Everything here fails the test when it cannot do what it is called for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_QTEST_SEV_VM_H
#define TESTS_QTEST_SEV_VM_H

#include "libqtest.h"

/*
 * Registers a test that has a folder of its own, which is removed when the test
 * passes.  Hosts, sockets, screens and logs of QEMU lie in it.
 */
void sev_test_add(const char *path, void (*fn)(void));

/* The name of a file in the folder of the running test; free it. */
char *sev_test_file(const char *name);

typedef struct SevVm {
    QTestState *qts;
    char *name, *host;
} SevVm;

/* What differs from a plain guest of 16 MiB with policy 1; NULL: nothing. */
typedef struct SevVmOptions {
    const char *sev;            /* properties of sev-guest, not the policy */
    const char *extra;          /* more arguments of QEMU */
    unsigned policy;            /* 0: policy 1 */
} SevVmOptions;

/*
 * A guest called @name on the host called @host.  A host is a software secure
 * processor with an identity of its own, made when it is first used.
 */
SevVm *sev_vm_start(const char *name, const char *host,
                    const SevVmOptions *options);

/* The same, waiting for sev_vm_listen() or sev_vm_load(). */
SevVm *sev_vm_start_incoming(const char *name, const char *host,
                             const SevVmOptions *options);
void sev_vm_stop(SevVm *vm);

/* The operator of @vm's host pins the root of the other one's. */
void sev_vm_trust(SevVm *vm, SevVm *other);

/* Waits until the guest has found its memory right several times more. */
void sev_vm_wait_sound(SevVm *vm);

/* @vm waits for a migration on a socket; free the URI. */
char *sev_vm_listen(SevVm *vm);

/* @vm loads @uri; how that ends is for sev_vm_expect(). */
void sev_vm_load(SevVm *vm, const char *uri);
void sev_vm_migrate(SevVm *vm, const char *uri);

/*
 * Waits until the migration of @vm has ended, which must be as @status:
 * "completed", "cancelled" or "failed".  @words (or NULL) must be in its error.
 */
void sev_vm_expect(SevVm *vm, const char *status, const char *words);

/* A number of the object "sev" of query-migrate; 0 when there is none yet. */
uint64_t sev_vm_sev_info(SevVm *vm, const char *field);

/* Over a socket from @from to a @to that waits; it must succeed. */
void sev_vm_move(SevVm *from, SevVm *to);

/* The guest was sent, or sealed in place: it must not start here again. */
void sev_vm_assert_gone(SevVm *vm);

/* A QMP error must have these words.  Takes @response over. */
void sev_assert_words(QDict *response, const char *words);

void sev_add_refusal_tests(void);
void sev_add_template_tests(void);

#endif /* TESTS_QTEST_SEV_VM_H */
