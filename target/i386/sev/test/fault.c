/*
 * Faults on demand: the points, and what happens there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "fault.h"

#define STALL_MS        60000       /* when no time is given */
#define STALL_POLL_MS   5
/* SEV_RET_HWSEV_RET_PLATFORM: a hardware condition; no command excludes it */
#define DEFAULT_STATUS  19
#define STATUS_MAX      0xffff

/* Source before target, and each in the order of the protocol. */
static const char *const point_name[SEV_FAULT__MAX] = {
    [SEV_FAULT_SAVE_PREPARE] = "save-prepare",
    [SEV_FAULT_MANIFEST_WRITE] = "manifest-write",
    [SEV_FAULT_HELLO_WRITE] = "hello-write",
    [SEV_FAULT_CERTS_WAIT] = "certs-wait",
    [SEV_FAULT_CERTS_READ] = "certs-read",
    [SEV_FAULT_CERTS_CHECK] = "certs-check",
    [SEV_FAULT_SEND_START] = "send-start",
    [SEV_FAULT_SESSION_WRITE] = "session-write",
    [SEV_FAULT_VCPUS_WRITE] = "vcpus-write",
    [SEV_FAULT_BLOCK_WRITE] = "block-write",
    [SEV_FAULT_BREAK_WRITE] = "break-write",
    [SEV_FAULT_LANE_PROGRAM] = "lane-program",
    [SEV_FAULT_LANE_KEY] = "lane-key",
    [SEV_FAULT_LANE_WRITE] = "lane-write",
    [SEV_FAULT_LANE_SEAL] = "lane-seal",
    [SEV_FAULT_SEND_UPDATE_DATA] = "send-update-data",
    [SEV_FAULT_PAGES_WRITE] = "pages-write",
    [SEV_FAULT_CHANNEL_SETUP] = "channel-setup",
    [SEV_FAULT_CHANNEL_WRITE] = "channel-write",
    [SEV_FAULT_IMAGE_WRITE] = "image-write",
    [SEV_FAULT_IMAGE_PLACE] = "image-place",
    [SEV_FAULT_HEADERS_WRITE] = "headers-write",
    [SEV_FAULT_DISK_SYNC] = "disk-sync",
    [SEV_FAULT_SAVE_COMPLETE] = "save-complete",
    [SEV_FAULT_STATE_WRITE] = "state-write",
    [SEV_FAULT_DIGEST_WRITE] = "digest-write",
    [SEV_FAULT_SHARED_WRITE] = "shared-write",
    [SEV_FAULT_LANE_DIGEST] = "lane-digest",
    [SEV_FAULT_SEALED_WRITE] = "sealed-write",
    [SEV_FAULT_SEND_UPDATE_VMSA] = "send-update-vmsa",
    [SEV_FAULT_VMSA_WRITE] = "vmsa-write",
    [SEV_FAULT_END_WRITE] = "end-write",
    [SEV_FAULT_DEVICE_STATE] = "device-state",
    [SEV_FAULT_LAST_WRITE] = "last-write",
    [SEV_FAULT_REFUSAL_READ] = "refusal-read",
    [SEV_FAULT_ACK_WAIT] = "ack-wait",
    [SEV_FAULT_ACK_READ] = "ack-read",
    [SEV_FAULT_ACK_CHECK] = "ack-check",
    [SEV_FAULT_GO_WRITE] = "go-write",
    [SEV_FAULT_SHUT_READ] = "shut-read",
    [SEV_FAULT_SEND_FINISH] = "send-finish",
    [SEV_FAULT_SEND_CANCEL] = "send-cancel",

    [SEV_FAULT_LOAD_SETUP] = "load-setup",
    [SEV_FAULT_MANIFEST_READ] = "manifest-read",
    [SEV_FAULT_HELLO_READ] = "hello-read",
    [SEV_FAULT_CERTS_SEND] = "certs-send",
    [SEV_FAULT_SESSION_READ] = "session-read",
    [SEV_FAULT_RECEIVE_START] = "receive-start",
    [SEV_FAULT_VCPUS_READ] = "vcpus-read",
    [SEV_FAULT_BLOCK_READ] = "block-read",
    [SEV_FAULT_LANE_READ] = "lane-read",
    [SEV_FAULT_LANE_ADOPT] = "lane-adopt",
    [SEV_FAULT_BREAK_READ] = "break-read",
    [SEV_FAULT_PAGES_READ] = "pages-read",
    [SEV_FAULT_CHANNEL_WAIT] = "channel-wait",
    [SEV_FAULT_CHANNEL_READ] = "channel-read",
    [SEV_FAULT_IMAGE_READ] = "image-read",
    [SEV_FAULT_HEADERS_READ] = "headers-read",
    [SEV_FAULT_RECEIVE_UPDATE_DATA] = "receive-update-data",
    [SEV_FAULT_LANE_OPEN] = "lane-open",
    [SEV_FAULT_STATE_READ] = "state-read",
    [SEV_FAULT_DIGEST_READ] = "digest-read",
    [SEV_FAULT_SHARED_READ] = "shared-read",
    [SEV_FAULT_IMAGE_FILL] = "image-fill",
    [SEV_FAULT_IMAGE_SEAL] = "image-seal",
    [SEV_FAULT_SEALED_READ] = "sealed-read",
    [SEV_FAULT_LANE_CHECK] = "lane-check",
    [SEV_FAULT_VMSA_READ] = "vmsa-read",
    [SEV_FAULT_RECEIVE_UPDATE_VMSA] = "receive-update-vmsa",
    [SEV_FAULT_END_READ] = "end-read",
    [SEV_FAULT_RECEIVE_FINISH] = "receive-finish",
    [SEV_FAULT_LAST_READ] = "last-read",
    [SEV_FAULT_LOAD_END] = "load-end",
    [SEV_FAULT_ATTESTATION] = "attestation",
    [SEV_FAULT_ACK_SEND] = "ack-send",
    [SEV_FAULT_GO_WAIT] = "go-wait",
    [SEV_FAULT_GO_READ] = "go-read",
    [SEV_FAULT_REFUSAL_SEND] = "refusal-send",
};

