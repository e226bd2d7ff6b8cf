/*
 * The launch measurement: what a guest owner checks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "measure.h"

void psp_measure(const PspHmac *tik, const PspMeasureInput *in,
                 uint8_t measure[PSP_SHA256_LEN])
{
    const uint8_t head[4] = { 0x04, in->api_major, in->api_minor, in->build };
    uint32_t policy = GUINT32_TO_LE(in->policy);
    PspHmac hmac = *tik;

    psp_hmac_update(&hmac, head, sizeof(head));
    psp_hmac_update(&hmac, &policy, sizeof(policy));
    psp_hmac_update(&hmac, in->digest, sizeof(in->digest));
    psp_hmac_update(&hmac, in->mnonce, sizeof(in->mnonce));
    psp_hmac_final(&hmac, measure);
    psp_wipe(&hmac, sizeof(hmac));
}
