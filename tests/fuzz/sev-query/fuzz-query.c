/*
 * Any file as a template that query-sev-template is asked about.
 *
 * Everything that reads the file is the real code: its window, the walk from
 * record to record, records, blocks and images, packets, the sum of shared pages,
 * the digest at the end.  Below it is a model of a platform that may or may not
 * be the template's, and of a key that finds most packets good.
 *
 * The input is a file with holes: a byte of choices, then parts, each with the
 * pages to skip (2 bytes: up to 63, or with the top bit up to 32767), a length
 * (2 bytes, big-endian both) and bytes.  What
 * must hold: the answer says why if the template is not whole, no packet counts
 * twice, and what is read stays near what the file holds.
 *
 * SEV_FUZZ_SAY=1 prints what is wrong with each file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/bswap.h"
#include "qemu/module.h"
#include "crypto/init.h"
#include "migration/sev/session.h"
#include "migration/sev/template/inspect.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HERE = 1, VERIFY = 2, WITH_RAM = 4, NO_VERIFIER = 8 };

#define PAGE 4096
#define FILE_MAX (UINT64_C(1) << 40)
#define NEAR_MAX 63             /* pages to skip: most inputs are quick */
#define FAR 0x8000
#define PDH_LEN_LEAST 16
#define BAD_MAC 0xee

static uint8_t choices;
static uint64_t checks;         /* packets whose MAC was looked at */
static char file_path[64], ram_path[64];
static int file_fd, ram_fd;

/* --- The platform ------------------------------------------------------------- */

bool sev_session_is_here(SevSpan target, SevSpan chip, Error **errp)
{
    if (!(choices & HERE)) {
        error_setg(errp, "sealed to another platform");
    }
    return choices & HERE;
}

char *sev_certs_fingerprint(const SevPlatformCerts *certs, Error **errp)
{
    if (certs->pdh_len < PDH_LEN_LEAST) {
        error_setg(errp, "PDH certificate: %zu bytes", certs->pdh_len);
        return NULL;
    }
    return g_strdup_printf("%02x", certs->pdh[certs->pdh_len - 1]);
}

bool sev_verifier_possible(void)
{
    return !(choices & NO_VERIFIER);
}

SevVerifier *sev_verifier_new(uint64_t policy,
                              const uint8_t *pdh, size_t pdh_len,
                              const uint8_t *session, size_t session_len,
                              Error **errp)
{
    uint8_t *key;

    if (!sev_verifier_possible() || session_len != SEV_SESSION_LEN) {
        error_setg(errp, "the secure processor refuses the session");
        return NULL;
    }
    key = g_malloc(1);
    *key = pdh[pdh_len - 1] ^ session[session_len - 1];
    return (SevVerifier *)key;
}

bool sev_verifier_check(SevVerifier *v, const uint8_t *hdr,
                        const uint8_t *data)
{
    const uint8_t *key = (const uint8_t *)v;

    checks++;
    return (hdr[0] ^ hdr[SEV_PACKET_HDR_LEN - 1] ^ data[0] ^
            data[SEV_PACKET_DATA_LEN - 1] ^ *key) != BAD_MAC;
}

bool sev_verifier_check_vcpu(SevVerifier *v, const uint8_t *hdr,
                             const uint8_t *data)
{
    return sev_verifier_check(v, hdr, data);
}

void sev_verifier_free(SevVerifier *v)
{
    g_free(v);
}

/* The part of template/shared-sum.c that looks at a guest's RAM is not used here. */
bool sev_page_foreach_private(RAMBlock *rb, SevPageRunFn fn, void *opaque)
{
    g_assert_not_reached();
}

/* --- The file ------------------------------------------------------------------ */

static void make_file(const uint8_t *data, size_t size)
{
    uint64_t at = 0;

    if (ftruncate(file_fd, 0)) {
        abort();
    }
    while (size > 4) {
        uint64_t n = lduw_be_p(data);
        uint64_t skip = (n & FAR ? n & ~FAR : n & NEAR_MAX) * PAGE;
        size_t len = MIN(lduw_be_p(data + 2), size - 4);

        at = skip ? ROUND_UP(at, PAGE) + skip : at;
        data += 4;
        size -= 4;
        if (at + len > FILE_MAX || pwrite(file_fd, data, len, at) != len) {
            return;
        }
        at += len;
        data += len;
        size -= len;
    }
}

static void check_answer(const SevTemplateInfo *info, Error *err)
{
    struct stat st;

    if (getenv("SEV_FUZZ_SAY")) {
        printf("%s\n", err ? error_get_pretty(err) : info->wrong ?: "whole");
    }
    g_assert_true(!info == !!err);
    if (!info) {
        error_free(err);
        return;
    }
    g_assert_true(info->whole == !info->wrong);
    g_assert_true(!info->sealed_by_proven || (info->here && info->sealed_by));
    g_assert_true(!info->has_verified || choices & VERIFY);
    g_assert_cmpint(info->verified, <=, checks);
    if (info->whole && info->has_verified) {
        g_assert_cmpint(info->verified, ==, checks);
    }
    /* Each has a header of its own on the disk, in the file or as a record. */
    g_assert_cmpint(fstat(file_fd, &st), ==, 0);
    g_assert_cmpint(checks, <=, (uint64_t)st.st_blocks * 512 /
                                SEV_PACKET_HDR_LEN + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SevTemplateInfo *info;
    Error *err = NULL;

    if (size < 1) {
        return 0;
    }
    choices = data[0];
    checks = 0;
    make_file(data + 1, size - 1);
    info = sev_template_look(file_path,
                             choices & WITH_RAM ? ram_path : NULL, NULL,
                             choices & VERIFY, &err);
    check_answer(info, err);
    qapi_free_SevTemplateInfo(info);
    /* The same bytes as a wrap. */
    sev_wrap_free(sev_wrap_read(file_path, NULL));
    return 0;
}

/* A RAM file of 16 MiB, of which 64 KiB are not zero. */
static void make_ram(void)
{
    uint8_t page[PAGE];

    ram_fd = memfd_create("ram", 0);
    g_assert_cmpint(ftruncate(ram_fd, 16 << 20), ==, 0);
    for (int i = 0; i < 16; i++) {
        memset(page, i + 1, sizeof(page));
        g_assert_cmpint(pwrite(ram_fd, page, PAGE, i * 3 * PAGE), ==, PAGE);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    module_call_init(MODULE_INIT_QOM);
    qcrypto_init(&error_abort);
    file_fd = memfd_create("template", 0);
    make_ram();
    g_snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file_fd);
    g_snprintf(ram_path, sizeof(ram_path), "/proc/self/fd/%d", ram_fd);
    return 0;
}
