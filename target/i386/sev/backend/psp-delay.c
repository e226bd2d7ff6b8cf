/*
 * The pace of silicon: a software secure processor that takes its time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "psp-delay.h"

#define DELAY_MAX_US 1000000

static uint32_t delay_us;
static QemuMutex lock;          /* protects the next */
static int64_t free_at;         /* when the mailbox is idle again */

int64_t sev_slow_psp_reserve(size_t n)
{
    int64_t delay = qatomic_read(&delay_us) * (int64_t)SCALE_US;

    if (!delay) {
        return 0;
    }
    QEMU_LOCK_GUARD(&lock);
    free_at = MAX(free_at, get_clock()) + n * delay;
    return free_at;
}

void sev_slow_psp_wait(int64_t until)
{
    int64_t left;

    while (until && (left = until - get_clock()) > 0) {
        g_usleep(DIV_ROUND_UP(left, SCALE_US));
    }
}

/* Objects come and go, also only to be looked at. */
static void __attribute__((constructor)) slow_psp_init(void)
{
    qemu_mutex_init(&lock);
}

static void get_delay(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    uint32_t value = qatomic_read(&delay_us);

    visit_type_uint32(v, name, &value, errp);
}

static void set_delay(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value > DELAY_MAX_US) {
        error_setg(errp, "SEV: %s=%" PRIu32 " is more than %d", name, value,
                   DELAY_MAX_US);
        return;
    }
    qatomic_set(&delay_us, value);
}

void sev_slow_psp_add_property(Object *obj)
{
    object_property_add(obj, "x-psp-delay-us", "uint32", get_delay, set_delay,
                        NULL, NULL);
    object_property_set_description(obj, "x-psp-delay-us",
        "for benchmarks: microseconds a packet keeps the secure processor");
}
