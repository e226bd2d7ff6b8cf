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
    PSP_PACKET_VMSA = 0x02,     /* the API's value is not public: a choice */
} PspPacketType;

/* TEK and TIK, scheduled once per session: a secret. */
typedef struct PspTransport {
    PspCtr tek;
    PspHmac tik;
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

#endif /* PSP_PACKET_H */
