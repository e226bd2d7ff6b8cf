/*
 * A chip on a bench: memory, randomness and persistent area in the test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chip.h"

#include <pthread.h>
#include <string.h>

#include "hw/psp/cert.h"

/* name -> the persistent area after its first INIT */
static GHashTable *bench_identities;

/* --- What the chip asks of the world ------------------------------------- */

static void *bench_mem_map(void *opaque, uint64_t paddr, size_t len,
                           bool write)
{
    Chip *chip = opaque;

    if (paddr < CHIP_BASE || paddr - CHIP_BASE > CHIP_MEM ||
        len > CHIP_MEM - (paddr - CHIP_BASE) ||
        (chip->hole >= paddr && chip->hole - paddr < len)) {
        return NULL;
    }
    g_assert_cmpint(g_atomic_int_add(&chip->mapped, 1), <,
                    chip->many_threads ? 4 * 64 : 4);
    return chip->mem + (paddr - CHIP_BASE);
}

static void bench_mem_unmap(void *opaque, void *ptr, uint64_t paddr,
                            size_t len, size_t written)
{
    Chip *chip = opaque;

    g_assert_cmpint(g_atomic_int_add(&chip->mapped, -1), >, 0);
    g_assert_true(ptr == chip->mem + (paddr - CHIP_BASE));
    g_assert_cmpuint(written, <=, len);
}

/* SplitMix64: good enough to be different everywhere, and reproducible. */
static uint64_t bench_next(Chip *chip)
{
    uint64_t z = chip->seed[0] += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31) ^ chip->seed[1];
}

void chip_random(void *opaque, void *dst, size_t len)
{
    Chip *chip = opaque;
    size_t all = len;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    uint8_t *out = dst;

    pthread_mutex_lock(&lock);     /* which ThreadSanitizer understands */
    while (len) {
        uint64_t v = bench_next(chip);
        size_t n = MIN(len, sizeof(v));

        memcpy(out, &v, n);
        out += n;
        len -= n;
    }
    pthread_mutex_unlock(&lock);
    if (chip->saw_random) {
        chip->saw_random(dst, all);
    }
}

static bool bench_nv_lock(void *opaque, GError **error)
{
    return true;
}

static void bench_nv_unlock(void *opaque)
{
}

static bool bench_nv_broken(Chip *chip, GError **error)
{
    if (chip->fail_nv && --chip->fail_nv == 0) {
        g_set_error(error, PSP_ERROR, PSP_ERROR_STORE, "the disk is full");
        return true;
    }
    return false;
}

static GBytes *bench_nv_load(void *opaque, GError **error)
{
    Chip *chip = opaque;

    if (bench_nv_broken(chip, error)) {
        return NULL;
    }
    return chip->nv ? g_bytes_ref(chip->nv) : NULL;
}

static bool bench_nv_store(void *opaque, GBytes *blob, GError **error)
{
    Chip *chip = opaque;

    if (bench_nv_broken(chip, error)) {
        return false;
    }
    if (!chip->nv && !chip->blank) {
        g_hash_table_insert(bench_identities, g_strdup(chip->name),
                            g_bytes_ref(blob));
    }
    g_clear_pointer(&chip->nv, g_bytes_unref);
    chip->nv = g_bytes_ref(blob);
    return true;
}

static const PspHost bench_host = {
    .mem_map = bench_mem_map,
    .mem_unmap = bench_mem_unmap,
    .random = chip_random,
    .nv_lock = bench_nv_lock,
    .nv_unlock = bench_nv_unlock,
    .nv_load = bench_nv_load,
    .nv_store = bench_nv_store,
};

/* --- Life ---------------------------------------------------------------- */

Chip *chip_new_blank(const char *name)
{
    Chip *chip = g_new0(Chip, 1);
    GError *error = NULL;

    chip->name = name;
    chip->blank = true;
    chip->mem = g_malloc0(CHIP_MEM);
    chip->seed[0] = g_str_hash(name);
    chip->seed[1] = chip->seed[0] * 0xd6e8feb86659fd93;
    chip->psp = psp_platform_new(&bench_host, chip, &error);
    g_assert_no_error(error);
    return chip;
}

Chip *chip_new(const char *name)
{
    Chip *chip = chip_new_blank(name);
    GBytes *nv;

    if (!bench_identities) {
        bench_identities = g_hash_table_new(g_str_hash, g_str_equal);
    }
    chip->blank = false;
    nv = g_hash_table_lookup(bench_identities, name);
    chip->nv = nv ? g_bytes_ref(nv) : NULL;
    return chip;
}

