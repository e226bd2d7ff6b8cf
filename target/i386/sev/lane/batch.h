/*
 * What stands in the place of a packet's header, before a page that was sealed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_LANE_BATCH_H
#define TARGET_I386_SEV_LANE_BATCH_H

#include "lane/abi.h"

/* SEV_PACKET_HDR_LEN bytes. */
void sev_lane_put_header(uint8_t *hdr, const LaneJob *job);

/* False: it is none.  Block and offset of @job stay what they are. */
bool sev_lane_get_header(LaneJob *job, const uint8_t *hdr);

#endif /* TARGET_I386_SEV_LANE_BATCH_H */
