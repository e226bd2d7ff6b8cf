/*
 * The whole library in a program without anything of QEMU: that this links is
 * the test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>

#include "hw/psp/psp.h"

int main(void)
{
    printf("1..1\n%sok 1 - the library links without QEMU\n",
           psp_command_name(PSP_CMD_INIT) ? "" : "not ");
    return 0;
}
