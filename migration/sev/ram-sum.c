/*
 * A sum of all pages that upstream's "ram" section carried, while they move.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "crypto/hash.h"
#include "migration/sev/wire/record.h"
#include "ram-sum.h"

#define PAGE_LEN SEV_RECORD_PACKET_DATA
#define CHUNK_PAGES 512
#define CHUNK_LEN (CHUNK_PAGES * PAGE_LEN)
#define LABEL "SEV lane RAM 1"

typedef uint8_t Sum[SEV_RAM_SUM_LEN];

typedef struct Chunk {
    uint8_t carried[CHUNK_PAGES / 8];   /* by "ram", last; a bit a page */
    uint8_t filled[CHUNK_PAGES / 8];    /* ... and it is not all zeros */
    uint8_t sealed[CHUNK_PAGES / 8];    /* since they were forgotten */
    Sum *sums;                          /* of those; NULL: there were none yet */
    Sum digest;
    bool stale;                         /* the digest is */
} Chunk;

typedef struct Block {
    RAMBlock *rb;
    uint64_t length;
    size_t n_chunks;
    Chunk *chunks;
    unsigned long *arrived;     /* on other channels, a bit a page; NULL: none can */
} Block;

struct SevRamSum {
    GArray *blocks;             /* of Block */
    bool channels;
};

SevRamSum *sev_ram_sum_new(bool channels)
{
    SevRamSum *s = g_new0(SevRamSum, 1);

    s->channels = channels;

    s->blocks = g_array_new(false, false, sizeof(Block));
    return s;
}

void sev_ram_sum_free(SevRamSum *s)
{
    for (guint n = 0; s && n < s->blocks->len; n++) {
        Block *b = &g_array_index(s->blocks, Block, n);

        for (size_t i = 0; i < b->n_chunks; i++) {
            g_free(b->chunks[i].sums);
        }
        g_free(b->chunks);
        g_free(b->arrived);
    }
    if (s) {
        g_array_unref(s->blocks);
        g_free(s);
    }
}

void sev_ram_sum_add_block(SevRamSum *s, RAMBlock *rb)
{
    Block b = {
        .rb = rb,
        .length = rb->used_length,
        .n_chunks = DIV_ROUND_UP(rb->used_length, CHUNK_LEN),
    };

    b.chunks = g_new0(Chunk, b.n_chunks);
    if (s->channels) {
        b.arrived = bitmap_new(b.length / PAGE_LEN);
    }
    g_array_append_val(s->blocks, b);
}

/* --- Pages ------------------------------------------------------------------ */

static bool get_bit(const uint8_t *bits, unsigned n)
{
    return bits[n / 8] & 1 << n % 8;
}

static void put_bit(uint8_t *bits, unsigned n, bool value)
{
    bits[n / 8] = (bits[n / 8] & ~(1 << n % 8)) | value << n % 8;
}

/* The chunk of a page, whose number in it is *@n; NULL: there is no such page */
static Chunk *find(SevRamSum *s, unsigned number, ram_addr_t offset,
                   unsigned *n, Block **block)
{
    Block *b = number < s->blocks->len ? &g_array_index(s->blocks, Block,
                                                        number) : NULL;

    if (!b || offset >= b->length) {
        return NULL;
    }
    *n = offset % CHUNK_LEN / PAGE_LEN;
    *block = b;
    return &b->chunks[offset / CHUNK_LEN];
}

static void sum_bytes(const void *bytes, size_t len, Sum out)
{
    uint8_t *to = out;
    size_t out_len = sizeof(Sum);

    qcrypto_hash_bytes(QCRYPTO_HASH_ALGO_SHA256, bytes, len, &to, &out_len,
                       &error_abort);
}

void sev_ram_sum_page(SevRamSum *s, unsigned number, ram_addr_t offset)
{
    Block *b;
    unsigned n;
    Chunk *c = find(s, number, offset, &n, &b);
    const uint8_t *page;
    bool filled;

    if (!c) {
        return;
    }
    page = b->rb->host + offset;
    filled = !buffer_is_zero(page, PAGE_LEN);
    put_bit(c->carried, n, true);
    put_bit(c->filled, n, filled);
    c->stale = true;
    if (filled) {
        c->sums = c->sums ?: g_new(Sum, CHUNK_PAGES);
        sum_bytes(page, PAGE_LEN, c->sums[n]);
    }
}

void sev_ram_sum_sealed(SevRamSum *s, unsigned number, ram_addr_t offset)
{
    Block *b;
    unsigned n;
    Chunk *c = find(s, number, offset, &n, &b);

    if (c) {
        put_bit(c->sealed, n, true);
    }
    if (c && get_bit(c->carried, n)) {
        put_bit(c->carried, n, false);
        put_bit(c->filled, n, false);
        c->stale = true;
    }
}

