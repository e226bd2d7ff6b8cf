/*
 * What both ends of a move have seen, as one digest.
 *
 * The main channel's part is kept by wire/digest.c; a channel's part belongs to its
 * thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "crypto/hash.h"
#include "digest.h"
#include "transcript.h"

/* So that no digest of this kind is one of another. */
#define LABEL "SEV hand-over 1"
#define CHANNELS (UINT8_MAX + 1)

/* A PAGES record without the data of its packets. */
#define FIXED_LEN (SEV_RECORD_HEADER_LEN + SEV_RECORD_PAGES_HEAD)
#define ENTRY_LEN (SEV_RECORD_PAGE_LEN - SEV_RECORD_PACKET_DATA)
#define REDUCED_MAX (FIXED_LEN + SEV_RECORD_PAGES_MAX * ENTRY_LEN)

QEMU_BUILD_BUG_ON(SEV_TAP_DIGEST_LEN != SEV_RECORD_DIGEST_LEN);

static struct {
    bool begun;
    QCryptoHash *channel[CHANNELS];     /* NULL: it had no PAGES record yet */
} transcript;

bool sev_transcript_begin(Error **errp)
{
    sev_transcript_drop();
    if (!sev_tap_begin(errp)) {
        return false;
    }
    sev_tap_add(LABEL, strlen(LABEL));
    transcript.begun = true;
    return true;
}

void sev_transcript_drop(void)
{
    if (transcript.begun) {
        sev_tap_drop();
    }
    transcript.begun = false;
    for (int i = 0; i < CHANNELS; i++) {
        g_clear_pointer(&transcript.channel[i], qcrypto_hash_free);
    }
}

static size_t reduce(const uint8_t *record, uint8_t out[REDUCED_MAX])
{
    uint64_t count = ldq_be_p(record + FIXED_LEN - 8);

    assert(count <= SEV_RECORD_PAGES_MAX);      /* it was checked, or made */
    memcpy(out, record, FIXED_LEN);
    for (uint64_t i = 0; i < count; i++) {
        memcpy(out + FIXED_LEN + i * ENTRY_LEN,
               record + FIXED_LEN + i * SEV_RECORD_PAGE_LEN, ENTRY_LEN);
    }
    return FIXED_LEN + count * ENTRY_LEN;
}

void sev_transcript_pages(const uint8_t *record)
{
    uint8_t bytes[REDUCED_MAX];

    if (transcript.begun) {
        sev_tap_add(bytes, reduce(record, bytes));
    }
}

void sev_transcript_channel(uint8_t id, const uint8_t *record)
{
    QCryptoHash **hash = &transcript.channel[id];
    uint8_t bytes[REDUCED_MAX];

    if (!transcript.begun) {
        return;
    }
    if (!*hash) {
        *hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, &error_abort);
    }
    qcrypto_hash_update(*hash, (const char *)bytes, reduce(record, bytes),
                        &error_abort);
}

void sev_transcript_follow(QEMUFile *f, bool is_input)
{
    if (transcript.begun) {
        sev_tap_follow(f, is_input);
    }
}

static void finalize(QCryptoHash *hash, uint8_t digest[SEV_RECORD_DIGEST_LEN])
{
    size_t len = SEV_RECORD_DIGEST_LEN;

    qcrypto_hash_finalize_bytes(hash, &digest, &len, &error_abort);
}

bool sev_transcript_end(QEMUFile *f, uint8_t digest[SEV_RECORD_DIGEST_LEN])
{
    g_autoptr(QCryptoHash) all = NULL;
    uint8_t part[SEV_RECORD_DIGEST_LEN];

    if (!transcript.begun || !sev_tap_end(f, part)) {
        return false;
    }
    all = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, &error_abort);
    qcrypto_hash_update(all, (const char *)part, sizeof(part), &error_abort);
    for (int i = 0; i < CHANNELS; i++) {
        uint8_t id = i;

        if (transcript.channel[i]) {
            finalize(transcript.channel[i], part);
            qcrypto_hash_update(all, (const char *)&id, 1, &error_abort);
            qcrypto_hash_update(all, (const char *)part, sizeof(part),
                                &error_abort);
        }
    }
    finalize(all, digest);
    sev_transcript_drop();
    return true;
}
