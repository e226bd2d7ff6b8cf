/*
 * The memory controller's encryption engine: what "ciphertext at rest" means.
 *
 * AES-128-XTS under the guest's VEK, tweaked by the system-physical address of
 * the 4 KiB page (little-endian paddr >> 12), so that every 16-byte block
 * depends on key, address and plaintext alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_MEMORY_H
#define PSP_MEMORY_H

#include "psp.h"

/* The VEK that ACTIVATE bound to an ASID. */
typedef struct PspMemKey PspMemKey;

/*
 * A reference to the key of @asid, or NULL when no guest is active on it.
 * Stays usable after DEACTIVATE, until psp_mem_key_unref().
 */
PspMemKey *psp_mem_key_get(PspPlatform *psp, uint32_t asid);
PspMemKey *psp_mem_key_ref(PspMemKey *key);
void psp_mem_key_unref(PspMemKey *key);             /* the last one wipes */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PspMemKey, psp_mem_key_unref)

/*
 * Encrypt or decrypt @len bytes between two buffers (they may be the same).
 * @paddr and @len are multiples of 16.  Thread-safe and without allocation.
 */
void psp_mem_encrypt(PspMemKey *key, uint64_t paddr, const void *plain,
                     void *cipher, size_t len);
void psp_mem_decrypt(PspMemKey *key, uint64_t paddr, const void *cipher,
                     void *plain, size_t len);

#endif /* PSP_MEMORY_H */