typedef enum Action { FAIL, STALL, DIE } Action;

static const char *const action_name[] = { "fail", "stall", "die" };

int sev_fault_armed;

static QemuMutex fault_lock;    /* protects the rest, and sets of the above */
static struct {
    unsigned countdown;         /* times until it fires */
    Action action;
    unsigned argument;          /* firmware status or milliseconds */
    unsigned generation;        /* of sev_fault_set(): ends a stall */
} fault;

static void __attribute__((constructor)) fault_init(void)
{
    qemu_mutex_init(&fault_lock);
}

char *sev_fault_describe(SevFaultPoint point)
{
    return point == SEV_FAULT_NONE ? NULL :
           g_strdup_printf("%s %s", point < SEV_FAULT_LOAD_SETUP ? "source"
                                                                 : "target",
                           point_name[point]);
}

/* --- What is armed --------------------------------------------------------- */

static SevFaultPoint parse_point(const char *name, Error **errp)
{
    for (int i = SEV_FAULT_NONE + 1; i < SEV_FAULT__MAX; i++) {
        if (g_str_equal(name, point_name[i])) {
            return i;
        }
    }
    error_setg(errp, "x-fault: there is no point '%s'; x-fault-points lists "
               "them", name);
    return SEV_FAULT_NONE;
}

/* "stall" or "stall=500" */
static bool parse_action(const char *text, Action *action, unsigned *argument,
                         Error **errp)
{
    g_auto(GStrv) part = g_strsplit(text, "=", 2);
    unsigned most = STATUS_MAX;

    if (g_strcmp0(part[0], action_name[FAIL]) == 0) {
        *action = FAIL;
        *argument = DEFAULT_STATUS;
    } else if (g_strcmp0(part[0], action_name[STALL]) == 0) {
        *action = STALL;
        *argument = most = STALL_MS;
    } else if (g_strcmp0(text, action_name[DIE]) == 0) {
        *action = DIE;
        *argument = 0;
    } else {
        error_setg(errp, "x-fault: '%s' is not fail, fail=STATUS, stall, "
                   "stall=MS or die", text);
        return false;
    }
    if (part[1] && (qemu_strtoui(part[1], NULL, 10, argument) ||
                    !*argument || *argument > most)) {
        error_setg(errp, "x-fault: '%s' needs a number from 1 to %u", text,
                   most);
        return false;
    }
    return true;
}