void chip_free(Chip *chip)
{
    if (chip) {
        g_assert_cmpint(chip->mapped, ==, 0);
        psp_platform_free(chip->psp);
        g_clear_pointer(&chip->nv, g_bytes_unref);
        g_free(chip->mem);
        g_free(chip);
    }
}

uint8_t *chip_at(Chip *chip, uint64_t paddr)
{
    return chip->mem + (paddr - CHIP_BASE);
}

void chip_fill(Chip *chip, uint64_t paddr, size_t len)
{
    chip_random(chip, chip_at(chip, paddr), len);
}

/* --- Commands ------------------------------------------------------------ */

void chip_init(Chip *chip, uint32_t flags)
{
    PspInit cmd = { .flags = GUINT32_TO_LE(flags) };

    if (g_getenv("PSP_TEST_SILICON")) {
        chip_set_silicon(chip);
    }
    chip_ok(psp_exec(chip->psp, PSP_CMD_INIT, &cmd, sizeof(cmd)));
}

void chip_set_silicon(Chip *chip)
{
    GError *error = NULL;

    psp_platform_set_silicon(chip->psp, true, &error);
    g_assert_no_error(error);
}

size_t chip_export_bare(Chip *chip)
{
    PspPdhCertExport cmd = {
        .pdh_paddr = GUINT64_TO_LE(AT_PDH),
        .pdh_len = GUINT32_TO_LE(PSP_CERT_LEN),
        .chain_paddr = GUINT64_TO_LE(AT_PLAT),
        .chain_len = GUINT32_TO_LE(PSP_CHAIN_LEN),
    };
    g_autoptr(GBytes) amd = NULL;
    GError *error = NULL;

    chip_ok(psp_exec(chip->psp, PSP_CMD_PDH_CERT_EXPORT, &cmd, sizeof(cmd)));
    psp_platform_amd_chain(chip->psp, &amd, &error);
    g_assert_no_error(error);
    if (g_bytes_get_size(amd)) {
        memcpy(chip_at(chip, AT_AMD), g_bytes_get_data(amd, NULL),
               g_bytes_get_size(amd));
    }
    return g_bytes_get_size(amd);
}

void chip_export(Chip *chip)
{
    g_autoptr(GBytes) cek = NULL, amd = NULL;
    GError *error = NULL;

    if (chip_export_bare(chip)) {
        return;
    }
    psp_platform_published(chip->psp, &cek, &amd, &error);
    g_assert_no_error(error);
    memcpy(chip_at(chip, AT_PLAT) + 2 * PSP_CERT_LEN,
           g_bytes_get_data(cek, NULL), PSP_CERT_LEN);
    memcpy(chip_at(chip, AT_AMD), g_bytes_get_data(amd, NULL),
           2 * PSP_AMD_CERT_LEN_2048);
}

PspChain chip_chain(Chip *from)
{
    return (PspChain) {
        .pdh = chip_at(from, AT_PDH), .pdh_len = PSP_CERT_LEN,
        .plat = chip_at(from, AT_PLAT), .plat_len = PSP_CHAIN_LEN,
        .amd = chip_at(from, AT_AMD), .amd_len = 2 * PSP_AMD_CERT_LEN_2048,
    };
}

void chip_trust(Chip *chip, Chip *other)
{
    PspRoots *roots = psp_roots_new();
    GError *error = NULL;

    psp_roots_add(roots, "bench",
                  chip_at(other, AT_AMD) + PSP_AMD_CERT_LEN_2048,
                  PSP_AMD_CERT_LEN_2048, &error);
    g_assert_no_error(error);
    psp_platform_trust(chip->psp, roots);
}

PspStatus chip_simple(Chip *chip, PspCommand cmd)
{
    PspHandleCmd buf = { .handle = GUINT32_TO_LE(chip->handle) };

    return psp_exec(chip->psp, cmd, &buf, sizeof(buf));
}

PspStatus chip_activate(Chip *chip, uint32_t asid)
{
    PspActivate cmd = {
        .handle = GUINT32_TO_LE(chip->handle),
        .asid = GUINT32_TO_LE(asid),
    };

    return psp_exec(chip->psp, PSP_CMD_ACTIVATE, &cmd, sizeof(cmd));
}

