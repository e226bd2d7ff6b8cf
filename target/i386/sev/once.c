/*
 * Sessions that this platform opened: none is opened twice, for who asks that.
 *
 * The list lies in the folder of the software identity, with the kernel's
 * backend too: the folder of what an operator says of that one's platform is
 * not QEMU's to write (backend.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "target/i386/sev/backend/backend.h"
#include "crypto/hash.h"
#include "hw/psp/psp-store.h"
#include "transfer.h"

/* Nothing in a session can be changed: its MACs cover all of it. */
static bool digest_of(const uint8_t *session, size_t len,
                      uint8_t digest[PSP_STORE_DIGEST_LEN], Error **errp)
{
    g_autofree uint8_t *hash = NULL;
    size_t hash_len = 0;

    if (qcrypto_hash_bytes(QCRYPTO_HASH_ALGO_SHA256, (const char *)session,
                           len, &hash, &hash_len, errp) < 0) {
        return false;
    }
    assert(hash_len == PSP_STORE_DIGEST_LEN);
    memcpy(digest, hash, hash_len);
    return true;
}

bool sev_session_once(const uint8_t *session, size_t len, Error **errp)
{
    g_autofree char *dir = sev_backend_identity_dir();
    g_autoptr(PspStore) store = NULL;
    g_autoptr(GError) err = NULL;
    g_auto(SevPlatformCerts) own = { 0 };
    g_autofree char *pdh = NULL;
    uint8_t digest[PSP_STORE_DIGEST_LEN];
    bool first;

    if (!sev_platform_certs(&own, errp) ||
        !digest_of(session, len, digest, errp)) {
        return false;
    }
    pdh = sev_certs_fingerprint(&own, errp);
    if (!pdh) {
        return false;
    }
    store = psp_store_open(dir, &err);
    if (!store || !psp_store_opened(store, pdh, digest, &first, &err)) {
        error_setg(errp, "SEV: it is not known whether this session was opened "
                   "before, as 'sev-refuse-replay' asks: %s", err->message);
        return false;
    }
    if (!first) {
        error_setg(errp, "SEV: this session was opened on this platform "
                   "before: the stream is a replay, which 'sev-refuse-replay' "
                   "forbids");
    }
    return first;
}
