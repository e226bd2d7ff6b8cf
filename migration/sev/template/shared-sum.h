/*
 * A sum of the pages of a template that are neither private nor zero.
 *
 * They are plain bytes without a MAC.  The sum finds damage, not forgery: it
 * has no key.  It is that of the CRC-32s (zlib's) of all such pages, each
 * over the number of its block and its offset, 64 bits big-endian, and its
 * bytes; so it does not depend on their order.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_SHARED_SUM_H
#define MIGRATION_SEV_TEMPLATE_SHARED_SUM_H

#include "exec/ramblock.h"

typedef struct SevSharedSum {
    uint64_t pages, sum;
    GChecksum *hash;            /* of the same, in their order; NULL: none */
} SevSharedSum;

/* The page at @offset of block number @block, unless it is zero. */
void sev_shared_sum_page(SevSharedSum *s, uint64_t block, uint64_t offset,
                         const uint8_t *bytes);

/*
 * The pages of [@offset, @offset + @length), whole ones, of a block that
 * begins at @start of @fd's file.  Holes are not read.  False, errno set: the
 * file cannot be read, or ends before.
 */
bool sev_shared_sum_file(SevSharedSum *s, uint64_t block, int fd,
                         uint64_t start, uint64_t offset, uint64_t length);

/*
 * The pages of @rb that are not private: from a file as above, or from RAM when
 * @fd is -1.
 */
bool sev_shared_sum_block(SevSharedSum *s, uint64_t block, RAMBlock *rb,
                          int fd, uint64_t start);

#endif /* MIGRATION_SEV_TEMPLATE_SHARED_SUM_H */
