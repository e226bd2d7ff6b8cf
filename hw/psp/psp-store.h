/*
 * A chip's persistent area kept in a directory, for PspHost's nv_* callbacks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PSP_STORE_H
#define PSP_STORE_H

#include "psp.h"

#include <stdint.h>

#ifndef PSP_STORE_SYSTEM_DIR
#define PSP_STORE_SYSTEM_DIR "/var/lib/sev-psp"
#endif
#ifndef PSP_STORE_CONFIG_DIR
#define PSP_STORE_CONFIG_DIR "/etc/sev-psp"
#endif

typedef struct PspStore PspStore;

/*
 * Open @dir, creating it (mode 0700) when it is missing.  Refuses a
 * directory or file that others can read or write, or that is not ours.
 * Any number of processes may share it.
 */
PspStore *psp_store_open(const char *dir, GError **error);
void psp_store_close(PspStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PspStore, psp_store_close)

bool psp_store_lock(PspStore *store, GError **error);
void psp_store_unlock(PspStore *store);
GBytes *psp_store_load(PspStore *store, GError **error);
bool psp_store_save(PspStore *store, GBytes *blob, GError **error);

/* Forget the chip for good.  Trusted roots stay, but for its own. */
bool psp_store_erase(PspStore *store, GError **error);

/*
 * Sessions that the platform with the PDH @pdh (a fingerprint) has opened, for
 * those who want each to be opened once: a list of their digests, kept on the
 * disk.  Adds @digest; *@first tells whether it was not on the list.  False:
 * the list is full or cannot be kept, and nothing is known.
 *
 * A new PDH has a new list: it opens no session of the old one.
 */
#define PSP_STORE_OPENED_MAX 65536
#define PSP_STORE_DIGEST_LEN 32
bool psp_store_opened(PspStore *store, const char *pdh,
                      const uint8_t digest[PSP_STORE_DIGEST_LEN], bool *first,
                      GError **error);

/* "DIR/roots": ARK certificates the operator trusts.  Owned by the store. */
const char *psp_store_roots_dir(const PspStore *store);

/*
 * Where a chip lives when nobody says: $SEV_PSP_DIR, else the system-wide
 * directory when it exists and is usable, else the user's XDG state
 * directory.  Caller frees.
 */
char *psp_store_default_dir(void);

/*
 * Whether @dir, an answer of psp_store_default_dir(), lasts: an identity is
 * not made in silence where it vanishes, as below the HOME that libvirt's
 * system daemon gives a guest.  What was chosen by name lasts.
 */
bool psp_store_check_home(const char *dir, GError **error);

/*
 * Where a host with a real chip keeps what its operator says of platforms,
 * none of it secret: $SEV_PSP_CONFIG_DIR, else /etc/sev-psp.  Whoever uses a
 * software chip finds the same names in that one's folder.  Caller frees.
 */
char *psp_store_config_dir(void);
#define PSP_CONFIG_ROOTS "roots"        /* folder of ARKs that are trusted */
#define PSP_CONFIG_CHAIN "chain.cert"   /* this platform's, see psp-chain.h */

#endif /* PSP_STORE_H */
