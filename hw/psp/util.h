/*
 * Small things every file of the chip needs: byte order, wiping, comparing,
 * and a cursor that knows where its bytes end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_UTIL_H
#define PSP_UTIL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t psp_le32(uint32_t v)
{
    return GUINT32_FROM_LE(v);
}

static inline uint64_t psp_le64(uint64_t v)
{
    return GUINT64_FROM_LE(v);
}

/* Overwrite a secret; never optimised away. */
void psp_wipe(void *secret, size_t len);
/* Compare in a time that depends on @len alone. */
bool psp_equal(const void *a, const void *b, size_t len);
bool psp_is_zero(const void *data, size_t len);
/* Copy @len bytes in reverse order: big endian <-> little endian. */
void psp_reverse(void *dst, const void *src, size_t len);
/* Bytes that are wiped when the last reference goes. Takes over @data. */
GBytes *psp_secret_bytes(void *data, size_t len);

/* Thread-safe random source, as the host gives it. */
typedef struct PspRng {
    void (*fill)(void *opaque, void *dst, size_t len);
    void *opaque;
} PspRng;

static inline void psp_random(const PspRng *rng, void *dst, size_t len)
{
    rng->fill(rng->opaque, dst, len);
}

/*
 * Reads little-endian fields and never beyond the end: past it every read
 * returns zeros and @failed is set for good.
 */
typedef struct PspReader {
    const uint8_t *pos;
    size_t left;
    bool failed;
} PspReader;

void psp_reader_init(PspReader *r, const void *data, size_t len);
const uint8_t *psp_read_bytes(PspReader *r, size_t len);    /* or NULL */
uint16_t psp_read_u16(PspReader *r);
uint32_t psp_read_u32(PspReader *r);

/* The writing end; fails for good when @cap is not enough. */
typedef struct PspWriter {
    uint8_t *buf;
    size_t len;
    size_t cap;
    bool failed;
} PspWriter;

void psp_writer_init(PspWriter *w, void *buf, size_t cap);
void psp_write_bytes(PspWriter *w, const void *src, size_t len);
void psp_write_u16(PspWriter *w, uint16_t v);
void psp_write_u32(PspWriter *w, uint32_t v);

#endif /* PSP_UTIL_H */
