/*
 * A platform's chain in one file, and what a chip's own export lacks of it.
 *
 * A real chip exports its CEK without the ASK's signature, and neither ASK nor
 * ARK.  AMD publishes those; an operator keeps them in a file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain.h"

#define PSP_CHAIN_FILE_SEV  (PSP_CERT_LEN + PSP_CHAIN_LEN)
#define PSP_CHAIN_FILE_MAX  (PSP_CHAIN_FILE_SEV + 2 * PSP_AMD_CERT_LEN_4096)

bool psp_chain_parse(const void *data, size_t len, PspChain *chain,
                     GError **error)
{
    const uint8_t *bytes = data;

    if (len < PSP_CHAIN_FILE_SEV || len > PSP_CHAIN_FILE_MAX) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT, "%zu bytes; PDH, PEK,"
                    " OCA, CEK, ASK and ARK together have %d to %d", len,
                    PSP_CHAIN_FILE_SEV + PSP_AMD_CERT_LEN_2048 +
                    PSP_AMD_CERT_LEN_BARE, PSP_CHAIN_FILE_MAX);
        return false;
    }
    *chain = (PspChain) {
        .pdh = bytes, .pdh_len = PSP_CERT_LEN,
        .plat = bytes + PSP_CERT_LEN, .plat_len = PSP_CHAIN_LEN,
        .amd = bytes + PSP_CHAIN_FILE_SEV, .amd_len = len - PSP_CHAIN_FILE_SEV,
    };
    return psp_chain_formed(chain, error);
}

static GBytes *psp_chain_read(int fd, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(PSP_CHAIN_FILE_MAX + 1);
    size_t len = 0;
    struct stat st;

    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT, "not a regular file");
        return NULL;
    }
    while (len <= PSP_CHAIN_FILE_MAX) {
        ssize_t n = read(fd, buf + len, PSP_CHAIN_FILE_MAX + 1 - len);

        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            g_set_error(error, PSP_ERROR, PSP_ERROR_STORE, "%s",
                        g_strerror(errno));
            return NULL;
        }
        len += n > 0 ? n : 0;
    }
    return g_bytes_new(buf, len);
}

bool psp_chain_load(const char *path, GBytes **bytes, PspChain *chain,
                    GError **error)
{
    g_autoptr(GBytes) read = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const void *data;
    size_t len;

    if (fd < 0) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_STORE, "cannot open '%s': %s",
                    path, g_strerror(errno));
        return false;
    }
    read = psp_chain_read(fd, error);
    close(fd);
    data = read ? g_bytes_get_data(read, &len) : NULL;
    if (!read || !psp_chain_parse(data, len, chain, error)) {
        g_prefix_error(error, "'%s': ", path);
        return false;
    }
    *bytes = g_steal_pointer(&read);
    return true;
}

static bool psp_chain_same_chip(const PspCert *a, const PspCert *b,
                                GError **error)
{
    g_autofree char *key_a = NULL, *key_b = NULL;

    if (psp_cert_same_key(a, b)) {
        return true;
    }
    key_a = psp_fingerprint(a, sizeof(*a), NULL);
    key_b = psp_fingerprint(b, sizeof(*b), NULL);
    g_set_error(error, PSP_ERROR, PSP_ERROR_CERT, "this CEK is of another"
                " chip: its key is %.16s..., this chip's is %.16s...",
                key_b ?: "none", key_a ?: "none");
    return false;
}

bool psp_chain_fill(PspChain *chain, void *plat, const PspChain *from,
                    GError **error)
{
    PspCert *cek = (PspCert *)plat + PSP_CHAIN_CEK;
    const PspCert *signed_cek = (const PspCert *)from->plat + PSP_CHAIN_CEK;

    if (chain->plat_len == PSP_CHAIN_LEN && from->plat_len == PSP_CHAIN_LEN &&
        !psp_cert_has_signature(cek, PSP_USAGE_ASK)) {
        if (!psp_chain_same_chip(cek, signed_cek, error)) {
            return false;
        }
        *cek = *signed_cek;
    }
    if (!chain->amd_len) {
        chain->amd = from->amd;
        chain->amd_len = from->amd_len;
    }
    return true;
}
