/*
 * What the lane adds to a guest's launch digest: its file, in whole pages, and
 * its page tables, as QEMU launches them (lane/abi.h, "THE MEASUREMENT").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "lane/tables.h"
#include "measure-lane.h"
#include "tool.h"

bool tool_digest_lane(PspSha256 *sha, const char *path, int cbitpos,
                      GError **error)
{
    static const uint8_t zeros[LANE_PAGE];
    uint64_t tables[LANE_TABLES_PAGES * LANE_PAGE / sizeof(uint64_t)];
    LaneTables how = { .cbit = 1ULL << cbitpos };
    g_autofree uint8_t *data = NULL;
    size_t len;

    if (!tool_read(path, &data, &len, error)) {
        return false;
    }
    if (!len || len > LANE_IMAGE_MAX) {
        g_set_error(error, TOOL_ERROR, TOOL_FAILED,
                    "'%s' has %zu bytes, a lane has 1 to %d", path, len,
                    (int)LANE_IMAGE_MAX);
        return false;
    }
    psp_sha256_update(sha, data, len);
    psp_sha256_update(sha, zeros, (LANE_PAGE - len % LANE_PAGE) % LANE_PAGE);
    lane_tables(tables, &how);
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        tables[i] = GUINT64_TO_LE(tables[i]);
    }
    psp_sha256_update(sha, tables, sizeof(tables));
    return true;
}
