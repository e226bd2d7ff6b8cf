/*
 * A stand-in for the SEV interface of Linux (KVM and /dev/sev), for tests.
 *
 * A library for LD_PRELOAD. It answers the ioctls of an SEV guest on an
 * ordinary KVM guest: Linux 6.12's checks in front, libpsp as the secure
 * processor behind. This header is what its files share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_KVM_STANDIN_H
#define TESTS_KVM_STANDIN_H

#include <glib.h>
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hw/psp/psp-memory.h"
#include "hw/psp/psp.h"

#define KS_PAGE             4096u
#define KS_BLOB_MAX         16384u      /* the kernel's limit for one blob */
#define KS_SLOTS            256
#define KS_REGIONS          256
#define KS_VCPUS            16
#define KS_LANE_RANGES      4
#define KS_TABLE_PAGES      (KS_PAGE * 8)   /* that the guest's table covers */
#define KS_MSR_SEV_STATUS       0xc0010131
#define KS_SEV_STATUS_ENABLED   1
#define KS_SEV_STATUS_ES        2
#define KS_MSR_MIGRATION    0x4b564d08

/* One piece of host memory that the guest sees. */
typedef struct KsSlot {
    uint64_t id;                /* with the address space above bit 16 */
    uint64_t gpa, size, hva;    /* size 0: free */
} KsSlot;

typedef struct KsRegion {
    uint64_t addr, size, pages; /* size 0: free */
} KsRegion;

typedef struct KsVm KsVm;

typedef struct KsVcpu {
    KsVm *vm;
    int fd;
    struct kvm_run *run;
    bool hypercall;             /* user space owes its answer */
    bool is_protected;          /* its registers are the guest's (SEV-ES) */
} KsVcpu;

struct KsVm {
    int fd;
    unsigned long type;         /* that user space asked for */
    pthread_mutex_t lock;       /* what kvm->lock is: one command at a time */
    bool active;                /* INIT or INIT2 is done */
    bool need_init;
    bool es_active;             /* ... for a guest of SEV-ES */
    uint32_t handle;
    uint32_t asid;
    PspMemKey *key;             /* the ASID's, once the guest is bound to it */
    uint64_t hypercalls;        /* mask of KVM_CAP_EXIT_HYPERCALL */
    uint64_t msr_exits;         /* mask of KVM_CAP_X86_USER_SPACE_MSR */
    uint64_t pages_locked;
    KsRegion regions[KS_REGIONS];   /* under @memory as well */
    KsVcpu *vcpus[KS_VCPUS];
    _Atomic unsigned int vcpu_count;

    _Atomic PspGuestState state;
    _Atomic unsigned int changed;   /* slots, regions: counts up */
    _Atomic unsigned int checked;   /* value of @changed that was looked at */
    _Atomic bool runs;          /* RAM holds what the guest sees */
    bool received;

    pthread_mutex_t memory;     /* the rest; nests inside @lock */
    KsSlot slots[KS_SLOTS];
    uint8_t shared[KS_PAGE];    /* a bit per page: its C-bit is clear */
    KsSlot lane[KS_LANE_RANGES];    /* the lane's own private memory */
};

/* --- hooks.c: the libc, and what file descriptors are ---------------------- */

typedef enum KsKind { KS_OTHER, KS_SEV, KS_KVM, KS_VM, KS_VCPU } KsKind;

typedef struct KsFile {
    KsKind kind;
    void *object;               /* KsVm or KsVcpu */
    bool writable;
} KsFile;

const KsFile *ks_file(int fd);
void ks_file_add(int fd, KsKind kind, void *object, bool writable);
int ks_real_ioctl(int fd, unsigned long request, void *arg);

/* --- control.c: what the test wants, and what it gets to know -------------- */

/* A command that must fail: by errno when @error, else by firmware status. */
typedef struct KsFault {
    int error;
    uint32_t status;
} KsFault;

bool ks_fault(const char *command, KsFault *fault);
unsigned int ks_delay_us(const char *command);
bool ks_option(const char *word);
const char *ks_identity(void);
int64_t ks_now_us(void);

