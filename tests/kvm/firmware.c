/*
 * The secure processor of the stand-in: libpsp behind one mailbox.
 *
 * A host has one mailbox, whatever the number of its processes: who wants to
 * give a command locks a file in the folder of the chip's identity.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "standin.h"
#include "hw/psp/psp-chain.h"
#include "hw/psp/psp-store.h"

/* Addresses of this library's buffers; others are the guest's, by their HVA. */
#define KERNEL_MEMORY   (UINT64_C(1) << 62)

static pthread_mutex_t mailbox = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static PspPlatform *chip;
static PspStore *store;
static int mailbox_fd = -1, turnstile_fd = -1;
static _Atomic bool is_up;
static __thread KsVm *whose;

/* --- What libpsp asks of its host ------------------------------------------ */

uint64_t ks_paddr(const void *buffer)
{
    return buffer ? GUINT64_TO_LE(KERNEL_MEMORY | (uintptr_t)buffer) : 0;
}

static void *host_mem_map(void *opaque, uint64_t paddr, size_t len, bool write)
{
    if (paddr & KERNEL_MEMORY) {
        return (void *)(uintptr_t)(paddr & ~KERNEL_MEMORY);
    }
    return whose ? ks_memory_map(whose, paddr, len) : NULL;
}

static void host_mem_unmap(void *opaque, void *ptr, uint64_t paddr, size_t len,
                           size_t written)
{
    if (!(paddr & KERNEL_MEMORY)) {
        ks_memory_unmap(whose, ptr, paddr, len, written);
    }
}

static void host_random(void *opaque, void *dst, size_t len)
{
    while (len) {
        ssize_t got = getrandom(dst, len, 0);

        if (got < 0 && errno != EINTR) {
            ks_die("no random numbers");
        }
        dst = (uint8_t *)dst + MAX(got, 0);
        len -= MAX(got, 0);
    }
}

static bool host_nv_lock(void *opaque, GError **error)
{
    return psp_store_lock(opaque, error);
}

static void host_nv_unlock(void *opaque)
{
    psp_store_unlock(opaque);
}

static GBytes *host_nv_load(void *opaque, GError **error)
{
    return psp_store_load(opaque, error);
}

static bool host_nv_store(void *opaque, GBytes *blob, GError **error)
{
    return psp_store_save(opaque, blob, error);
}

static const PspHost host = {
    .mem_map = host_mem_map,
    .mem_unmap = host_mem_unmap,
    .random = host_random,
    .nv_lock = host_nv_lock,
    .nv_unlock = host_nv_unlock,
    .nv_load = host_nv_load,
    .nv_store = host_nv_store,
};

/* --- Birth ----------------------------------------------------------------- */

static int open_lock(const char *name)
{
    g_autofree char *path = g_build_filename(ks_identity(), name, NULL);
    int fd = openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        ks_die("cannot open %s: %s", path, strerror(errno));
    }
    return fd;
}

static PspInit init_flags(void)
{
    return (PspInit) {
        .flags = GUINT32_TO_LE(ks_option("es") ? PSP_INIT_ES : 0),
    };
}

static void start(void)
{
    g_autoptr(GError) err = NULL;
    PspInit init = init_flags();

    store = psp_store_open(ks_identity(), &err);
    chip = store ? psp_platform_new(&host, store, &err) : NULL;
    if (!chip) {
        ks_die("%s", err->message);
    }
    mailbox_fd = open_lock("mailbox");
    turnstile_fd = open_lock("turnstile");
    /* Linux sends INIT when KVM is loaded, long before anybody asks. */
    is_up = !ks_option("platform-down");
    if (is_up && psp_exec(chip, PSP_CMD_INIT, &init,
                          sizeof(init)) != PSP_SUCCESS) {
        ks_die("INIT fails: %s", psp_last_error() ?: "for no reason");
    }
}

PspPlatform *ks_chip(void)
{
    pthread_once(&once, start);
    return chip;
}

/* --- Commands -------------------------------------------------------------- */

/* The roots that a real chip has in its ROM: here the operator's. */
static void trust_roots(void)
{
    g_autoptr(PspRoots) roots = psp_roots_new();
    g_autoptr(GError) err = NULL;

    if (psp_roots_add_dir(roots, psp_store_roots_dir(store), &err)) {
        psp_platform_trust(chip, g_steal_pointer(&roots));
    }
}

static void wait_until(int64_t us)
{
    struct timespec end = {
        .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000,
    };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL)) {
        ;
    }
}

static void lock(int fd)
{
    while (flock(fd, LOCK_EX)) {
        ;
    }
}

/* Who waits holds the turnstile: who just had the mailbox comes after it. */
static void mailbox_lock(void)
{
    pthread_mutex_lock(&mailbox);
    lock(turnstile_fd);
    lock(mailbox_fd);
    flock(turnstile_fd, LOCK_UN);
}

static void mailbox_unlock(void)
{
    flock(mailbox_fd, LOCK_UN);
    pthread_mutex_unlock(&mailbox);
}

int ks_firmware(KsVm *vm, PspCommand cmd, void *buf, size_t len,
                uint32_t *error)
{
    const char *name = psp_command_name(cmd);
    KsFault fault = { 0 };
    PspStatus status;
    int64_t begun;

    ks_chip();
    mailbox_lock();
    begun = ks_now_us();
    if (ks_fault(name, &fault)) {
        status = fault.status;
    } else {
        if (cmd == PSP_CMD_SEND_START) {
            trust_roots();
        }
        whose = vm;
        status = psp_exec(chip, cmd, buf, len);
        whose = NULL;
    }
    if (!fault.error) {
        wait_until(begun + ks_delay_us(name));
        ks_log("firmware %s %u %" PRId64, name, status, ks_now_us() - begun);
    }
    mailbox_unlock();

    if (fault.error) {
        if (fault.error == ETIMEDOUT) {
            *error = 0;         /* the only one where Linux touches it */
        }
        return -fault.error;
    }
    *error = status;
    return status ? -EIO : 0;
}

int ks_firmware_handle(KsVm *vm, PspCommand cmd, uint32_t *error)
{
    PspHandleCmd buf = { .handle = GUINT32_TO_LE(vm->handle) };

    return ks_firmware(vm, cmd, &buf, sizeof(buf), error);
}

/* --- The platform's state -------------------------------------------------- */

bool ks_platform_is_up(void)
{
    ks_chip();
    return is_up;
}

int ks_platform_up(uint32_t *error)
{
    PspInit init = init_flags();
    uint32_t status = SEV_RET_NO_FW_CALL, ignored;
    int ret;

    if (ks_platform_is_up()) {
        return 0;
    }
    ret = ks_firmware(NULL, PSP_CMD_INIT, &init, sizeof(init), &status);
    if (ret && status == PSP_SECURE_DATA_INVALID) {
        ret = ks_firmware(NULL, PSP_CMD_INIT, &init, sizeof(init), &status);
    }
    *error = status;
    if (ret) {
        return ret;
    }
    is_up = true;
    return ks_firmware(NULL, PSP_CMD_DF_FLUSH, NULL, 0, &ignored);
}

void ks_platform_down(uint32_t *error)
{
    if (!ks_firmware(NULL, PSP_CMD_SHUTDOWN, NULL, 0, error)) {
        is_up = false;
    }
}
