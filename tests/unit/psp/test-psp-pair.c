/*
 * Two chips in one process: what one sends the other receives, and nothing
 * else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"

#define PAGES 4
#define LEN (PAGES * PSP_PAGE_SIZE)

static void test_transfer(void)
{
    g_autoptr(Chip) a = chip_new("source");
    g_autoptr(Chip) b = chip_new("target");
    uint8_t plain[LEN];

    chip_init(a, 0);
    chip_init(b, 0);
    chip_fill(a, AT_PAGE, LEN);
    memcpy(plain, chip_at(a, AT_PAGE), LEN);
    chip_run(a, 0, 1, LEN);
    chip_connect(a, b);
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t paddr = AT_PAGE + i * PSP_PAGE_SIZE;

        chip_ok(chip_packet(a, PSP_CMD_SEND_UPDATE_DATA, paddr,
                            PSP_PAGE_SIZE));
        memcpy(chip_at(b, AT_HDR), chip_at(a, AT_HDR), 0x2000);
        chip_ok(chip_packet(b, PSP_CMD_RECEIVE_UPDATE_DATA, paddr,
                            PSP_PAGE_SIZE));
    }
    chip_ok(chip_simple(a, PSP_CMD_SEND_FINISH));
    chip_ok(chip_simple(b, PSP_CMD_RECEIVE_FINISH));
    g_assert_cmpint(chip_guest_state(a), ==, PSP_GUEST_SENT);
    g_assert_cmpint(chip_guest_state(b), ==, PSP_GUEST_RUNNING);
    g_assert_true(memcmp(chip_at(a, AT_PAGE), chip_at(b, AT_PAGE), LEN) != 0);
    chip_ok(chip_debug(b, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_PAGE + LEN, LEN));
    g_assert_cmpmem(chip_at(b, AT_PAGE + LEN), LEN, plain, LEN);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/psp/pair/transfer", test_transfer);
    return g_test_run();
}
