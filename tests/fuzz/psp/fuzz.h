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

/* Called first, by targets that have something to set up. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t most);

#endif /* TEST_PSP_FUZZ_H */
