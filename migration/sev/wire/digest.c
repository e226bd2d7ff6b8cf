/*
 * A digest of everything that passes a QEMUFile, in order.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "crypto/hash.h"
#include "migration/qemu-file.h"
#include "digest.h"

QEMUFile *sev_tap_file;

static struct {
    QCryptoHash *hash;
    bool is_input;
    const uint8_t *from;        /* in the buffer of an input: not added yet */
} tap;

bool sev_tap_begin(Error **errp)
{
    sev_tap_drop();
    tap.hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, errp);
    return tap.hash;
}

void sev_tap_drop(void)
{
    sev_tap_file = NULL;
    g_clear_pointer(&tap.hash, qcrypto_hash_free);
}

bool sev_tap_is_open(void)
{
    return tap.hash;
}

static void add(const void *bytes, size_t len)
{
    qcrypto_hash_update(tap.hash, bytes, len, &error_abort);
}

void sev_tap_add(const void *bytes, size_t len)
{
    if (tap.hash && !sev_tap_file) {
        add(bytes, len);
    }
}

void sev_tap_follow(QEMUFile *f, bool is_input)
{
    if (!tap.hash || sev_tap_file) {
        return;
    }
    tap.is_input = is_input;
    if (is_input) {
        sev_tap_ahead(f, &tap.from);
    } else {
        qemu_fflush(f);
    }
    sev_tap_file = f;
}

/* All up to the present position of @f is in the hash then. */
static bool catch_up(QEMUFile *f)
{
    if (!tap.hash || f != sev_tap_file) {
        return false;
    }
    if (tap.is_input) {
        const uint8_t *at;

        /* Not by a peek: the other end may wait for us now. */
        sev_tap_ahead(f, &at);
        add(tap.from, at - tap.from);
        tap.from = at;
    } else {
        qemu_fflush(f);
    }
    return true;
}

static void finalize(uint8_t digest[SEV_TAP_DIGEST_LEN])
{
    size_t len = SEV_TAP_DIGEST_LEN;

    qcrypto_hash_finalize_bytes(tap.hash, &digest, &len, &error_abort);
}

bool sev_tap_part(QEMUFile *f, uint8_t digest[SEV_TAP_DIGEST_LEN], Error **errp)
{
    QCryptoHash *next;

    if (!catch_up(f)) {
        error_setg(errp, "SEV: the stream of this guest has no digest");
        return false;
    }
    next = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, errp);
    if (!next) {
        return false;
    }
    finalize(digest);
    qcrypto_hash_free(tap.hash);
    tap.hash = next;
    add(digest, SEV_TAP_DIGEST_LEN);
    return true;
}

bool sev_tap_end(QEMUFile *f, uint8_t digest[SEV_TAP_DIGEST_LEN])
{
    if (!catch_up(f)) {
        return false;
    }
    finalize(digest);
    sev_tap_drop();
    return true;
}

void sev_tap_flushed(const struct iovec *iov, size_t n)
{
    for (size_t i = 0; !tap.is_input && i < n; i++) {
        add(iov[i].iov_base, iov[i].iov_len);
    }
}

void sev_tap_refilled(const uint8_t *consumed, const uint8_t *buf)
{
    if (tap.is_input) {
        add(tap.from, consumed - tap.from);
        tap.from = buf;
    }
}
