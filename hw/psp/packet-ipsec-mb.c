/*
 * Many packets side by side, by Intel's multi-buffer library.
 *
 * HMAC-SHA256 is most of a packet's cost and cannot be made faster for one
 * packet; sixteen together take hardly longer than one where the CPU has
 * AVX-512.  The library is loaded at run time: a machine without it uses
 * nettle.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dlfcn.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include "packet.h"

#define PSP_WIDE_LIBRARY    "libIPSec_MB.so.1"
#define PSP_WIDE_LANES      16  /* SHA-256 streams in AVX-512 */
#define PSP_WIDE_WORTH      8   /* fewer are faster with SHA-NI */
#define PSP_WIDE_MAX        32

_Static_assert(PSP_WIDE_MAX >= PSP_WIDE_LANES, "a turn fills the lanes");

/* --- The library --------------------------------------------------------- */

/* All else is reached through the manager's function pointers. */
typedef struct PspWideLibrary {
    IMB_MGR *(*alloc)(uint64_t flags);
    void (*free)(IMB_MGR *mgr);
    void (*init_best)(IMB_MGR *mgr, IMB_ARCH *arch);
    void (*init_avx2)(IMB_MGR *mgr);
} PspWideLibrary;

static PspWideLibrary psp_wide_lib;

static bool psp_wide_load(void)
{
    void *handle = dlopen(PSP_WIDE_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    PspWideLibrary *lib = &psp_wide_lib;

    if (!handle) {
        return false;
    }
    *(void **)&lib->alloc = dlsym(handle, "alloc_mb_mgr");
    *(void **)&lib->free = dlsym(handle, "free_mb_mgr");
    *(void **)&lib->init_best = dlsym(handle, "init_mb_mgr_auto");
    *(void **)&lib->init_avx2 = dlsym(handle, "init_mb_mgr_avx2");
    return lib->alloc && lib->free && lib->init_best && lib->init_avx2;
}

/* Worth having only where the CPU hashes better than nettle does by itself */
static bool psp_wide_cpu(void)
{
    IMB_MGR *mgr = psp_wide_lib.alloc(0);
    bool ok;

    if (!mgr) {
        return false;
    }
    ok = (mgr->features & IMB_FEATURE_AESNI) &&
         (mgr->features & IMB_FEATURE_AVX2) &&
         (mgr->features & (IMB_FEATURE_SHANI | IMB_FEATURE_AVX512_SKX));
    psp_wide_lib.free(mgr);
    return ok;
}

bool psp_wide_available(void)
{
    static gsize once;
    static bool available;

    if (g_once_init_enter(&once)) {
        available = psp_wide_load() && psp_wide_cpu();
        g_once_init_leave(&once, 1);
    }
    return available;
}

/* --- One set of managers per thread -------------------------------------- */

typedef struct PspWide {
    IMB_MGR *many;              /* best for full lanes */
    IMB_MGR *few;               /* best for the rest; may be the same */
    IMB_JOB jobs[PSP_WIDE_MAX];
} PspWide;

/* Initialising a manager empties its lanes, where key material was. */
static void psp_wide_free_mgr(IMB_MGR *mgr)
{
    psp_wide_lib.init_avx2(mgr);
    psp_wide_lib.free(mgr);
}

static void psp_wide_free(gpointer opaque)
{
    PspWide *wide = opaque;

    if (wide->few != wide->many) {
        psp_wide_free_mgr(wide->few);
    }
    psp_wide_free_mgr(wide->many);
    psp_wipe(wide, sizeof(*wide));
    g_free(wide);
}

static GPrivate psp_wide_key = G_PRIVATE_INIT(psp_wide_free);

static IMB_MGR *psp_wide_mgr(bool few)
{
    IMB_MGR *mgr = psp_wide_lib.alloc(0);
    IMB_ARCH arch;

    if (!mgr) {
        g_error("out of memory");       /* as all of glib does */
    }
    if (few) {
        psp_wide_lib.init_avx2(mgr);
    } else {
        psp_wide_lib.init_best(mgr, &arch);
    }
    return mgr;
}

static PspWide *psp_wide_get(void)
{
    PspWide *wide = g_private_get(&psp_wide_key);

    if (!wide) {
        wide = g_new0(PspWide, 1);
        wide->many = psp_wide_mgr(false);
        wide->few = wide->many;
        if ((wide->many->features & IMB_FEATURE_AVX512_SKX) &&
            (wide->many->features & IMB_FEATURE_SHANI)) {
            wide->few = psp_wide_mgr(true);
        }
        g_private_set(&psp_wide_key, wide);
    }
    return wide;
}

/* --- Work ---------------------------------------------------------------- */

void psp_wide_schedule(PspWideKeys *keys, const PspTransportKeys *raw)
{
    IMB_MGR *mgr = psp_wide_get()->many;
    uint8_t unused[15 * 16] __attribute__((aligned(16)));
    uint8_t pad[64];

    IMB_AES_KEYEXP_128(mgr, raw->tek, keys->tek, unused);
    memset(pad, 0x36, sizeof(pad));
    for (size_t i = 0; i < sizeof(raw->tik); i++) {
        pad[i] ^= raw->tik[i];
    }
    IMB_SHA256_ONE_BLOCK(mgr, pad, keys->inner);
    for (size_t i = 0; i < sizeof(pad); i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    IMB_SHA256_ONE_BLOCK(mgr, pad, keys->outer);
    psp_wipe(pad, sizeof(pad));
    psp_wipe(unused, sizeof(unused));
}

/*
 * The library counts in the last 32 bits only.  An IV whose count would
 * carry beyond them, one in 16 million, needs the real thing.
 */
static bool psp_wide_counter_carries(const PspPacketJob *job)
{
    uint32_t count;

    memcpy(&count, job->hdr.iv + 12, sizeof(count));
    return GUINT32_FROM_BE(count) > UINT32_MAX - job->len / 16;
}

static void psp_wide_crypt_turn(PspWide *wide, const PspTransport *t,
                                PspPacketJob *jobs, size_t n,
                                bool authentic_only)
{
    size_t count = 0, done = 0;

    for (size_t i = 0; i < n; i++) {
        IMB_JOB *job = &wide->jobs[count];

        if (authentic_only && !jobs[i].authentic) {
            continue;
        }
        if (psp_wide_counter_carries(&jobs[i])) {
            psp_ctr_crypt(&t->tek, jobs[i].hdr.iv, jobs[i].data,
                          jobs[i].data, jobs[i].len);
            continue;
        }
        memset(job, 0, sizeof(*job));
        job->cipher_mode = IMB_CIPHER_CNTR;
        job->cipher_direction = IMB_DIR_ENCRYPT;
        job->hash_alg = IMB_AUTH_NULL;
        job->enc_keys = t->wide.tek;
        job->dec_keys = t->wide.tek;
        job->key_len_in_bytes = IMB_KEY_128_BYTES;
        job->iv = jobs[i].hdr.iv;
        job->iv_len_in_bytes = PSP_AES_LEN;
        job->src = jobs[i].data;
        job->dst = jobs[i].data;
        job->msg_len_to_cipher_in_bytes = jobs[i].len;
        count++;
    }
    if (count) {
        done = IMB_SUBMIT_CIPHER_BURST_NOCHECK(wide->many, wide->jobs, count,
                                               IMB_CIPHER_CNTR,
                                               IMB_DIR_ENCRYPT,
                                               IMB_KEY_128_BYTES);
    }
    g_assert(done == count);
}

void psp_wide_crypt(const PspTransport *t, PspPacketJob *jobs, size_t n,
                    bool authentic_only)
{
    PspWide *wide = psp_wide_get();

    for (size_t i = 0; i < n; i += PSP_WIDE_MAX) {
        psp_wide_crypt_turn(wide, t, jobs + i, MIN(n - i, PSP_WIDE_MAX),
                            authentic_only);
    }
}

static void psp_wide_mac_turn(PspWide *wide, IMB_MGR *mgr,
                              const PspTransport *t, PspPacketType type,
                              PspPacketJob *jobs, size_t n,
                              uint8_t (*macs)[PSP_SHA256_LEN])
{
    size_t done;

    for (size_t i = 0; i < n; i++) {
        IMB_JOB *job = &wide->jobs[i];
        uint8_t *head = jobs[i].data - PSP_PACKET_MAC_HEAD;

        psp_packet_mac_head(type, &jobs[i].hdr, jobs[i].len, head);
        memset(job, 0, sizeof(*job));
        job->cipher_mode = IMB_CIPHER_NULL;
        job->hash_alg = IMB_AUTH_HMAC_SHA_256;
        job->src = head;
        job->msg_len_to_hash_in_bytes = PSP_PACKET_MAC_HEAD + jobs[i].len;
        job->auth_tag_output = macs[i];
        job->auth_tag_output_len_in_bytes = PSP_SHA256_LEN;
        job->u.HMAC._hashed_auth_key_xor_ipad = t->wide.inner;
        job->u.HMAC._hashed_auth_key_xor_opad = t->wide.outer;
    }
    done = IMB_SUBMIT_HASH_BURST_NOCHECK(mgr, wide->jobs, n,
                                         IMB_AUTH_HMAC_SHA_256);
    g_assert(done == n);
}

void psp_wide_mac(const PspTransport *t, PspPacketType type,
                  PspPacketJob *jobs, size_t n,
                  uint8_t (*macs)[PSP_SHA256_LEN])
{
    PspWide *wide = psp_wide_get();
    size_t i = 0;

    while (i < n) {
        size_t rest = n - i;
        size_t turn = MIN(rest, PSP_WIDE_LANES);
        IMB_MGR *mgr = turn < PSP_WIDE_WORTH ? wide->few : wide->many;

        psp_wide_mac_turn(wide, mgr, t, type, jobs + i, turn, macs + i);
        i += turn;
    }
}
