/*
 * Wiping, comparing, and the cursor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util.h"

#include <string.h>

void psp_wipe(void *secret, size_t len)
{
    if (len) {
        memset(secret, 0, len);
        __asm__ volatile("" : : "r"(secret) : "memory");
    }
}

bool psp_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a;  /* volatile: no early end of the loop */
    const volatile uint8_t *y = b;  /* volatile: as x */
    uint8_t diff = 0;

    for (size_t i = 0; i < len; i++) {
        diff |= x[i] ^ y[i];
    }
    return diff == 0;
}

bool psp_is_zero(const void *data, size_t len)
{
    const volatile uint8_t *x = data;   /* volatile: no early end */
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++) {
        any |= x[i];
    }
    return any == 0;
}

void psp_reverse(void *dst, const void *src, size_t len)
{
    const uint8_t *from = src;
    uint8_t *to = dst;

    for (size_t i = 0; i < len; i++) {
        to[i] = from[len - 1 - i];
    }
}

/* The length sits in front, so that one pointer is enough to free. */
typedef struct PspSecret {
    size_t len;
    uint8_t *data;
} PspSecret;

static void psp_secret_free(gpointer opaque)
{
    PspSecret *secret = opaque;

    psp_wipe(secret->data, secret->len);
    g_free(secret->data);
    g_free(secret);
}

GBytes *psp_secret_bytes(void *data, size_t len)
{
    PspSecret *secret = g_new(PspSecret, 1);

    secret->len = len;
    secret->data = data;
    return g_bytes_new_with_free_func(data, len, psp_secret_free, secret);
}

void psp_reader_init(PspReader *r, const void *data, size_t len)
{
    r->pos = data;
    r->left = len;
    r->failed = false;
}

const uint8_t *psp_read_bytes(PspReader *r, size_t len)
{
    const uint8_t *start = r->pos;

    if (r->failed || len > r->left) {
        r->failed = true;
        return NULL;
    }
    r->pos += len;
    r->left -= len;
    return start;
}

uint16_t psp_read_u16(PspReader *r)
{
    const uint8_t *p = psp_read_bytes(r, 2);

    return p ? p[0] | p[1] << 8 : 0;
}

uint32_t psp_read_u32(PspReader *r)
{
    uint32_t low = psp_read_u16(r);

    return low | (uint32_t)psp_read_u16(r) << 16;
}

void psp_writer_init(PspWriter *w, void *buf, size_t cap)
{
    w->buf = buf;
    w->len = 0;
    w->cap = cap;
    w->failed = false;
}

void psp_write_bytes(PspWriter *w, const void *src, size_t len)
{
    if (w->failed || len > w->cap - w->len) {
        w->failed = true;
        return;
    }
    memcpy(w->buf + w->len, src, len);
    w->len += len;
}

void psp_write_u16(PspWriter *w, uint16_t v)
{
    v = GUINT16_TO_LE(v);
    psp_write_bytes(w, &v, sizeof(v));
}

void psp_write_u32(PspWriter *w, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    psp_write_bytes(w, &v, sizeof(v));
}