void chip_launch(Chip *chip, uint32_t policy, uint32_t asid)
{
    PspLaunchStart cmd = { .policy = GUINT32_TO_LE(policy) };

    chip_ok(psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &cmd, sizeof(cmd)));
    chip->handle = GUINT32_FROM_LE(cmd.handle);
    chip_ok(chip_activate(chip, asid));
}

PspStatus chip_launch_owned(Chip *chip, uint32_t policy,
                            const PspTransportKeys *keys)
{
    PspLaunchStart cmd = {
        .policy = GUINT32_TO_LE(policy),
        .dh_cert_paddr = GUINT64_TO_LE(AT_OUT + 0x1000),
        .dh_cert_len = GUINT32_TO_LE(PSP_CERT_LEN),
        .session_paddr = GUINT64_TO_LE(AT_SESSION),
        .session_len = GUINT32_TO_LE(PSP_SESSION_LEN),
    };
    PspRng rng = { chip_random, chip };
    uint8_t z[PSP_P384_LEN];
    PspSession session = { .nonce = "owner's nonce" };
    PspEcPoint pdh;
    PspEcKey owner;
    PspStatus status;

    g_assert_true(psp_cert_pub((PspCert *)chip_at(chip, AT_PDH), &pdh));
    psp_ec_generate(&owner, &rng);
    g_assert_true(psp_ecdh(&owner, &pdh, z));
    psp_session_wrap(z, keys, policy, &session);
    psp_cert_init((PspCert *)chip_at(chip, AT_OUT + 0x1000), PSP_USAGE_PDH,
                  &owner.pub);
    memcpy(chip_at(chip, AT_SESSION), &session, sizeof(session));
    psp_wipe(&owner, sizeof(owner));
    psp_wipe(z, sizeof(z));
    status = psp_exec(chip->psp, PSP_CMD_LAUNCH_START, &cmd, sizeof(cmd));
    if (status == PSP_SUCCESS) {
        chip->handle = GUINT32_FROM_LE(cmd.handle);
    }
    return status;
}

void chip_seal(Chip *chip, const PspTransportKeys *keys, PspPacketType type,
               const PspMeasure *measure, const void *plain, uint32_t len)
{
    PspTransport t;
    PspPacketHeader hdr;

    chip_random(chip, hdr.iv, sizeof(hdr.iv));
    psp_transport_init(&t, keys);
    psp_packet_seal(&t, type, measure ? measure->measure : NULL, &hdr, plain,
                    chip_at(chip, AT_TRANS), len);
    memcpy(chip_at(chip, AT_HDR), &hdr, sizeof(hdr));
    psp_wipe(&t, sizeof(t));
}

void chip_run(Chip *chip, uint32_t policy, uint32_t asid, size_t len)
{
    PspMeasure measure;

    chip_launch(chip, policy, asid);
    chip_ok(chip_update(chip, PSP_CMD_LAUNCH_UPDATE_DATA, AT_PAGE, len));
    chip_ok(chip_measure(chip, &measure));
    chip_ok(chip_simple(chip, PSP_CMD_LAUNCH_FINISH));
}

PspStatus chip_update(Chip *chip, PspCommand cmd, uint64_t paddr,
                      uint32_t len)
{
    PspLaunchUpdate buf = {
        .handle = GUINT32_TO_LE(chip->handle),
        .paddr = GUINT64_TO_LE(paddr),
        .len = GUINT32_TO_LE(len),
    };

    return psp_exec(chip->psp, cmd, &buf, sizeof(buf));
}

PspStatus chip_measure(Chip *chip, PspMeasure *out)
{
    PspLaunchMeasure cmd = {
        .handle = GUINT32_TO_LE(chip->handle),
        .measure_paddr = GUINT64_TO_LE(AT_OUT),
        .measure_len = GUINT32_TO_LE(PSP_MEASURE_LEN),
    };
    PspStatus status = psp_exec(chip->psp, PSP_CMD_LAUNCH_MEASURE, &cmd,
                                sizeof(cmd));

    memcpy(out, chip_at(chip, AT_OUT), sizeof(*out));
    return status;
}