void ks_log(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Linux lets it pass, silicon would not. */
void ks_violation(const char *format, ...) G_GNUC_PRINTF(1, 2);
void ks_die(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;

/* --- user.c: memory of the caller ------------------------------------------ */

/* 0 or -EFAULT */
int ks_from_user(void *to, uint64_t from, size_t len);
int ks_to_user(uint64_t to, const void *from, size_t len);
/* A copy of a blob; NULL and *@error as the kernel's psp_copy_user_blob(). */
void *ks_user_blob(uint64_t from, uint32_t len, int *error);
bool ks_user_mapped(uint64_t addr, uint64_t len);

/* --- firmware.c: the chip and its mailbox ---------------------------------- */

PspPlatform *ks_chip(void);
/* The address of a buffer of this library, as it goes into a command. */
uint64_t ks_paddr(const void *buffer);
/*
 * One command through the mailbox. @vm: whose pages its addresses mean.
 * 0, -EIO with *@error, or another errno with *@error left alone.
 */
int ks_firmware(KsVm *vm, PspCommand cmd, void *buf, size_t len,
                uint32_t *error);
int ks_firmware_handle(KsVm *vm, PspCommand cmd, uint32_t *error);
/* INIT, if need be, and SHUTDOWN; *@error is the status, also of a success. */
bool ks_platform_is_up(void);
int ks_platform_up(uint32_t *error);
void ks_platform_down(uint32_t *error);

/* --- memory.c: slots, C-bits, what RAM holds ------------------------------- */

bool ks_memory_slot(KsVm *vm, uint64_t id, uint64_t gpa, uint64_t size,
                    uint64_t hva);
void ks_memory_first_run(KsVm *vm, uint64_t cr3);
void ks_memory_flip(KsVm *vm, uint64_t gpa, uint64_t cr3);
void ks_memory_reset(KsVm *vm);
void *ks_memory_map(KsVm *vm, uint64_t hva, size_t len);
void ks_memory_unmap(KsVm *vm, void *ptr, uint64_t hva, size_t len,
                     size_t written);

/* --- lane.c: a vCPU that is lent to the lane; all under vm->memory --------- */

/* Is this slot one of the lane's address space?  Remember what is its own. */
bool ks_lane_slot(const KsSlot *slot);
void ks_lane_seen(KsVm *vm, const KsSlot *slot);
/* Memory of the lane's own is DRAM whenever its program does not run. */
bool ks_lane_owns(KsVm *vm, uint64_t hva);
/* Does a vCPU with this CR3 run the program?  KVM_RUN for it; takes the lock. */
bool ks_lane_lent(KsVm *vm, uint64_t cr3);
int ks_lane_run(KsVcpu *vcpu);

/* --- The ioctls; all answer 0 (or more), or a negative errno --------------- */

int ks_ccp_ioctl(const KsFile *file, unsigned long request, uint64_t arg);
int ks_kvm_ioctl(int fd, unsigned long request, uint64_t arg);
int ks_vm_ioctl(KsVm *vm, unsigned long request, uint64_t arg);
int ks_vcpu_run(KsVcpu *vcpu);
int ks_vcpu_ioctl(KsVcpu *vcpu, unsigned long request, uint64_t arg);

/* region.c */
KsVm *ks_vm_new(void);
int ks_region(KsVm *vm, uint64_t arg, bool is_new);
int ks_pin(KsVm *vm, uint64_t uaddr, uint64_t len, uint64_t *pages);
void ks_unpin(KsVm *vm, uint64_t pages);
/*
 * Violations: slots that are not registered; a range that is not; a range that
 * is and goes away.
 */
void ks_check_slots(KsVm *vm);
void ks_check_range(KsVm *vm, const char *command, uint64_t addr,
                    uint64_t len);
void ks_check_gone(const char *how, uint64_t addr, uint64_t len);

/* command.c, launch.c, transfer.c */
int ks_encrypt_op(KsVm *vm, uint64_t arg);
/* ACTIVATE the new guest @handle (as it is in a buffer); else it is gone. */
int ks_bind(KsVm *vm, uint32_t handle, uint32_t *error);
void ks_unbind(KsVm *vm, uint32_t handle);
int ks_sev_launch_start(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_launch_update(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_launch_measure(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_launch_secret(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_status(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_debug(KsVm *vm, struct kvm_sev_cmd *cmd, bool decrypt);
int ks_sev_attestation(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_send_start(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_send_update(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_receive_start(KsVm *vm, struct kvm_sev_cmd *cmd);
int ks_sev_receive_update(KsVm *vm, struct kvm_sev_cmd *cmd);
/* protected.c */
int ks_sev_launch_update_vmsa(KsVm *vm, struct kvm_sev_cmd *cmd);
/* False: an ordinary ioctl of the vCPU. */
bool ks_protected_ioctl(KsVcpu *vcpu, unsigned long request, int *ret);

/* LAUNCH_FINISH, SEND_FINISH, SEND_CANCEL, RECEIVE_FINISH */
int ks_sev_simple(KsVm *vm, struct kvm_sev_cmd *cmd, PspCommand which,
                  PspGuestState next);

#endif /* TESTS_KVM_STANDIN_H */
