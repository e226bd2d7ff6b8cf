/*
 * What lies below and beside migration/sev when a stream is fuzzed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_SEV_LOAD_MODEL_H
#define TESTS_FUZZ_SEV_LOAD_MODEL_H

#include "exec/ramblock.h"
#include "migration/qemu-file.h"
#include "migration/sev/params.h"
#include "migration/sev/order.h"

#define MODEL_PAGE 4096
#define MODEL_BLOCKS 2          /* that are migrated; a third is not */
#define MODEL_FILE_BLOCK 1      /* backed by a file */
/* This platform's fingerprint. */
#define MODEL_FINGERPRINT \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A fresh guest and a secure processor without one. */
void model_reset(void);
RAMBlock *model_block(int i);
void model_set_private(int i, size_t page);

/* How this guest opens a template's pages. */
extern bool model_first_touch;
extern SevTemplateOpen model_open;

/* A file with these bytes; written to, it grows. */
QEMUFile *model_file(const uint8_t *data, size_t size);
/* ... and what is in it then. */
GByteArray *model_file_free(QEMUFile *f);

/* What must hold after a load that ended with @ok. */
void model_check(bool ok, const SevTarget *t);

#endif /* TESTS_FUZZ_SEV_LOAD_MODEL_H */
