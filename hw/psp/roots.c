/*
 * Root certificates (ARKs) that are trusted: AMD's own, and those an operator
 * adds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chain.h"

typedef struct PspRoot {
    char *name;
    uint8_t digest[PSP_SHA256_LEN];     /* of the whole ARK certificate */
} PspRoot;

struct PspRoots {
    GArray *list;
};

/* SHA-256 of the ARK files that AMD publishes */
static const struct {
    const char *name;
    uint8_t digest[PSP_SHA256_LEN];
} psp_amd_roots[] = {
    { "AMD Naples", {
        0xde, 0xda, 0xbc, 0xa5, 0x61, 0xe1, 0xde, 0xce, 0x8c, 0xc0, 0x0b,
        0x7b, 0xda, 0x86, 0x4c, 0xf5, 0xf2, 0x0b, 0x95, 0x01, 0x78, 0x64,
        0x40, 0x8c, 0xfe, 0x18, 0xea, 0xee, 0x0d, 0xce, 0x24, 0xb9 } },
    { "AMD Rome", {
        0x86, 0x59, 0x77, 0xb2, 0x68, 0xc1, 0x6d, 0x5b, 0x27, 0x77, 0x2b,
        0x00, 0xaa, 0xef, 0xb4, 0xe7, 0x37, 0xba, 0x94, 0x99, 0xe8, 0x18,
        0xed, 0x8e, 0x9f, 0x65, 0xb0, 0xce, 0xce, 0xfb, 0xc5, 0x29 } },
    { "AMD Milan", {
        0x12, 0x46, 0x46, 0x98, 0x62, 0xb7, 0x8a, 0x7a, 0x86, 0x25, 0x57,
        0x9b, 0x03, 0x78, 0xd1, 0xf8, 0xe9, 0x75, 0xeb, 0x8b, 0x82, 0xa1,
        0x62, 0x3b, 0x57, 0x9d, 0x79, 0x68, 0xa5, 0x96, 0x98, 0x88 } },
    { "AMD Genoa", {
        0x8f, 0x4e, 0x3f, 0xd3, 0x65, 0x89, 0xc2, 0x3f, 0x1f, 0xe0, 0xc8,
        0x33, 0x84, 0x65, 0xba, 0xc7, 0xe2, 0xe0, 0x66, 0xd9, 0x7f, 0xc9,
        0x2f, 0x22, 0x8b, 0xbe, 0xe4, 0xfd, 0x35, 0x6f, 0xb6, 0x74 } },
    { "AMD Turin", {
        0xf6, 0x40, 0x5e, 0x50, 0x96, 0xa6, 0xee, 0xe1, 0xeb, 0x7d, 0x5d,
        0xf7, 0x5c, 0x49, 0xf9, 0xb9, 0xf7, 0xc8, 0x35, 0x7a, 0x31, 0xc7,
        0xff, 0xf1, 0x50, 0x14, 0x9d, 0x68, 0x58, 0x8a, 0x7b, 0xf7 } },
};

static void psp_root_clear(gpointer opaque)
{
    PspRoot *root = opaque;

    g_clear_pointer(&root->name, g_free);
}

static void psp_roots_append(PspRoots *roots, const char *name,
                             const uint8_t digest[PSP_SHA256_LEN])
{
    PspRoot root;

    for (guint i = 0; i < roots->list->len; i++) {
        PspRoot *known = &g_array_index(roots->list, PspRoot, i);

        if (psp_equal(known->digest, digest, sizeof(known->digest))) {
            return;
        }
    }
    root.name = g_strdup(name);
    memcpy(root.digest, digest, sizeof(root.digest));
    g_array_append_val(roots->list, root);
}

PspRoots *psp_roots_new_empty(void)
{
    PspRoots *roots = g_new0(PspRoots, 1);

    roots->list = g_array_new(false, false, sizeof(PspRoot));
    g_array_set_clear_func(roots->list, psp_root_clear);
    return roots;
}

PspRoots *psp_roots_new(void)
{
    PspRoots *roots = psp_roots_new_empty();

    for (size_t i = 0; i < G_N_ELEMENTS(psp_amd_roots); i++) {
        psp_roots_append(roots, psp_amd_roots[i].name,
                         psp_amd_roots[i].digest);
    }
    return roots;
}

void psp_roots_free(PspRoots *roots)
{
    if (roots) {
        g_array_free(roots->list, true);
        g_free(roots);
    }
}

bool psp_roots_add(PspRoots *roots, const char *name, const void *ark,
                   size_t ark_len, GError **error)
{
    uint8_t digest[PSP_SHA256_LEN];
    PspAmdKey key;

    if (!psp_amd_cert_parse(ark, ark_len, &key) || key.total != ark_len ||
        key.usage != PSP_USAGE_ARK) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "'%s' is not an ARK certificate", name);
        return false;
    }
    if (key.sig && !psp_amd_cert_signed_by(ark, &key, &key)) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_CERT,
                    "the ARK '%s' is not signed by itself", name);
        return false;
    }
    psp_sha256(ark, ark_len, digest);
    psp_roots_append(roots, name, digest);
    return true;
}

static bool psp_roots_add_file(PspRoots *roots, const char *dir,
                               const char *file, GError **error)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autofree char *data = NULL;
    size_t len;

    return g_file_get_contents(path, &data, &len, error) &&
           psp_roots_add(roots, path, data, len, error);
}

bool psp_roots_add_dir(PspRoots *roots, const char *dir, GError **error)
{
    GError *err = NULL;
    g_autoptr(GDir) d = g_dir_open(dir, 0, &err);
    const char *file;

    if (g_error_matches(err, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_error_free(err);
        return true;
    }
    if (!d) {
        g_propagate_error(error, err);
        return false;
    }
    while ((file = g_dir_read_name(d))) {
        if (g_str_has_suffix(file, ".cert") && file[0] != '.' &&
            !psp_roots_add_file(roots, dir, file, error)) {
            return false;
        }
    }
    return true;
}

size_t psp_roots_count(const PspRoots *roots)
{
    return roots->list->len;
}

const char *psp_roots_find(const PspRoots *roots, const void *ark,
                           size_t len)
{
    uint8_t digest[PSP_SHA256_LEN];

    psp_sha256(ark, len, digest);
    for (guint i = 0; roots && i < roots->list->len; i++) {
        PspRoot *root = &g_array_index(roots->list, PspRoot, i);

        if (psp_equal(root->digest, digest, sizeof(digest))) {
            return root->name;
        }
    }
    return NULL;
}