bool sev_ram_sum_was_sealed(SevRamSum *s, unsigned number, ram_addr_t offset)
{
    Block *b;
    unsigned n;
    Chunk *c = find(s, number, offset, &n, &b);

    return c && get_bit(c->sealed, n);
}

void sev_ram_sum_forget_sealed(SevRamSum *s)
{
    for (guint n = 0; n < s->blocks->len; n++) {
        Block *b = &g_array_index(s->blocks, Block, n);

        for (size_t i = 0; i < b->n_chunks; i++) {
            memset(b->chunks[i].sealed, 0, sizeof(b->chunks[i].sealed));
        }
    }
}

static Block *of_rb(SevRamSum *s, RAMBlock *rb)
{
    for (guint n = 0; n < s->blocks->len; n++) {
        Block *b = &g_array_index(s->blocks, Block, n);

        if (b->rb == rb) {
            return b;
        }
    }
    return NULL;
}

bool sev_ram_sum_has(SevRamSum *s, RAMBlock *rb, ram_addr_t offset)
{
    Block *b = s ? of_rb(s, rb) : NULL;

    return b && b->arrived && offset / PAGE_LEN < b->length / PAGE_LEN;
}

void sev_ram_sum_arrived(SevRamSum *s, RAMBlock *rb, ram_addr_t offset)
{
    set_bit_atomic(offset / PAGE_LEN, of_rb(s, rb)->arrived);
}

static void collect(SevRamSum *s, unsigned number, unsigned long *map,
                    unsigned long pages)
{
    for (unsigned long page = find_first_bit(map, pages); page < pages;
         page = find_next_bit(map, pages, page + 1)) {
        /* First: a page that comes again meanwhile counts again. */
        clear_bit_atomic(page, map);
        sev_ram_sum_page(s, number, (ram_addr_t)page * PAGE_LEN);
    }
}

void sev_ram_sum_received(SevRamSum *s)
{
    for (guint i = 0; i < s->blocks->len; i++) {
        Block *b = &g_array_index(s->blocks, Block, i);
        unsigned long pages = b->length / PAGE_LEN;

        if (b->rb->receivedmap) {
            collect(s, i, b->rb->receivedmap, pages);
        }
        if (b->arrived) {
            collect(s, i, b->arrived, pages);
        }
    }
}

/* --- Chunks ----------------------------------------------------------------- */

static void add(QCryptoHash *hash, const void *bytes, size_t len)
{
    qcrypto_hash_update(hash, bytes, len, &error_abort);
}

static void finish(QCryptoHash *hash, Sum out)
{
    uint8_t *to = out;
    size_t len = sizeof(Sum);

    qcrypto_hash_finalize_bytes(hash, &to, &len, &error_abort);
    qcrypto_hash_free(hash);
}

static QCryptoHash *begin(void)
{
    return qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, &error_abort);
}

static void settle_chunk(Chunk *c, uint64_t block, uint64_t offset)
{
    QCryptoHash *hash = begin();
    uint8_t place[16];

    stq_be_p(place, block);
    stq_be_p(place + 8, offset);
    add(hash, place, sizeof(place));
    add(hash, c->carried, sizeof(c->carried));
    add(hash, c->filled, sizeof(c->filled));
    for (unsigned n = 0; c->sums && n < CHUNK_PAGES; n++) {
        if (get_bit(c->filled, n)) {
            add(hash, c->sums[n], sizeof(Sum));
        }
    }
    finish(hash, c->digest);
    c->stale = false;
}

void sev_ram_sum_settle(SevRamSum *s)
{
    for (guint n = 0; n < s->blocks->len; n++) {
        Block *b = &g_array_index(s->blocks, Block, n);

        for (size_t i = 0; i < b->n_chunks; i++) {
            if (b->chunks[i].stale) {
                settle_chunk(&b->chunks[i], n, i * CHUNK_LEN);
            }
        }
    }
}

void sev_ram_sum_end(SevRamSum *s, uint8_t out[SEV_RAM_SUM_LEN])
{
    QCryptoHash *hash = begin();

    sev_ram_sum_settle(s);
    add(hash, LABEL, strlen(LABEL));
    for (guint n = 0; n < s->blocks->len; n++) {
        Block *b = &g_array_index(s->blocks, Block, n);

        for (size_t i = 0; i < b->n_chunks; i++) {
            const Chunk *c = &b->chunks[i];

            if (!buffer_is_zero(c->carried, sizeof(c->carried))) {
                add(hash, c->digest, sizeof(Sum));
            }
        }
    }
    finish(hash, out);
}
