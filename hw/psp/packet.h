/*
 * A page as a packet: transport ciphertext, IV and MAC; sealed and opened.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_PACKET_H
#define PSP_PACKET_H

#include "crypto.h"
#include "psp-abi.h"
#include "session.h"

/* The first byte that every packet MAC covers. */
typedef enum PspPacketType {
    PSP_PACKET_SECRET = 0x01,
    PSP_PACKET_DATA = 0x02,
    /*
     * The public documents do not say it.  Not that of a page, so that no page
     * of the host's choice is taken for a vCPU's state.
     */
    PSP_PACKET_VMSA = 0x03,
} PspPacketType;

/* TEK and TIK as the multi-buffer library wants them */
typedef struct PspWideKeys {
    uint8_t tek[11 * 16];               /* round keys */
    uint8_t inner[PSP_SHA256_LEN];      /* SHA-256 state after TIK ^ ipad */
    uint8_t outer[PSP_SHA256_LEN];      /* ... and TIK ^ opad */
} __attribute__((aligned(16))) PspWideKeys;

/* TEK and TIK, scheduled once per session: a secret. */
typedef struct PspTransport {
    PspCtr tek;
    PspHmac tik;
    PspWideKeys wide;
} PspTransport;

void psp_transport_init(PspTransport *t, const PspTransportKeys *keys);

/*
 * Encrypt @plain into @data and complete @hdr, whose IV is an input.
 * @measure: the launch measurement for PSP_PACKET_SECRET, else NULL.
 */
void psp_packet_seal(const PspTransport *t, PspPacketType type,
                     const uint8_t *measure, PspPacketHeader *hdr,
                     const void *plain, void *data, size_t len);

/* False, and @plain untouched, when the MAC does not match. */
bool psp_packet_open(const PspTransport *t, PspPacketType type,
                     const uint8_t *measure, const PspPacketHeader *hdr,
                     const void *data, void *plain, size_t len);

/* --- Many at once --------------------------------------------------------- */

/* Bytes before a job's data that belong to the job too */
#define PSP_PACKET_ROOM 64

/* One packet, worked on in place */
typedef struct PspPacketJob {
    uint8_t *data;              /* PSP_PACKET_ROOM more before, 64-aligned */
    uint32_t len;               /* a multiple of 16 */
    bool authentic;             /* out, when opening */
    PspPacketHeader hdr;        /* sealing: the IV is an input */
} PspPacketJob;

/*
 * At most PSP_BATCH_MAX jobs.  The bytes are those of psp_packet_seal() and
 * psp_packet_open().
 */
void psp_packet_seal_many(const PspTransport *t, PspPacketType type,
                          PspPacketJob *jobs, size_t n);
/* The data of a job that is not authentic is left alone. */
void psp_packet_open_many(const PspTransport *t, PspPacketType type,
                          PspPacketJob *jobs, size_t n);

/*
 * For tests and benchmarks: what psp_packet_provider() answers from now on.
 * False when there is no such provider here.
 */
bool psp_packet_set_provider(const char *name);

/* The first 29 bytes of a MAC's input */
#define PSP_PACKET_MAC_HEAD 29
void psp_packet_mac_head(PspPacketType type, const PspPacketHeader *hdr,
                         size_t len, uint8_t head[PSP_PACKET_MAC_HEAD]);

/* packet-ipsec-mb.c, or packet-ipsec-mb-stub.c where the library is missing */
bool psp_wide_available(void);
void psp_wide_schedule(PspWideKeys *wide, const PspTransportKeys *keys);
/* Counter mode, in place, of every job that is @authentic or all */
void psp_wide_crypt(const PspTransport *t, PspPacketJob *jobs, size_t n,
                    bool authentic_only);
/* The MAC of every job */
void psp_wide_mac(const PspTransport *t, PspPacketType type,
                  PspPacketJob *jobs, size_t n,
                  uint8_t (*macs)[PSP_SHA256_LEN]);

#endif /* PSP_PACKET_H */
