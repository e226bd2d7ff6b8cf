/*
 * What the lane adds to a guest's launch digest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_SEV_PSP_MEASURE_LANE_H
#define TOOLS_SEV_PSP_MEASURE_LANE_H

#include "hw/psp/crypto.h"

/*
 * Add the lane of file @path to @sha, on a host whose C-bit is number @cbitpos,
 * 32 to 62.
 */
bool tool_digest_lane(PspSha256 *sha, const char *path, int cbitpos,
                      GError **error);

#endif
