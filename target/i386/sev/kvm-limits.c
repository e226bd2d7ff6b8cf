/*
 * Memory that KVM pins for an SEV guest, and RLIMIT_MEMLOCK.
 *
 * Linux: sev_pin_memory() in arch/x86/kvm/svm/sev.c.  It pins every registered
 * region for the life of the guest, and one page more for each command that
 * reads or writes guest memory, and answers ENOMEM above the limit.  Only the
 * kernel's log says why.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "cpu.h"
#include "kvm-guest.h"
#include "exec/memory.h"
#include "exec/ramlist.h"
#include "qemu/error-report.h"
#include "qemu/units.h"

static uint64_t pinned;         /* bytes of registered RAM; BQL */

/* With CAP_IPC_LOCK the limit does not count.  Asked of the kernel itself. */
static bool may_exceed(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

    return !syscall(SYS_capget, &header, data) &&
           data[0].effective & 1u << CAP_IPC_LOCK;
}

static bool exceeds(uint64_t bytes, uint64_t *limit)
{
    struct rlimit rlimit;

    if (getrlimit(RLIMIT_MEMLOCK, &rlimit) ||
        rlimit.rlim_cur == RLIM_INFINITY || may_exceed()) {
        return false;
    }
    *limit = rlimit.rlim_cur;
    return bytes > *limit;
}

static char *explanation(uint64_t needed, uint64_t limit)
{
    return g_strdup_printf("an SEV guest's memory is pinned: %" PRIu64 " MiB "
                           "are needed, RLIMIT_MEMLOCK is %" PRIu64 " MiB; "
                           "raise it (ulimit -l, LimitMEMLOCK=, libvirt's "
                           "<hard_limit>) or give QEMU CAP_IPC_LOCK",
                           DIV_ROUND_UP(needed, MiB), limit / MiB);
}

char *sev_kvm_limits_explain(void)
{
    uint64_t needed = pinned + qemu_real_host_page_size(), limit;

    return exceeds(needed, &limit) ? explanation(needed, limit) : NULL;
}

/* As upstream's notifier, which registers the same blocks after this one. */
static bool is_pinned(void *host)
{
    ram_addr_t offset;
    MemoryRegion *mr = memory_region_from_host(host, &offset);

    return !mr || !memory_region_is_ram_device(mr);
}

static void limits_ram_added(RAMBlockNotifier *n, void *host, size_t size,
                             size_t max_size)
{
    uint64_t limit;

    if (!is_pinned(host)) {
        return;
    }
    pinned += max_size;
    if (exceeds(pinned, &limit)) {
        g_autofree char *why = explanation(pinned, limit);

        warn_report("SEV: %s", why);
    }
}

static void limits_ram_removed(RAMBlockNotifier *n, void *host, size_t size,
                               size_t max_size)
{
    if (is_pinned(host)) {
        pinned -= max_size;
    }
}

static RAMBlockNotifier limits_notifier = {
    .ram_block_added = limits_ram_added,
    .ram_block_removed = limits_ram_removed,
};

void sev_kvm_limits_init(void)
{
    ram_block_notifier_add(&limits_notifier);
}
