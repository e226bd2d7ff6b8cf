/*
 * The launch measurement: what a guest owner checks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_MEASURE_H
#define PSP_MEASURE_H

#include "crypto.h"
#include "psp-abi.h"

/* What a measurement says, besides the key. */
typedef struct PspMeasureInput {
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t build;
    uint32_t policy;
    uint8_t digest[PSP_SHA256_LEN];     /* of everything launched */
    uint8_t mnonce[16];
} PspMeasureInput;

/* @tik is a keyed HMAC; it is not changed. */
void psp_measure(const PspHmac *tik, const PspMeasureInput *in,
                 uint8_t measure[PSP_SHA256_LEN]);

#endif /* PSP_MEASURE_H */
