/*
 * A chip on a bench: memory, randomness and persistent area in the test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TEST_PSP_CHIP_H
#define TEST_PSP_CHIP_H

#include "hw/psp/packet.h"
#include "hw/psp/psp-chain.h"
#include "hw/psp/psp-memory.h"
#include "hw/psp/psp.h"

/* "Physical memory" starts at CHIP_BASE: address 0 is not memory. */
#define CHIP_BASE       0x100000u
#define CHIP_MEM        (1u << 20)

/* Where tests put what commands point to */
#define AT_PAGE         (CHIP_BASE + 0x10000)   /* guest pages from here on */
#define AT_HDR          (CHIP_BASE + 0x1000)
#define AT_TRANS        (CHIP_BASE + 0x2000)
#define AT_PDH          (CHIP_BASE + 0x6000)
#define AT_PLAT         (CHIP_BASE + 0x7000)
#define AT_AMD          (CHIP_BASE + 0x9000)
#define AT_SESSION      (CHIP_BASE + 0xa000)
#define AT_OUT          (CHIP_BASE + 0xb000)

typedef struct Chip {
    PspPlatform *psp;
    const char *name;
    bool blank;
    uint8_t *mem;
    GBytes *nv;
    uint64_t seed[2];           /* of the random source: reproducible */
    uint32_t handle;            /* of the guest that chip_*() work on */
    int mapped;                 /* mappings now */
    bool many_threads;          /* each may have four */
    int fail_nv;                /* countdown to a storage failure; 0: never */
    uint64_t hole;              /* an address that is not memory */
    void (*saw_random)(const void *bytes, size_t len);
} Chip;

/*
 * A chip with seed @name and the identity of that name, which is made once
 * per test program; a blank one has an empty persistent area.
 */
Chip *chip_new(const char *name);
Chip *chip_new_blank(const char *name);
void chip_free(Chip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chip, chip_free)

/* The chip's random source; @opaque is the Chip. */
void chip_random(void *opaque, void *dst, size_t len);
uint8_t *chip_at(Chip *chip, uint64_t paddr);
void chip_fill(Chip *chip, uint64_t paddr, size_t len);     /* random */

/* INIT; flags as in PspInit.  With $PSP_TEST_SILICON it behaves as silicon. */
void chip_init(Chip *chip, uint32_t flags);
/* Before INIT: behave as silicon. */
void chip_set_silicon(Chip *chip);
/*
 * PDH to AT_PDH, chain to AT_PLAT, ASK and ARK to AT_AMD; what silicon does
 * not export comes from where an operator has it from.
 */
void chip_export(Chip *chip);
/* The same, of what the chip exports alone; returns the length of ASK and ARK. */
size_t chip_export_bare(Chip *chip);
/* The certificates of @from as chain; valid until @from exports again. */
PspChain chip_chain(Chip *from);
/* Let SEND_START of @chip accept the root of @other. */
void chip_trust(Chip *chip, Chip *other);

PspStatus chip_simple(Chip *chip, PspCommand cmd);      /* just a handle */
PspStatus chip_activate(Chip *chip, uint32_t asid);
/* LAUNCH_START without owner and ACTIVATE */
void chip_launch(Chip *chip, uint32_t policy, uint32_t asid);
/* LAUNCH_START with a session that carries @keys; after chip_export() */
PspStatus chip_launch_owned(Chip *chip, uint32_t policy,
                            const PspTransportKeys *keys);
/* A packet of @type for the guest, header at AT_HDR, data at AT_TRANS */
void chip_seal(Chip *chip, const PspTransportKeys *keys, PspPacketType type,
               const PspMeasure *measure, const void *plain, uint32_t len);
/* ... and UPDATE_DATA of @len bytes at AT_PAGE, MEASURE, FINISH */
void chip_run(Chip *chip, uint32_t policy, uint32_t asid, size_t len);
PspStatus chip_update(Chip *chip, PspCommand cmd, uint64_t paddr,
                      uint32_t len);
PspStatus chip_measure(Chip *chip, PspMeasure *out);
PspStatus chip_send_start(Chip *chip, Chip *target, PspSession *session);
/* RECEIVE_START with what @source exported */
PspStatus chip_receive_start(Chip *chip, Chip *source, uint32_t policy,
                             const PspSession *session);
/* Packet commands: header at AT_HDR, data at AT_TRANS. */
PspStatus chip_packet(Chip *chip, PspCommand cmd, uint64_t paddr,
                      uint32_t len);
PspGuestState chip_guest_state(Chip *chip);
PspPlatformStatus chip_status(Chip *chip);
PspStatus chip_debug(Chip *chip, PspCommand cmd, uint64_t src, uint64_t dst,
                     uint32_t len);

/* The buffer that makes @cmd work on the guest, if anything can. */
typedef union ChipBuffer {
    PspInit init;
    PspPekCsr csr;
    PspPekCertImport import;
    PspPdhCertExport export;
    PspGetId get_id;
    PspLaunchStart start;
    PspLaunchUpdate update;
    PspLaunchMeasure measure;
    PspPacketCmd packet;
    PspHandleCmd handle;
    PspAttestation attestation;
    PspActivate activate;
    PspActivateEx activate_ex;
    PspGuestStatus guest_status;
    PspSendStart send_start;
    PspDebug debug;
    PspCopy copy;
    uint8_t bytes[80];
} ChipBuffer;

/* A whole transfer up to the first packet: both ends in *UPDATE, active. */
void chip_connect(Chip *source, Chip *target);

#define chip_ok(call) g_assert_cmpstr(psp_status_name(call), ==, "SUCCESS")
#define chip_is(call, name) \
    g_assert_cmpstr(psp_status_name(call), ==, #name)

/* "0a1b..." to bytes; the length must fit exactly. */
void hex_to(uint8_t *out, size_t len, const char *hex);
void assert_hex(const void *data, size_t len, const char *hex);

#endif /* TEST_PSP_CHIP_H */
