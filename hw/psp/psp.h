/*
 * The door of the software secure processor: commands in, status out.
 *
 * Implements the host-facing side of the AMD SEV API (publication 55766).
 * Depends on glib and the crypto libraries only, never on QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_H
#define PSP_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "psp-abi.h"

/*
 * One secure processor: its persistent identity and the contexts of the
 * guests it was told about.  All functions are thread-safe unless they say
 * otherwise.
 */
typedef struct PspPlatform PspPlatform;

/*
 * All the chip ever asks of the world.  Every member is required; none may
 * call back into the chip.
 *
 * A "paddr" is a system-physical address: the number found in a command
 * buffer, and the address that tweaks the memory cipher.
 */
typedef struct PspHost {
    /*
     * Give the chip direct access to [@paddr, @paddr + @len) until
     * mem_unmap().  Returns NULL when any byte of the range is not memory;
     * the command then ends with PSP_INVALID_ADDRESS.  Called on the thread
     * of psp_exec(), at most four mappings at a time.
     */
    void *(*mem_map)(void *opaque, uint64_t paddr, size_t len, bool write);
    /* @written: bytes at the start of the range that were changed */
    void (*mem_unmap)(void *opaque, void *ptr, uint64_t paddr, size_t len,
                      size_t written);

    /* Fill @dst with @len random bytes, fit for keys. */
    void (*random)(void *opaque, void *dst, size_t len);

    /*
     * The persistent area (keys and certificates), one blob.  nv_load()
     * returns NULL without an error when there is none yet.  nv_store()
     * replaces it atomically.  nv_lock() excludes other chips that share
     * the area; it brackets every load-modify-store.
     */
    bool (*nv_lock)(void *opaque, GError **error);
    void (*nv_unlock)(void *opaque);
    GBytes *(*nv_load)(void *opaque, GError **error);
    bool (*nv_store)(void *opaque, GBytes *blob, GError **error);
} PspHost;

/* What a broken host looks like; what a chip answers is a PspStatus. */
#define PSP_ERROR psp_error_quark()
GQuark psp_error_quark(void);
typedef enum PspErrorCode {
    PSP_ERROR_STORE = 1,        /* persistent area unreadable or unwritable */
    PSP_ERROR_PERMISSIONS,      /* persistent area open to other users */
    PSP_ERROR_FORMAT,           /* not ours, or from a newer version */
    PSP_ERROR_CERT,             /* a certificate does not parse or verify */
    PSP_ERROR_LACKS,            /* a chain without what AMD publishes of it */
    PSP_ERROR_ROOT,             /* a chain up to a root that is not trusted */
    PSP_ERROR_CRYPTO,           /* a crypto library refused to start */
} PspErrorCode;

/*
 * A chip in the UNINIT platform state.  @host must outlive it.
 * Does not touch the persistent area: INIT does.
 */
PspPlatform *psp_platform_new(const PspHost *host, void *opaque,
                              GError **error);
/* Wipes every key; no command and no PspMemKey may be in use. */
void psp_platform_free(PspPlatform *psp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PspPlatform, psp_platform_free)

/*
 * ASK and ARK of this platform's software root, in firmware format (the
 * "AMD chain").  A real chip cannot hand these out: there they come from
 * AMD's web service, and a chip that behaves as silicon gives no bytes.
 * Creates the identity when there is none yet; needs no INIT.  @amd is a new
 * reference.
 */
bool psp_platform_amd_chain(PspPlatform *psp, GBytes **amd, GError **error);

/*
 * What AMD's web service would have of this chip, also when it behaves as
 * silicon: the CEK signed by the ASK, and ASK and ARK.  Otherwise as
 * psp_platform_amd_chain().
 */
bool psp_platform_published(PspPlatform *psp, GBytes **cek, GBytes **amd,
                            GError **error);

/*
 * Behave as silicon, or not, from the next INIT on: PDH_CERT_EXPORT gives the
 * CEK without the ASK's signature, psp_platform_amd_chain() nothing.  Kept in
 * the persistent area for as long as the chip lives, through PLATFORM_RESET
 * too.  The platform must be in state UNINIT.
 */
bool psp_platform_set_silicon(PspPlatform *psp, bool silicon, GError **error);

/*
 * Run one command.  @buf is the command buffer of psp-abi.h, little endian,
 * both input and output; @len is its size in bytes and must be the size of
 * that command's buffer (PSP_INVALID_LEN otherwise; NULL and 0 for commands
 * without a buffer).
 *
 * When a command fails because the host broke (say, the disk is full), the
 * answer is PSP_SECURE_DATA_INVALID or PSP_HWERROR_PLATFORM and
 * psp_last_error() has the sentence.
 */
PspStatus psp_exec(PspPlatform *psp, PspCommand cmd, void *buf, size_t len);

/* So many packets are worked on side by side. */
#define PSP_BATCH_MAX 32

/*
 * Run the same command for @n buffers that lie @stride bytes apart, as fast
 * as the crypto library can: for SEND_UPDATE_DATA and RECEIVE_UPDATE_DATA
 * packets are sealed and opened side by side.  Stops at the first failure;
 * *@done is the number of buffers that succeeded, all of them in order.
 */
PspStatus psp_exec_batch(PspPlatform *psp, PspCommand cmd, void *bufs,
                         size_t stride, size_t n, size_t *done);

/*
 * Why the last command on this thread failed although the caller did nothing
 * wrong, or which link of a certificate chain was refused; else NULL.  Owned
 * by the library, valid until the next psp_exec() on this thread.
 */
const char *psp_last_error(void);

/*
 * Who makes packets: "nettle", one by one, or "ipsec-mb", many side by side,
 * where that library and a CPU for it are there.  $SEV_PSP_PACKETS chooses.
 */
const char *psp_packet_provider(void);

/* "SEND_START"; "INVALID_LEN".  Never NULL. */
const char *psp_command_name(PspCommand cmd);
const char *psp_status_name(PspStatus status);

#endif /* PSP_H */
