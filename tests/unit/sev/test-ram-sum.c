/*
 * The sum of what "ram" carried: what docs/interop/sev-record.rst says, computed
 * in another way; both ends get the same, and every change changes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "crypto/init.h"
#include "migration/sev/ram-sum.h"

#define PAGE 4096
#define PAGES 1100              /* three chunks, the last one is short */
#define CHUNK 512
#define SMALL 3

typedef uint8_t Digest[SEV_RAM_SUM_LEN];

static uint8_t ram[PAGES * PAGE], small[SMALL * PAGE];
static unsigned long received[BITS_TO_LONGS(PAGES)];
static RAMBlock blocks[] = {
    { .host = small, .used_length = sizeof(small) },
    { .host = ram, .used_length = sizeof(ram) },
};
static bool carried[PAGES];     /* of the second one */

static SevRamSum *fresh_of(bool channels)
{
    SevRamSum *s = sev_ram_sum_new(channels);

    sev_ram_sum_add_block(s, &blocks[0]);
    sev_ram_sum_add_block(s, &blocks[1]);
    return s;
}

static SevRamSum *fresh(void)
{
    return fresh_of(false);
}

static SevRamSum *setup(void)
{
    memset(ram, 0, sizeof(ram));
    memset(small, 0, sizeof(small));
    memset(carried, 0, sizeof(carried));
    memset(received, 0, sizeof(received));
    blocks[1].receivedmap = received;
    return fresh();
}

static void fill(size_t page)
{
    for (size_t i = 0; i < PAGE; i++) {
        ram[page * PAGE + i] = g_test_rand_int();
    }
}

static void carry(SevRamSum *s, size_t page)
{
    carried[page] = true;
    sev_ram_sum_page(s, 1, page * PAGE);
}

static void end(SevRamSum *s, Digest out)
{
    sev_ram_sum_end(s, out);
    sev_ram_sum_free(s);
}

/* --- The document's words, by another library ------------------------------- */

static void finish(GChecksum *sum, Digest out)
{
    gsize len = sizeof(Digest);

    g_checksum_get_digest(sum, out, &len);
    g_checksum_free(sum);
}

static bool chunk(size_t first, Digest out)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GByteArray) pages = g_byte_array_new();
    uint8_t head[16 + 64 + 64] = { 0 };
    bool any = false;

    stq_be_p(head, 1);
    stq_be_p(head + 8, first * PAGE);
    for (size_t i = 0; i < CHUNK && first + i < PAGES; i++) {
        const uint8_t *page = ram + (first + i) * PAGE;
        GChecksum *one = g_checksum_new(G_CHECKSUM_SHA256);
        bool filled = false;
        Digest digest;

        for (size_t n = 0; n < PAGE; n++) {
            filled = filled || page[n];
        }
        g_checksum_update(one, page, PAGE);
        finish(one, digest);
        if (carried[first + i]) {
            any = true;
            head[16 + i / 8] |= 1 << i % 8;
            head[80 + i / 8] |= filled << i % 8;
            if (filled) {
                g_byte_array_append(pages, digest, sizeof(digest));
            }
        }
    }
    g_checksum_update(sum, head, sizeof(head));
    g_checksum_update(sum, pages->data, pages->len);
    finish(sum, out);
    return any;
}

static void expected(Digest out)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    Digest digest;

    g_checksum_update(sum, (const uint8_t *)"SEV lane RAM 1", 14);
    for (size_t first = 0; first < PAGES; first += CHUNK) {
        if (chunk(first, digest)) {
            g_checksum_update(sum, digest, sizeof(digest));
        }
    }
    finish(sum, out);
}

static void test_document(void)
{
    SevRamSum *s = setup();
    Digest ours, theirs;

    for (int i = 0; i < 300; i++) {
        size_t page = g_test_rand_int_range(0, PAGES);

        if (i % 3) {
            fill(page);
        }
        carry(s, page);
        if (i % 7 == 0) {
            sev_ram_sum_settle(s);
        }
    }
    for (size_t page = 0; page < PAGES; page += 5) {
        carried[page] = false;
        sev_ram_sum_sealed(s, 1, page * PAGE);
    }
    end(s, ours);
    expected(theirs);
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
}

/* Nothing was carried. */
static void test_empty(void)
{
    SevRamSum *s = setup();
    Digest ours, theirs;

    sev_ram_sum_received(s);
    end(s, ours);
    expected(theirs);
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
}

/* --- Two ends ----------------------------------------------------------------- */

/* The target is told by upstream's map, in its order and not in the source's. */
static void test_received(void)
{
    SevRamSum *source = setup(), *target = fresh();
    Digest ours, theirs;

    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100; i++) {
            size_t page = g_test_rand_int_range(0, PAGES);

            fill(page);
            carry(source, page);
            set_bit(page, received);
        }
        sev_ram_sum_received(target);
        g_assert_true(bitmap_empty(received, PAGES));
        sev_ram_sum_settle(round % 2 ? source : target);
    }
    sev_ram_sum_sealed(source, 1, 7 * PAGE);
    sev_ram_sum_sealed(target, 1, 7 * PAGE);
    end(source, ours);
    end(target, theirs);
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
}