PspStatus chip_send_start(Chip *chip, Chip *target, PspSession *session)
{
    PspSendStart cmd = {
        .handle = GUINT32_TO_LE(chip->handle),
        .pdh_paddr = GUINT64_TO_LE(AT_PDH + 0x80000),
        .pdh_len = GUINT32_TO_LE(PSP_CERT_LEN),
        .plat_paddr = GUINT64_TO_LE(AT_PLAT + 0x80000),
        .plat_len = GUINT32_TO_LE(PSP_CHAIN_LEN),
        .amd_paddr = GUINT64_TO_LE(AT_AMD + 0x80000),
        .amd_len = GUINT32_TO_LE(2 * PSP_AMD_CERT_LEN_2048),
        .session_paddr = GUINT64_TO_LE(AT_SESSION),
        .session_len = GUINT32_TO_LE(PSP_SESSION_LEN),
    };
    PspStatus status;

    memcpy(chip_at(chip, AT_PDH + 0x80000), chip_at(target, AT_PDH), 0x4000);
    status = psp_exec(chip->psp, PSP_CMD_SEND_START, &cmd, sizeof(cmd));
    memcpy(session, chip_at(chip, AT_SESSION), sizeof(*session));
    return status;
}

PspStatus chip_receive_start(Chip *chip, Chip *source, uint32_t policy,
                             const PspSession *session)
{
    PspLaunchStart cmd = {
        .policy = GUINT32_TO_LE(policy),
        .dh_cert_paddr = GUINT64_TO_LE(AT_PDH + 0x80000),
        .dh_cert_len = GUINT32_TO_LE(PSP_CERT_LEN),
        .session_paddr = GUINT64_TO_LE(AT_SESSION),
        .session_len = GUINT32_TO_LE(PSP_SESSION_LEN),
    };
    PspStatus status;

    memcpy(chip_at(chip, AT_PDH + 0x80000), chip_at(source, AT_PDH), 0x1000);
    memcpy(chip_at(chip, AT_SESSION), session, sizeof(*session));
    status = psp_exec(chip->psp, PSP_CMD_RECEIVE_START, &cmd, sizeof(cmd));
    if (status == PSP_SUCCESS) {
        chip->handle = GUINT32_FROM_LE(cmd.handle);
    }
    return status;
}

PspStatus chip_packet(Chip *chip, PspCommand cmd, uint64_t paddr,
                      uint32_t len)
{
    PspPacketCmd buf = {
        .handle = GUINT32_TO_LE(chip->handle),
        .hdr_paddr = GUINT64_TO_LE(AT_HDR),
        .hdr_len = GUINT32_TO_LE(PSP_PACKET_HDR_LEN),
        .guest_paddr = GUINT64_TO_LE(paddr),
        .guest_len = GUINT32_TO_LE(len),
        .trans_paddr = GUINT64_TO_LE(AT_TRANS),
        .trans_len = GUINT32_TO_LE(len),
    };

    return psp_exec(chip->psp, cmd, &buf, sizeof(buf));
}

PspGuestState chip_guest_state(Chip *chip)
{
    PspGuestStatus cmd = { .handle = GUINT32_TO_LE(chip->handle) };

    chip_ok(psp_exec(chip->psp, PSP_CMD_GUEST_STATUS, &cmd, sizeof(cmd)));
    return cmd.state;
}

PspPlatformStatus chip_status(Chip *chip)
{
    PspPlatformStatus status;

    chip_ok(psp_exec(chip->psp, PSP_CMD_PLATFORM_STATUS, &status,
                     sizeof(status)));
    return status;
}

PspStatus chip_debug(Chip *chip, PspCommand cmd, uint64_t src, uint64_t dst,
                     uint32_t len)
{
    PspDebug buf = {
        .handle = GUINT32_TO_LE(chip->handle),
        .src_paddr = GUINT64_TO_LE(src),
        .dst_paddr = GUINT64_TO_LE(dst),
        .len = GUINT32_TO_LE(len),
    };

    return psp_exec(chip->psp, cmd, &buf, sizeof(buf));
}

void chip_connect(Chip *source, Chip *target)
{
    PspSession session;

    chip_export(source);
    chip_export(target);
    chip_trust(source, target);
    chip_ok(chip_send_start(source, target, &session));
    chip_ok(chip_receive_start(target, source, 0, &session));
    chip_ok(chip_activate(target, 7));
}

/* --- Hex ----------------------------------------------------------------- */

void hex_to(uint8_t *out, size_t len, const char *hex)
{
    g_assert_cmpuint(strlen(hex), ==, 2 * len);
    for (size_t i = 0; i < len; i++) {
        out[i] = g_ascii_xdigit_value(hex[2 * i]) << 4 |
                 g_ascii_xdigit_value(hex[2 * i + 1]);
    }
}

void assert_hex(const void *data, size_t len, const char *hex)
{
    g_autofree uint8_t *want = g_malloc(len);

    hex_to(want, len, hex);
    g_assert_cmpmem(data, len, want, len);
}
