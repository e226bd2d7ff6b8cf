/*
 * Faults on demand: at every step of a migration there is a point where it
 * can be made to fail, stall or die, so that tests see what happens then.
 *
 * Property "x-fault" of the sev-guest object arms one point, once:
 *
 *     POINT[:N][:ACTION]       at the N-th time from now, default the first
 *
 *     fail         the step fails with a sentence; a record cannot be written
 *     fail=STATUS  the same; a command ends with this status of the firmware
 *     stall[=MS]   the step waits: until x-fault is set again, or so long
 *     die          the process ends at once, as killed by signal 9
 *
 * It fires once, says so on stderr, and is unarmed then.  "" unarms it.
 * "x-fault-points" lists the points.  For tests: neither is a stable interface.
 *
 * Unarmed, a point costs one load and one branch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TEST_FAULT_H
#define TARGET_I386_SEV_TEST_FAULT_H

#include "qemu/atomic.h"
#include "qapi/error.h"
#include "qom/object.h"

/* In the order in which a migration comes by; names are in fault.c. */
typedef enum SevFaultPoint {
    SEV_FAULT_NONE,

    SEV_FAULT_SAVE_PREPARE,
    SEV_FAULT_MANIFEST_WRITE,
    SEV_FAULT_HELLO_WRITE,
    SEV_FAULT_CERTS_WAIT,
    SEV_FAULT_CERTS_READ,
    SEV_FAULT_CERTS_CHECK,
    SEV_FAULT_SEND_START,
    SEV_FAULT_SESSION_WRITE,
    SEV_FAULT_VCPUS_WRITE,
    SEV_FAULT_BLOCK_WRITE,
    SEV_FAULT_BREAK_WRITE,
    SEV_FAULT_LANE_PROGRAM,
    SEV_FAULT_LANE_KEY,
    SEV_FAULT_LANE_WRITE,
    SEV_FAULT_SEND_UPDATE_DATA,
    SEV_FAULT_LANE_SEAL,
    SEV_FAULT_PAGES_WRITE,
    SEV_FAULT_CHANNEL_SETUP,
    SEV_FAULT_CHANNEL_WRITE,
    SEV_FAULT_IMAGE_WRITE,
    SEV_FAULT_IMAGE_PLACE,
    SEV_FAULT_HEADERS_WRITE,
    SEV_FAULT_DISK_SYNC,
    SEV_FAULT_SAVE_COMPLETE,
    SEV_FAULT_STATE_WRITE,
    SEV_FAULT_DIGEST_WRITE,
    SEV_FAULT_SHARED_WRITE,
    SEV_FAULT_LANE_DIGEST,
    SEV_FAULT_SEALED_WRITE,
    SEV_FAULT_SEND_UPDATE_VMSA,
    SEV_FAULT_VMSA_WRITE,
    SEV_FAULT_END_WRITE,
    SEV_FAULT_DEVICE_STATE,
    SEV_FAULT_LAST_WRITE,
    SEV_FAULT_REFUSAL_READ,
    SEV_FAULT_ACK_WAIT,
    SEV_FAULT_ACK_READ,
    SEV_FAULT_ACK_CHECK,
    SEV_FAULT_GO_WRITE,
    SEV_FAULT_SHUT_READ,
    SEV_FAULT_SEND_FINISH,
    SEV_FAULT_SEND_CANCEL,

    SEV_FAULT_LOAD_SETUP,
    SEV_FAULT_MANIFEST_READ,
    SEV_FAULT_HELLO_READ,
    SEV_FAULT_CERTS_SEND,
    SEV_FAULT_SESSION_READ,
    SEV_FAULT_RECEIVE_START,
    SEV_FAULT_VCPUS_READ,
    SEV_FAULT_BLOCK_READ,
    SEV_FAULT_LANE_READ,
    SEV_FAULT_LANE_ADOPT,
    SEV_FAULT_BREAK_READ,
    SEV_FAULT_PAGES_READ,
    SEV_FAULT_CHANNEL_WAIT,
    SEV_FAULT_CHANNEL_READ,
    SEV_FAULT_IMAGE_READ,
    SEV_FAULT_HEADERS_READ,
    SEV_FAULT_RECEIVE_UPDATE_DATA,
    SEV_FAULT_LANE_OPEN,
    SEV_FAULT_STATE_READ,
    SEV_FAULT_DIGEST_READ,
    SEV_FAULT_SHARED_READ,
    SEV_FAULT_IMAGE_FILL,
    SEV_FAULT_IMAGE_SEAL,
    SEV_FAULT_SEALED_READ,
    SEV_FAULT_LANE_CHECK,
    SEV_FAULT_VMSA_READ,
    SEV_FAULT_RECEIVE_UPDATE_VMSA,
    SEV_FAULT_END_READ,
    SEV_FAULT_RECEIVE_FINISH,
    SEV_FAULT_LAST_READ,
    SEV_FAULT_LOAD_END,
    SEV_FAULT_ATTESTATION,
    SEV_FAULT_ACK_SEND,
    SEV_FAULT_GO_WAIT,
    SEV_FAULT_GO_READ,
    SEV_FAULT_REFUSAL_SEND,

    SEV_FAULT__MAX,
} SevFaultPoint;

/* The point that is armed.  Written under fault.c's lock, read by anyone. */
extern int sev_fault_armed;

/* The slow halves of the two below. */
bool sev_fault_reached(SevFaultPoint point, Error **errp);
int sev_fault_command_reached(SevFaultPoint point, int *fw_error);

/*
 * Is this step to fail?  Then @errp is set, to a sentence with the point's
 * name.  Any thread; a stall in a coroutine yields, one elsewhere blocks the
 * thread, with the BQL if it holds it.
 */
static inline bool sev_fault(SevFaultPoint point, Error **errp)
{
    return unlikely(qatomic_read(&sev_fault_armed) == point) &&
           sev_fault_reached(point, errp);
}

/*
 * The same at a command of the firmware: 0, or what the command shall return,
 * with its status in *@fw_error.
 */
static inline int sev_fault_command(SevFaultPoint point, int *fw_error)
{
    return unlikely(qatomic_read(&sev_fault_armed) == point) ?
           sev_fault_command_reached(point, fw_error) : 0;
}

/* Arm what @text says.  Any thread. */
bool sev_fault_set(const char *text, Error **errp);

/* What is armed, as text; "" if nothing is (any more).  Caller frees. */
char *sev_fault_get(void);

/* "source send-start" or "target end-read"; NULL for SEV_FAULT_NONE. */
char *sev_fault_describe(SevFaultPoint point);

/* Add the properties to @obj.  BQL held. */
void sev_fault_add_properties(Object *obj);

#endif /* TARGET_I386_SEV_TEST_FAULT_H */
