/*
 * The world as the software secure processor sees it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/random.h"
#include "hw/psp/psp-store.h"
#include "target/i386/sev/guest-page.h"
#include "psp-host.h"
#include "qapi/error.h"

/* Far above any RAM; a window is at most as long as the gap to the next. */
#define PSP_WINDOW_BASE     (UINT64_C(1) << 62)
#define PSP_WINDOW_SHIFT    32

typedef struct PspWindow {
    uint8_t *ptr;
    size_t len;
} PspWindow;

static __thread PspWindow windows[PSP_WINDOWS];

uint64_t psp_window(unsigned int n, uint64_t uaddr, size_t len)
{
    windows[n] = (PspWindow) { (void *)(uintptr_t)uaddr, len };
    if (!uaddr || !len) {
        return 0;
    }
    return cpu_to_le64(PSP_WINDOW_BASE + ((uint64_t)n << PSP_WINDOW_SHIFT));
}

static void *window_map(uint64_t paddr, size_t len)
{
    uint64_t n = (paddr - PSP_WINDOW_BASE) >> PSP_WINDOW_SHIFT;
    uint64_t offset = paddr & MAKE_64BIT_MASK(0, PSP_WINDOW_SHIFT);

    if (n >= PSP_WINDOWS || offset > windows[n].len ||
        len > windows[n].len - offset) {
        return NULL;
    }
    return windows[n].ptr + offset;
}

static void *host_mem_map(void *opaque, uint64_t paddr, size_t len, bool write)
{
    if (paddr >= PSP_WINDOW_BASE) {
        return window_map(paddr, len);
    }
    return sev_guest_page_map(paddr, len);
}

static void host_mem_unmap(void *opaque, void *ptr, uint64_t paddr,
                           size_t len, size_t written)
{
    if (paddr < PSP_WINDOW_BASE && written) {
        sev_guest_page_written(paddr, written);
    }
}

static void host_random(void *opaque, void *dst, size_t len)
{
    qcrypto_random_bytes(dst, len, &error_abort);
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

const PspHost sev_psp_host = {
    .mem_map = host_mem_map,
    .mem_unmap = host_mem_unmap,
    .random = host_random,
    .nv_lock = host_nv_lock,
    .nv_unlock = host_nv_unlock,
    .nv_load = host_nv_load,
    .nv_store = host_nv_store,
};
