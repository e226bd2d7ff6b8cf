/*
 * The GHCB page: what an SEV-ES guest and its hypervisor say to each other.
 *
 * Layout and numbers are those of the GHCB specification (AMD publication
 * 56421, chapters 2 to 4).  Every integer is little endian.  The page is the
 * guest's: a request is copied once, and what it says is checked before it is
 * used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_ES_GHCB_H
#define TARGET_I386_SEV_ES_GHCB_H

#include "exec/hwaddr.h"
#include "es-int.h"

#define GHCB_SIZE               4096
#define GHCB_SHARED_BUFFER      2032
#define GHCB_SCRATCH_MAX        (16 * 4096)     /* outside the GHCB, as KVM */

typedef struct QEMU_PACKED SevGhcb {
    uint8_t rsvd1[0xcb];
    uint8_t cpl;
    uint8_t rsvd2[0x12c];
    uint64_t rax;                               /* 0x1f8 */
    uint8_t rsvd3[0x108];
    uint64_t rcx, rdx, rbx;                     /* 0x308 */
    uint8_t rsvd4[0x10];
    uint64_t rsi;                               /* 0x330 */
    uint8_t rsvd5[0x58];
    uint64_t exit_code, exit_info_1, exit_info_2, scratch;      /* 0x390 */
    uint8_t rsvd6[0x38];
    uint64_t xcr0;                              /* 0x3e8 */
    uint8_t valid[16];                          /* a bit per 8 bytes */
    uint8_t rsvd7[0x400];
    uint8_t shared_buffer[GHCB_SHARED_BUFFER];  /* 0x800 */
    uint8_t rsvd8[10];
    uint16_t version;                           /* 0xffa */
    uint32_t usage;
} SevGhcb;
QEMU_BUILD_BUG_ON(sizeof(SevGhcb) != GHCB_SIZE);
QEMU_BUILD_BUG_ON(offsetof(SevGhcb, rax) != 0x1f8);
QEMU_BUILD_BUG_ON(offsetof(SevGhcb, rsi) != 0x330);
QEMU_BUILD_BUG_ON(offsetof(SevGhcb, exit_code) != 0x390);
QEMU_BUILD_BUG_ON(offsetof(SevGhcb, valid) != 0x3f0);
QEMU_BUILD_BUG_ON(offsetof(SevGhcb, version) != 0xffa);

/* Events that only a GHCB page has; the others are SVM's exit codes. */
enum {
    GHCB_EVENT_MMIO_READ        = 0x80000001,
    GHCB_EVENT_MMIO_WRITE       = 0x80000002,
    GHCB_EVENT_NMI_COMPLETE     = 0x80000003,
    GHCB_EVENT_AP_RESET_HOLD    = 0x80000004,
    GHCB_EVENT_AP_JUMP_TABLE    = 0x80000005,
    GHCB_EVENT_PSC              = 0x80000010,
    GHCB_EVENT_GUEST_REQUEST    = 0x80000011,
    GHCB_EVENT_EXT_GUEST_REQUEST = 0x80000012,
    GHCB_EVENT_AP_CREATION      = 0x80000013,
    GHCB_EVENT_FEATURES         = 0x8000fffd,
    GHCB_EVENT_TERMINATE        = 0x8000fffe,
    GHCB_EVENT_UNSUPPORTED      = 0x8000ffff,
};

/* What is wrong with a request (SW_EXITINFO2, when SW_EXITINFO1 is 2) */
enum {
    GHCB_FINE                   = 0,
    GHCB_INVALID_USAGE          = 2,
    GHCB_INVALID_SCRATCH        = 3,
    GHCB_MISSING_INPUT          = 4,
    GHCB_INVALID_INPUT          = 5,
    GHCB_INVALID_EVENT          = 6,
};

/* One request, and its answer as far as it is known. */
typedef struct SevGhcbCall {
    CPUX86State *env;
    SevEsCpu *es;
    hwaddr gpa;                 /* of the page */
    SevGhcb *page;              /* the guest's own; only written */
    SevGhcb in;                 /* what it held */
    uint64_t code, info1, info2;
    /* The answer: registers begin as they came, or 0. */
    uint64_t rax, rbx, rcx, rdx;
    uint64_t out1, out2;
    SevEsNext next;
} SevGhcbCall;

/* Did the guest say that the field at @offset of the page is valid? */
bool sev_ghcb_has(const SevGhcbCall *call, size_t offset);

/* The field, or 0. */
uint64_t sev_ghcb_get(const SevGhcbCall *call, size_t offset);

#define GHCB_HAS(call, field) sev_ghcb_has(call, offsetof(SevGhcb, field))
#define GHCB_GET(call, field) sev_ghcb_get(call, offsetof(SevGhcb, field))

/* The request is wrong: the guest is told, and goes on. */
void sev_ghcb_refuse(SevGhcbCall *call, unsigned reason);

/* The guest's instruction raises this exception (without an error code). */
void sev_ghcb_inject(SevGhcbCall *call, int vector);

/*
 * What is in the scratch area, @len bytes (not 0): inside the GHCB's shared
 * buffer, or in shared RAM.  NULL, and the call is refused, when it is anywhere
 * else or longer than it may be; else the caller frees it.
 */
uint8_t *sev_ghcb_read_scratch(SevGhcbCall *call, uint64_t len);

/* Write it back; only what sev_ghcb_read_scratch() has found to be fine. */
void sev_ghcb_write_scratch(SevGhcbCall *call, const uint8_t *buf,
                            uint64_t len);

/* Answer the event (ghcb-events.c). */
void sev_ghcb_event(SevGhcbCall *call);

/* Events with data: port I/O, MMIO (ghcb-io.c) */
void sev_ghcb_ioio(SevGhcbCall *call);
void sev_ghcb_mmio_read(SevGhcbCall *call);
void sev_ghcb_mmio_write(SevGhcbCall *call);

/*
 * May the hypervisor use guest memory at [@gpa, @gpa + @len)?  It must be RAM,
 * and the guest's last access must not have been a private one.
 */
bool sev_ghcb_is_shared(CPUX86State *env, hwaddr gpa, uint64_t len,
                        bool is_write);

#endif /* TARGET_I386_SEV_ES_GHCB_H */
