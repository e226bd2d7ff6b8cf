/*
 * The API's commands and states, typed from its tables and not from
 * commands.c: the tests' own idea of what is allowed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TEST_PSP_GRID_H
#define TEST_PSP_GRID_H

#include "hw/psp/psp-abi.h"

/*
 * Platform: U, I, W.  Guest: 1 LUPDATE, 2 LSECRET, 3 RUNNING, 4 SUPDATE,
 * 5 RUPDATE, 6 SENT; "" for a command without a guest; "new" for one that
 * makes a guest.  @to: guest state afterwards, '=' unchanged, '0' gone.
 */
typedef struct GridRow {
    PspCommand cmd;
    const char *name;
    unsigned size;
    const char *platform;
    const char *guest;
    char to;
} GridRow;

static const GridRow grid[] = {
    { 0x01, "INIT",                20, "U",   "",       '=' },
    { 0x02, "SHUTDOWN",             0, "UIW", "",       '=' },
    { 0x03, "PLATFORM_RESET",       0, "U",   "",       '=' },
    { 0x04, "PLATFORM_STATUS",     12, "UIW", "",       '=' },
    { 0x05, "PEK_GEN",              0, "I",   "",       '=' },
    { 0x06, "PEK_CSR",             12, "IW",  "",       '=' },
    { 0x07, "PEK_CERT_IMPORT",     28, "I",   "",       '=' },
    { 0x08, "PDH_CERT_EXPORT",     28, "IW",  "",       '=' },
    { 0x09, "PDH_GEN",              0, "IW",  "",       '=' },
    { 0x0a, "DF_FLUSH",             0, "IW",  "",       '=' },
    { 0x0b, "DOWNLOAD_FIRMWARE",   12, "U",   "",       '=' },
    { 0x0c, "GET_ID",              12, "UIW", "",       '=' },
    { 0x0d, "INIT_EX",             36, "U",   "",       '=' },
    { 0x0e, "NOP",                  0, "UIW", "",       '=' },
    { 0x20, "DECOMMISSION",         4, "W",   "123456", '0' },
    { 0x21, "ACTIVATE",             8, "W",   "12345",  '=' },
    { 0x22, "DEACTIVATE",           4, "W",   "123456", '=' },
    { 0x23, "GUEST_STATUS",        13, "W",   "123456", '=' },
    { 0x24, "COPY",                24, "W",   "12345",  '=' },
    { 0x25, "ACTIVATE_EX",         24, "W",   "12345",  '=' },
    { 0x30, "LAUNCH_START",        36, "IW",  "new",    '1' },
    { 0x31, "LAUNCH_UPDATE_DATA",  20, "W",   "1",      '=' },
    { 0x32, "LAUNCH_UPDATE_VMSA",  20, "W",   "1",      '=' },
    { 0x33, "LAUNCH_MEASURE",      20, "W",   "1",      '2' },
    { 0x34, "LAUNCH_SECRET",       52, "W",   "2",      '=' },
    { 0x35, "LAUNCH_FINISH",        4, "W",   "2",      '3' },
    { 0x36, "ATTESTATION",         36, "W",   "234",    '=' },
    { 0x40, "SEND_START",          68, "W",   "3",      '4' },
    { 0x41, "SEND_UPDATE_DATA",    52, "W",   "4",      '=' },
    { 0x42, "SEND_UPDATE_VMSA",    52, "W",   "4",      '=' },
    { 0x43, "SEND_FINISH",          4, "W",   "4",      '6' },
    { 0x44, "SEND_CANCEL",          4, "W",   "4",      '3' },
    { 0x50, "RECEIVE_START",       36, "IW",  "new",    '5' },
    { 0x51, "RECEIVE_UPDATE_DATA", 52, "W",   "5",      '=' },
    { 0x52, "RECEIVE_UPDATE_VMSA", 52, "W",   "5",      '=' },
    { 0x53, "RECEIVE_FINISH",       4, "W",   "5",      '3' },
    { 0x60, "DBG_DECRYPT",         28, "W",   "12345",  '=' },
    { 0x61, "DBG_ENCRYPT",         28, "W",   "12345",  '=' },
};

static inline const GridRow *grid_find(unsigned cmd)
{
    for (size_t i = 0; i < G_N_ELEMENTS(grid); i++) {
        if (grid[i].cmd == cmd) {
            return &grid[i];
        }
    }
    return NULL;
}

#endif /* TEST_PSP_GRID_H */
