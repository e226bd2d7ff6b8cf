/*
 * What a fuzz target is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TEST_PSP_FUZZ_H
#define TEST_PSP_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif /* TEST_PSP_FUZZ_H */
