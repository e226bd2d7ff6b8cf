/*
 * Any bytes as a record: refused in words, or decoded to what encodes to the
 * same bytes, with every span inside the input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/sev/wire/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const SevRecord *rec)
{
    uint64_t offset, length, sum = 0;

    for (size_t i = 0; rec->type == SEV_RECORD_PAGES &&
                       i < rec->u.pages.count; i++) {
        const uint8_t *packet = sev_record_page(&rec->u.pages, i, &offset);

        sum += packet[0] + packet[SEV_RECORD_PACKET_HDR +
                                  SEV_RECORD_PACKET_DATA - 1];
    }
    for (size_t i = 0; rec->type == SEV_RECORD_STATE &&
                       i < rec->u.state.count; i++) {
        sev_record_run(&rec->u.state, i, &offset, &length);
        sum += offset + length;
    }
    *(volatile uint64_t *)&sum;         /* so that the reads are made */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) again = g_byte_array_new();
    Error *err = NULL;
    SevRecord rec;

    if (!sev_record_decode(&rec, data, size, &err)) {
        g_assert_nonnull(err);
        error_free(err);
        return 0;
    }
    g_assert_null(err);
    touch(&rec);
    sev_record_encode(&rec, again);
    g_assert_cmpmem(again->data, again->len, data, size);
    return 0;
}