bool sev_fault_set(const char *text, Error **errp)
{
    g_auto(GStrv) part = g_strsplit(text, ":", 3);
    SevFaultPoint point = SEV_FAULT_NONE;
    unsigned nth = 1, argument = DEFAULT_STATUS;
    Action action = FAIL;
    guint i = 1;

    if (*text) {
        point = parse_point(part[0], errp);
        if (!point) {
            return false;
        }
        if (part[i] && g_ascii_isdigit(*part[i])) {
            if (qemu_strtoui(part[i], NULL, 10, &nth) || !nth) {
                error_setg(errp, "x-fault: '%s' is not a number from 1 on",
                           part[i]);
                return false;
            }
            i++;
        }
        if (part[i] && !parse_action(part[i++], &action, &argument, errp)) {
            return false;
        }
        if (part[i - 1] && part[i]) {
            error_setg(errp, "x-fault: '%s' is not POINT[:N][:ACTION]", text);
            return false;
        }
    }
    QEMU_LOCK_GUARD(&fault_lock);
    fault.countdown = nth;
    fault.action = action;
    fault.argument = argument;
    qatomic_inc(&fault.generation);
    qatomic_set(&sev_fault_armed, point);
    return true;
}

char *sev_fault_get(void)
{
    QEMU_LOCK_GUARD(&fault_lock);

    if (!sev_fault_armed) {
        return g_strdup("");
    }
    return g_strdup_printf(fault.action == DIE ? "%s:%u:%s" : "%s:%u:%s=%u",
                           point_name[sev_fault_armed], fault.countdown,
                           action_name[fault.action], fault.argument);
}

/* --- At a point ------------------------------------------------------------ */

static void coroutine_mixed_fn stall(unsigned ms, unsigned generation)
{
    int64_t end = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms;

    while (qatomic_read(&fault.generation) == generation &&
           qemu_clock_get_ms(QEMU_CLOCK_REALTIME) < end) {
        if (qemu_in_coroutine()) {
            qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, STALL_POLL_MS * SCALE_MS);
        } else {
            g_usleep(STALL_POLL_MS * 1000);
        }
    }
}

/* Fire if it is time.  True: fail, with status *@status. */
static bool fire(SevFaultPoint point, unsigned *status)
{
    unsigned argument, generation;
    Action action;

    WITH_QEMU_LOCK_GUARD(&fault_lock) {
        /* Another thread may have been here first. */
        if (sev_fault_armed != point || --fault.countdown) {
            return false;
        }
        qatomic_set(&sev_fault_armed, SEV_FAULT_NONE);
        action = fault.action;
        argument = fault.argument;
        generation = fault.generation;
    }
    info_report("x-fault: %s at %s", action_name[action], point_name[point]);
    switch (action) {
    case FAIL:
        *status = argument;
        return true;
    case STALL:
        stall(argument, generation);
        info_report("x-fault: going on at %s", point_name[point]);
        return false;
    case DIE:
        break;
    }
    for (;;) {
        kill(getpid(), SIGKILL);
    }
}

bool sev_fault_reached(SevFaultPoint point, Error **errp)
{
    unsigned status;

    if (!fire(point, &status)) {
        return false;
    }
    error_setg(errp, "x-fault: this step was made to fail: %s",
               point_name[point]);
    return true;
}

int sev_fault_command_reached(SevFaultPoint point, int *fw_error)
{
    unsigned status;

    if (!fire(point, &status)) {
        return 0;
    }
    *fw_error = status;
    errno = EIO;
    return -EIO;
}