/* Some pages come on other channels, which do not mark them in upstream's map. */
static void test_arrived(void)
{
    SevRamSum *source = setup(), *target = fresh_of(true);
    Digest ours, theirs;

    for (int i = 0; i < 300; i++) {
        size_t page = g_test_rand_int_range(0, PAGES);

        fill(page);
        carry(source, page);
        if (page % 2) {
            set_bit(page, received);
        } else {
            g_assert_true(sev_ram_sum_has(target, &blocks[1], page * PAGE));
            sev_ram_sum_arrived(target, &blocks[1], page * PAGE);
        }
        if (i % 50 == 0) {
            sev_ram_sum_received(target);
        }
    }
    sev_ram_sum_received(target);
    end(source, ours);
    end(target, theirs);
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
}

static void test_has(void)
{
    static RAMBlock other = { .host = ram, .used_length = sizeof(ram) };
    SevRamSum *one = setup(), *many = fresh_of(true);

    g_assert_true(sev_ram_sum_has(many, &blocks[0], (SMALL - 1) * PAGE));
    g_assert_false(sev_ram_sum_has(many, &blocks[0], SMALL * PAGE));
    g_assert_false(sev_ram_sum_has(many, &other, 0));
    g_assert_false(sev_ram_sum_has(one, &blocks[0], 0));
    g_assert_false(sev_ram_sum_has(NULL, &blocks[0], 0));
    sev_ram_sum_free(one);
    sev_ram_sum_free(many);
}

static void test_was_sealed(void)
{
    SevRamSum *s = setup();

    sev_ram_sum_sealed(s, 1, 600 * PAGE);
    sev_ram_sum_page(s, 1, 600 * PAGE);
    g_assert_true(sev_ram_sum_was_sealed(s, 1, 600 * PAGE));
    g_assert_false(sev_ram_sum_was_sealed(s, 1, 601 * PAGE));
    g_assert_false(sev_ram_sum_was_sealed(s, 1, PAGES * PAGE));
    g_assert_false(sev_ram_sum_was_sealed(s, 7, 0));
    sev_ram_sum_forget_sealed(s);
    g_assert_false(sev_ram_sum_was_sealed(s, 1, 600 * PAGE));
    sev_ram_sum_free(s);
}

typedef void Change(SevRamSum *s);

static void one_bit(SevRamSum *s)
{
    ram[600 * PAGE + 77] ^= 4;
    carry(s, 600);
}

static void exchanged(SevRamSum *s)
{
    uint8_t page[PAGE];

    memcpy(page, ram + 600 * PAGE, PAGE);
    memcpy(ram + 600 * PAGE, ram + 601 * PAGE, PAGE);
    memcpy(ram + 601 * PAGE, page, PAGE);
    carry(s, 600);
    carry(s, 601);
}

/* A page of zeros over one that was sealed: its ciphertext is gone. */
static void zeros_over_sealed(SevRamSum *s)
{
    carry(s, 700);
}

static void sealed_over_shared(SevRamSum *s)
{
    sev_ram_sum_sealed(s, 1, 600 * PAGE);
}

static void emptied(SevRamSum *s)
{
    memset(ram + 600 * PAGE, 0, PAGE);
    carry(s, 600);
}

static void other_block(SevRamSum *s)
{
    sev_ram_sum_page(s, 0, PAGE);
}

static void test_changes(void)
{
    Change *const changes[] = {
        one_bit, exchanged, zeros_over_sealed, sealed_over_shared, emptied,
        other_block,
    };

    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        SevRamSum *source = setup(), *target = fresh();
        Digest ours, theirs;

        for (size_t page = 590; page < 610; page++) {
            fill(page);
            carry(source, page);
            carry(target, page);
        }
        changes[i](target);
        end(source, ours);
        end(target, theirs);
        g_assert_cmpint(memcmp(ours, theirs, sizeof(ours)), !=, 0);
    }
}

/* No byte of the stream becomes an index. */
static void test_nowhere(void)
{
    SevRamSum *s = setup();
    Digest ours, theirs;

    sev_ram_sum_page(s, 2, 0);
    sev_ram_sum_page(s, 1, sizeof(ram));
    sev_ram_sum_sealed(s, UINT_MAX, 0);
    sev_ram_sum_sealed(s, 1, UINT64_MAX - PAGE + 1);
    end(s, ours);
    expected(theirs);
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
    sev_ram_sum_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qcrypto_init(&error_abort);
    g_test_add_func("/sev/ram-sum/document", test_document);
    g_test_add_func("/sev/ram-sum/empty", test_empty);
    g_test_add_func("/sev/ram-sum/received", test_received);
    g_test_add_func("/sev/ram-sum/arrived", test_arrived);
    g_test_add_func("/sev/ram-sum/has", test_has);
    g_test_add_func("/sev/ram-sum/was-sealed", test_was_sealed);
    g_test_add_func("/sev/ram-sum/changes", test_changes);
    g_test_add_func("/sev/ram-sum/nowhere", test_nowhere);
    return g_test_run();
}
