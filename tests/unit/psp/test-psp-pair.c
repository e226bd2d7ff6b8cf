/*
 * Two chips in one process: what one sends the other receives, and nothing
 * else.  Each test is named after what an attacker between them tries.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"
#include "hw/psp/cert.h"
#include "hw/psp/psp-packet-key.h"

#define PAGES 4
#define LEN (PAGES * PSP_PAGE_SIZE)
#define AT_PLAIN (AT_PAGE + LEN)        /* where DBG_DECRYPT writes */

typedef struct Pair {
    Chip *a;
    Chip *b;
    uint8_t plain[LEN];
} Pair;

/* Two initialised chips; a guest of random pages runs on the first. */
static void pair_run(Pair *pair, uint32_t policy)
{
    pair->a = chip_new("source");
    pair->b = chip_new("target");
    chip_init(pair->a, 0);
    chip_init(pair->b, 0);
    chip_export(pair->a);
    chip_export(pair->b);
    chip_trust(pair->a, pair->b);
    chip_fill(pair->a, AT_PAGE, LEN);
    memcpy(pair->plain, chip_at(pair->a, AT_PAGE), LEN);
    chip_run(pair->a, policy, 1, LEN);
}

static void pair_set_up(Pair *pair, gconstpointer data)
{
    pair_run(pair, 0);
    chip_connect(pair->a, pair->b);
}

static void pair_tear_down(Pair *pair, gconstpointer data)
{
    chip_free(pair->a);
    chip_free(pair->b);
}

static uint64_t page_at(unsigned i)
{
    return AT_PAGE + i * PSP_PAGE_SIZE;
}

static void packet_carry(Pair *pair)
{
    memcpy(chip_at(pair->b, AT_HDR), chip_at(pair->a, AT_HDR),
           sizeof(PspPacketHeader));
    memcpy(chip_at(pair->b, AT_TRANS), chip_at(pair->a, AT_TRANS),
           PSP_PAGE_SIZE);
}

static void page_seal(Pair *pair, unsigned i)
{
    chip_ok(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_DATA, page_at(i),
                        PSP_PAGE_SIZE));
    packet_carry(pair);
}

static PspStatus page_open(Pair *pair, unsigned i)
{
    return chip_packet(pair->b, PSP_CMD_RECEIVE_UPDATE_DATA, page_at(i),
                       PSP_PAGE_SIZE);
}

static void page_is(Pair *pair, unsigned i, unsigned original)
{
    chip_ok(chip_debug(pair->b, PSP_CMD_DBG_DECRYPT, page_at(i), AT_PLAIN,
                       PSP_PAGE_SIZE));
    g_assert_cmpmem(chip_at(pair->b, AT_PLAIN), PSP_PAGE_SIZE,
                    pair->plain + original * PSP_PAGE_SIZE, PSP_PAGE_SIZE);
}

/* --- Match --------------------------------------------------------------- */

static void test_transfer(Pair *pair, gconstpointer data)
{
    for (unsigned i = 0; i < PAGES; i++) {
        page_seal(pair, i);
        g_assert_true(memcmp(chip_at(pair->a, AT_TRANS),
                             pair->plain + i * PSP_PAGE_SIZE, 64) != 0);
        chip_ok(page_open(pair, i));
    }
    chip_ok(chip_simple(pair->a, PSP_CMD_SEND_FINISH));
    chip_ok(chip_simple(pair->b, PSP_CMD_RECEIVE_FINISH));
    g_assert_cmpint(chip_guest_state(pair->a), ==, PSP_GUEST_SENT);
    g_assert_cmpint(chip_guest_state(pair->b), ==, PSP_GUEST_RUNNING);
    g_assert_true(memcmp(chip_at(pair->a, AT_PAGE), chip_at(pair->b, AT_PAGE),
                         LEN) != 0);
    for (unsigned i = 0; i < PAGES; i++) {
        page_is(pair, i, i);
    }
    chip_is(chip_activate(pair->a, 9), INVALID_GUEST_STATE);
}

static void test_sizes(Pair *pair, gconstpointer data)
{
    static const uint32_t good[] = { 16, 32, 4080, 4096, 8192, 16384 };
    static const uint32_t bad[] = { 0, 1, 15, 17, 4095, 16400, 0xfffffff0 };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        chip_ok(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_DATA, AT_PAGE,
                            good[i]));
        memcpy(chip_at(pair->b, AT_HDR), chip_at(pair->a, AT_HDR), 0x5000);
        chip_ok(chip_packet(pair->b, PSP_CMD_RECEIVE_UPDATE_DATA, AT_PAGE,
                            good[i]));
        chip_ok(chip_debug(pair->b, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_PLAIN,
                           good[i]));
        g_assert_cmpmem(chip_at(pair->b, AT_PLAIN), good[i], pair->plain,
                        good[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_DATA, AT_PAGE,
                            bad[i]), INVALID_LEN);
        chip_is(chip_packet(pair->b, PSP_CMD_RECEIVE_UPDATE_DATA, AT_PAGE,
                            bad[i]), INVALID_LEN);
    }
}

/* A guest comes back after SEND_CANCEL, and can be sent again. */
static void test_cancel(Pair *pair, gconstpointer data)
{
    PspSession first, second;

    memcpy(&first, chip_at(pair->a, AT_SESSION), sizeof(first));
    chip_ok(chip_simple(pair->a, PSP_CMD_SEND_CANCEL));
    g_assert_cmpint(chip_guest_state(pair->a), ==, PSP_GUEST_RUNNING);
    chip_ok(chip_send_start(pair->a, pair->b, &second));
    g_assert_true(memcmp(first.nonce, second.nonce, 16) != 0);
    g_assert_true(memcmp(first.wrap_tk, second.wrap_tk, 32) != 0);
    /* the target still has the keys of the first session */
    page_seal(pair, 0);
    chip_is(page_open(pair, 0), BAD_MEASUREMENT);
    chip_ok(chip_simple(pair->b, PSP_CMD_DEACTIVATE));
    chip_ok(chip_simple(pair->b, PSP_CMD_DECOMMISSION));
    chip_ok(chip_receive_start(pair->b, pair->a, 0, &second));
    chip_ok(chip_activate(pair->b, 8));
    chip_ok(page_open(pair, 0));
    page_is(pair, 0, 0);
}

/* --- Length queries ------------------------------------------------------ */

static void test_query(Pair *pair, gconstpointer data)
{
    PspPacketCmd cmd = { .handle = GUINT32_TO_LE(pair->a->handle) };
    PspSendStart start = { .handle = GUINT32_TO_LE(pair->a->handle) };

    chip_is(psp_exec(pair->a->psp, PSP_CMD_SEND_UPDATE_DATA, &cmd,
                     sizeof(cmd)), INVALID_LEN);
    g_assert_cmpuint(cmd.hdr_len, ==, GUINT32_TO_LE(52));
    g_assert_cmpuint(cmd.trans_len, ==, 0);

    cmd.guest_len = GUINT32_TO_LE(4096);
    chip_is(psp_exec(pair->a->psp, PSP_CMD_SEND_UPDATE_DATA, &cmd,
                     sizeof(cmd)), INVALID_LEN);
    g_assert_cmpuint(cmd.trans_len, ==, GUINT32_TO_LE(4096));

    chip_ok(chip_simple(pair->a, PSP_CMD_SEND_CANCEL));
    chip_is(psp_exec(pair->a->psp, PSP_CMD_SEND_START, &start,
                     sizeof(start)), INVALID_LEN);
    g_assert_cmpuint(start.session_len, ==, GUINT32_TO_LE(128));
    g_assert_cmpint(chip_guest_state(pair->a), ==, PSP_GUEST_RUNNING);
}

/* --- Tampered ------------------------------------------------------------ */

/* Every bit of [@paddr, @paddr + @len) of the target's view, one by one */
static void flip_all(Pair *pair, uint64_t paddr, size_t len)
{
    uint8_t before[PSP_PAGE_SIZE];

    memcpy(before, chip_at(pair->b, AT_PAGE), sizeof(before));
    for (size_t bit = 0; bit < 8 * len; bit++) {
        uint8_t *byte = chip_at(pair->b, paddr + bit / 8);

        *byte ^= 1u << bit % 8;
        chip_is(page_open(pair, 0), BAD_MEASUREMENT);
        g_assert_cmpmem(chip_at(pair->b, AT_PAGE), sizeof(before), before,
                        sizeof(before));
        *byte ^= 1u << bit % 8;
    }
    chip_ok(page_open(pair, 0));
    page_is(pair, 0, 0);
}

static void test_tampered_header(Pair *pair, gconstpointer data)
{
    page_seal(pair, 0);
    flip_all(pair, AT_HDR, sizeof(PspPacketHeader));
}

static void test_tampered_data(Pair *pair, gconstpointer data)
{
    page_seal(pair, 0);
    flip_all(pair, AT_TRANS, PSP_PAGE_SIZE);
}

static void test_truncated(Pair *pair, gconstpointer data)
{
    page_seal(pair, 0);
    chip_is(chip_packet(pair->b, PSP_CMD_RECEIVE_UPDATE_DATA, AT_PAGE, 4080),
            BAD_MEASUREMENT);
    chip_is(chip_packet(pair->b, PSP_CMD_RECEIVE_UPDATE_DATA, AT_PAGE, 4112),
            BAD_MEASUREMENT);
}

/* Lengths of a valid packet that do not fit each other or the buffers */
static void test_mismatched_lengths(Pair *pair, gconstpointer data)
{
    PspPacketCmd good = {
        .handle = GUINT32_TO_LE(pair->b->handle),
        .hdr_paddr = GUINT64_TO_LE(AT_HDR),
        .hdr_len = GUINT32_TO_LE(PSP_PACKET_HDR_LEN),
        .guest_paddr = GUINT64_TO_LE(AT_PAGE),
        .guest_len = GUINT32_TO_LE(PSP_PAGE_SIZE),
        .trans_paddr = GUINT64_TO_LE(AT_TRANS),
        .trans_len = GUINT32_TO_LE(PSP_PAGE_SIZE),
    };
    PspPacketCmd cmd;

    page_seal(pair, 0);
    cmd = good;
    cmd.hdr_len = GUINT32_TO_LE(PSP_PACKET_HDR_LEN - 1);
    chip_is(psp_exec(pair->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, &cmd,
                     sizeof(cmd)), INVALID_LEN);
    cmd = good;
    cmd.trans_len = GUINT32_TO_LE(PSP_PAGE_SIZE - 16);
    chip_is(psp_exec(pair->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, &cmd,
                     sizeof(cmd)), INVALID_LEN);
    cmd = good;
    cmd.guest_paddr = GUINT64_TO_LE(AT_PAGE + 8);
    chip_is(psp_exec(pair->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, &cmd,
                     sizeof(cmd)), INVALID_ADDRESS);
    cmd = good;
    cmd.guest_paddr = GUINT64_TO_LE(UINT64_MAX - 15);
    chip_is(psp_exec(pair->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, &cmd,
                     sizeof(cmd)), INVALID_ADDRESS);
    cmd = good;
    chip_ok(psp_exec(pair->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, &cmd,
                     sizeof(cmd)));
}

/* A bit of the session, one by one: no guest comes of it. */
static void test_tampered_session(Pair *pair, gconstpointer data)
{
    uint32_t guests = chip_status(pair->b).guest_count;
    PspSession session;

    memcpy(&session, chip_at(pair->a, AT_SESSION), sizeof(session));
    for (size_t bit = 0; bit < 8 * sizeof(session); bit++) {
        uint8_t *byte = (uint8_t *)&session + bit / 8;

        *byte ^= 1u << bit % 8;
        chip_is(chip_receive_start(pair->b, pair->a, 0, &session),
                BAD_MEASUREMENT);
        *byte ^= 1u << bit % 8;
    }
    g_assert_cmpuint(chip_status(pair->b).guest_count, ==, guests);
    chip_ok(chip_receive_start(pair->b, pair->a, 0, &session));
}

/* A policy other than the one that was sent */
static void test_tampered_policy(Pair *pair, gconstpointer data)
{
    PspSession session;

    memcpy(&session, chip_at(pair->a, AT_SESSION), sizeof(session));
    for (unsigned bit = 0; bit < 32; bit++) {
        PspStatus status = chip_receive_start(pair->b, pair->a, 1u << bit,
                                              &session);

        if (bit == 2) {
            chip_is(status, UNSUPPORTED);           /* no SEV-ES here */
        } else if ((bit >= 6 && bit < 16) || (bit >= 17 && bit < 24)) {
            chip_is(status, POLICY_FAILURE);        /* reserved; API 2.0 */
        } else {
            chip_is(status, BAD_MEASUREMENT);
        }
    }
}

/* The sender's certificate: another key, or not a key at all */
static void test_tampered_sender(Pair *pair, gconstpointer data)
{
    g_autoptr(Chip) c = chip_new("third");
    PspSession session;
    PspCert *pdh = (PspCert *)chip_at(pair->a, AT_PDH);

    memcpy(&session, chip_at(pair->a, AT_SESSION), sizeof(session));
    chip_init(c, 0);
    chip_export(c);
    chip_is(chip_receive_start(pair->b, c, 0, &session), BAD_MEASUREMENT);
    pdh->pubkey.ec.x[5] ^= 1;
    chip_is(chip_receive_start(pair->b, pair->a, 0, &session),
            INVALID_CERTIFICATE);
    pdh->pubkey.ec.x[5] ^= 1;
    pdh->pubkey.ec.x[71] ^= 1;
    chip_is(chip_receive_start(pair->b, pair->a, 0, &session),
            INVALID_CERTIFICATE);
    pdh->pubkey.ec.x[71] ^= 1;
    pdh->pubkey.ec.curve = GUINT32_TO_LE(PSP_CURVE_P256);
    chip_is(chip_receive_start(pair->b, pair->a, 0, &session),
            INVALID_CERTIFICATE);
    memset(pdh->pubkey.bytes + 4, 0, sizeof(pdh->pubkey) - 4);
    pdh->pubkey.ec.curve = GUINT32_TO_LE(PSP_CURVE_P384);
    chip_is(chip_receive_start(pair->b, pair->a, 0, &session),
            INVALID_CERTIFICATE);
}

/* --- Replayed, reordered, from another session --------------------------- */

/*
 * The API binds a packet to a session only, not to a place or a time: a
 * packet may be opened again and anywhere.  The stream protocol has to refuse.
 */
static void test_replayed(Pair *pair, gconstpointer data)
{
    page_seal(pair, 0);
    chip_ok(page_open(pair, 0));
    chip_ok(page_open(pair, 0));
    chip_ok(page_open(pair, 1));
    page_is(pair, 0, 0);
    page_is(pair, 1, 0);
}

static void test_out_of_order(Pair *pair, gconstpointer data)
{
    for (int i = PAGES - 1; i >= 0; i--) {
        page_seal(pair, i);
        chip_ok(page_open(pair, i));
    }
    for (unsigned i = 0; i < PAGES; i++) {
        page_is(pair, i, i);
    }
}

static void test_cross_session(Pair *pair, gconstpointer data)
{
    Pair other;
    PspSession session;
    uint8_t before[PSP_PAGE_SIZE];

    pair_set_up(&other, NULL);
    /* the same seeds made the same keys: a second session has others */
    chip_ok(chip_simple(other.a, PSP_CMD_SEND_CANCEL));
    chip_ok(chip_send_start(other.a, other.b, &session));
    page_seal(&other, 0);
    memcpy(chip_at(pair->b, AT_HDR), chip_at(other.b, AT_HDR), 0x2000);
    memcpy(before, chip_at(pair->b, AT_PAGE), sizeof(before));
    chip_is(page_open(pair, 0), BAD_MEASUREMENT);
    g_assert_cmpmem(chip_at(pair->b, AT_PAGE), sizeof(before), before,
                    sizeof(before));
    pair_tear_down(&other, NULL);
}

/* A packet goes to no other guest, however alike. */
static void test_reflected(Pair *pair, gconstpointer data)
{
    PspSession session;

    page_seal(pair, 0);
    chip_ok(page_open(pair, 0));
    chip_ok(chip_simple(pair->b, PSP_CMD_RECEIVE_FINISH));
    chip_ok(chip_send_start(pair->b, pair->a, &session));
    chip_is(page_open(pair, 0), INVALID_GUEST_STATE);
}

/* The target's key has gone: what was sealed for it stays sealed. */
static void test_stale_pdh(Pair *pair, gconstpointer data)
{
    PspSession session;

    memcpy(&session, chip_at(pair->a, AT_SESSION), sizeof(session));
    chip_ok(psp_exec(pair->b->psp, PSP_CMD_PDH_GEN, NULL, 0));
    chip_is(chip_receive_start(pair->b, pair->a, 0, &session),
            BAD_MEASUREMENT);
}

/* --- Holes in memory ----------------------------------------------------- */

static void test_holes(Pair *pair, gconstpointer data)
{
    static const uint64_t holes[] = { AT_HDR, AT_TRANS, AT_PAGE };

    page_seal(pair, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(holes); i++) {
        pair->a->hole = pair->b->hole = holes[i];
        chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_DATA, AT_PAGE,
                            PSP_PAGE_SIZE), INVALID_ADDRESS);
        chip_is(page_open(pair, 0), INVALID_ADDRESS);
        g_assert_cmpint(pair->a->mapped + pair->b->mapped, ==, 0);
    }
    pair->b->hole = 0;
    chip_ok(page_open(pair, 0));
}

static void test_inactive(Pair *pair, gconstpointer data)
{
    page_seal(pair, 0);
    chip_ok(chip_simple(pair->a, PSP_CMD_DEACTIVATE));
    chip_ok(chip_simple(pair->b, PSP_CMD_DEACTIVATE));
    chip_is(chip_packet(pair->a, PSP_CMD_SEND_UPDATE_DATA, AT_PAGE,
                        PSP_PAGE_SIZE), INACTIVE);
    chip_is(page_open(pair, 0), INACTIVE);
}

/* --- Batches ------------------------------------------------------------- */

static void batch_fill(PspPacketCmd *cmds, uint32_t handle)
{
    for (unsigned i = 0; i < PAGES; i++) {
        cmds[i] = (PspPacketCmd) {
            .handle = GUINT32_TO_LE(handle),
            .hdr_paddr = GUINT64_TO_LE(AT_HDR + i * PSP_PACKET_HDR_LEN),
            .hdr_len = GUINT32_TO_LE(PSP_PACKET_HDR_LEN),
            .guest_paddr = GUINT64_TO_LE(page_at(i)),
            .guest_len = GUINT32_TO_LE(PSP_PAGE_SIZE),
            .trans_paddr = GUINT64_TO_LE(AT_TRANS + i * PSP_PAGE_SIZE),
            .trans_len = GUINT32_TO_LE(PSP_PAGE_SIZE),
        };
    }
}

static void test_batch(Pair *pair, gconstpointer data)
{
    PspPacketCmd cmds[PAGES];
    size_t done;

    batch_fill(cmds, pair->a->handle);
    chip_ok(psp_exec_batch(pair->a->psp, PSP_CMD_SEND_UPDATE_DATA, cmds,
                           sizeof(cmds[0]), PAGES, &done));
    g_assert_cmpuint(done, ==, PAGES);
    memcpy(chip_at(pair->b, AT_HDR), chip_at(pair->a, AT_HDR), 0x5000);

    /* the third packet is broken: two succeed, and it says so */
    *chip_at(pair->b, AT_TRANS + 2 * PSP_PAGE_SIZE + 100) ^= 1;
    batch_fill(cmds, pair->b->handle);
    chip_is(psp_exec_batch(pair->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, cmds,
                           sizeof(cmds[0]), PAGES, &done), BAD_MEASUREMENT);
    g_assert_cmpuint(done, ==, 2);
    page_is(pair, 0, 0);
    page_is(pair, 1, 1);
    g_assert_true(psp_is_zero(chip_at(pair->b, page_at(2)), 2 * 4096));
    *chip_at(pair->b, AT_TRANS + 2 * PSP_PAGE_SIZE + 100) ^= 1;
    chip_ok(psp_exec_batch(pair->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA,
                           &cmds[2], sizeof(cmds[0]), 2, &done));
    page_is(pair, 2, 2);
    page_is(pair, 3, 3);
}

/* --- The target's certificates: policy SEV and DOMAIN -------------------- */

/* --- Opened later ----------------------------------------------------------- */

static bool key_open(const PspPacketKey *key, Chip *chip, uint8_t *plain)
{
    return psp_packet_key_open(key, chip_at(chip, AT_HDR),
                               chip_at(chip, AT_TRANS), plain, PSP_PAGE_SIZE);
}

/* TEK and TIK outlive RECEIVE_FINISH and the guest, for who asked in time. */
static void test_opened_later(Pair *pair, gconstpointer data)
{
    static const uint8_t untouched[PSP_PAGE_SIZE];
    g_autoptr(PspPacketKey) key = NULL, second = NULL;
    uint8_t plain[PSP_PAGE_SIZE] = { 0 };

    g_assert_null(psp_packet_key_get(pair->a->psp, pair->a->handle));
    g_assert_null(psp_packet_key_get(pair->b->psp, pair->b->handle + 1));
    key = psp_packet_key_get(pair->b->psp, pair->b->handle);
    g_assert_nonnull(key);
    page_seal(pair, 2);
    chip_ok(chip_simple(pair->b, PSP_CMD_RECEIVE_FINISH));
    g_assert_null(psp_packet_key_get(pair->b->psp, pair->b->handle));
    chip_is(page_open(pair, 2), INVALID_GUEST_STATE);

    for (size_t bit = 0; bit < 8 * (PSP_PACKET_HDR_LEN + 64); bit++) {
        uint8_t *at = bit / 8 < PSP_PACKET_HDR_LEN
            ? chip_at(pair->b, AT_HDR) + bit / 8
            : chip_at(pair->b, AT_TRANS) + bit / 8 - PSP_PACKET_HDR_LEN;

        *at ^= 1 << bit % 8;
        g_assert_false(key_open(key, pair->b, plain));
        g_assert_cmpmem(plain, sizeof(plain), untouched, sizeof(untouched));
        *at ^= 1 << bit % 8;
    }
    second = psp_packet_key_ref(key);
    psp_packet_key_unref(g_steal_pointer(&key));
    g_assert_true(key_open(second, pair->b, plain));
    g_assert_cmpmem(plain, sizeof(plain), pair->plain + 2 * PSP_PAGE_SIZE,
                    sizeof(plain));
}

static void target_refused(Pair *pair, const char *because)
{
    PspSession session;

    chip_is(chip_send_start(pair->a, pair->b, &session),
            INVALID_CERTIFICATE);
    if (because) {
        g_assert_cmpstr(psp_last_error(), ==, because);
    }
    g_assert_cmpint(chip_guest_state(pair->a), ==, PSP_GUEST_RUNNING);
}

/* With -m slow every bit, which takes minutes; else one in 57. */
static void flip_certs(Pair *pair, uint64_t paddr, size_t len)
{
    for (size_t bit = 0; bit < 8 * len; bit += g_test_slow() ? 1 : 57) {
        *chip_at(pair->b, paddr + bit / 8) ^= 1u << bit % 8;
        target_refused(pair, NULL);
        *chip_at(pair->b, paddr + bit / 8) ^= 1u << bit % 8;
    }
}

static void test_policy_sev(void)
{
    Pair pair;
    PspSession session;

    pair_run(&pair, PSP_POLICY_SEV);
    flip_certs(&pair, AT_PDH, PSP_CERT_LEN);
    flip_certs(&pair, AT_PLAT, PSP_CHAIN_LEN);
    flip_certs(&pair, AT_AMD, 2 * PSP_AMD_CERT_LEN_2048);
    chip_ok(chip_send_start(pair.a, pair.b, &session));
    pair_tear_down(&pair, NULL);
}

static void test_policy_sev_unknown_root(void)
{
    Pair pair;
    PspSession session;

    pair_run(&pair, PSP_POLICY_SEV);
    psp_platform_trust(pair.a->psp, NULL);
    target_refused(&pair, "the platform's ARK is not a root that is trusted"
                          " here");
    /* but it trusts itself */
    chip_ok(chip_send_start(pair.a, pair.a, &session));
    pair_tear_down(&pair, NULL);
}

static void test_policy_none(void)
{
    Pair pair;
    PspSession session;

    pair_run(&pair, 0);
    psp_platform_trust(pair.a->psp, NULL);
    memset(chip_at(pair.b, AT_PLAT), 0xee, PSP_CHAIN_LEN);
    chip_ok(chip_send_start(pair.a, pair.b, &session));
    pair_tear_down(&pair, NULL);
}

static void test_policy_nosend(void)
{
    Pair pair;
    PspSession session;

    pair_run(&pair, PSP_POLICY_NOSEND);
    chip_is(chip_send_start(pair.a, pair.b, &session), POLICY_FAILURE);
    g_assert_cmpint(chip_guest_state(pair.a), ==, PSP_GUEST_RUNNING);
    pair_tear_down(&pair, NULL);
}

static void test_policy_domain(void)
{
    Pair pair;
    PspSession session;

    pair_run(&pair, PSP_POLICY_DOMAIN);
    chip_is(chip_send_start(pair.a, pair.b, &session), POLICY_FAILURE);
    chip_ok(chip_send_start(pair.a, pair.a, &session));
    chip_ok(chip_simple(pair.a, PSP_CMD_SEND_CANCEL));
    /* AMD's part of the chain is not looked at */
    *chip_at(pair.a, AT_AMD + 100) ^= 1;
    chip_ok(chip_send_start(pair.a, pair.a, &session));
    chip_ok(chip_simple(pair.a, PSP_CMD_SEND_CANCEL));
    *chip_at(pair.a, AT_PLAT + 0x424) ^= 1;       /* the OCA's signature */
    chip_is(chip_send_start(pair.a, pair.a, &session), INVALID_CERTIFICATE);
    pair_tear_down(&pair, NULL);
}

/* The target's PEK is older than the guest's policy wants. */
static void test_policy_api(void)
{
    Pair pair;
    PspSession session;
    PspChain chain;
    uint8_t major, minor;

    pair_run(&pair, PSP_POLICY_SEV | PSP_API_MAJOR << 16 |
                    PSP_API_MINOR << 24);
    chip_ok(chip_send_start(pair.a, pair.b, &session));
    chain = chip_chain(pair.b);
    g_assert_true(psp_chain_api(&chain, &major, &minor));
    g_assert_cmpuint(major, ==, PSP_API_MAJOR);
    g_assert_cmpuint(minor, ==, PSP_API_MINOR);
    pair_tear_down(&pair, NULL);
}

/* --- Main ---------------------------------------------------------------- */

static void add(const char *name, void (*test)(Pair *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/psp/pair/", name, NULL);

    g_test_add(path, Pair, NULL, pair_set_up, test, pair_tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("match/transfer", test_transfer);
    add("match/sizes", test_sizes);
    add("match/cancel", test_cancel);
    add("match/batch", test_batch);
    add("match/query", test_query);
    add("tampered/header", test_tampered_header);
    add("tampered/data", test_tampered_data);
    add("tampered/session", test_tampered_session);
    add("tampered/policy", test_tampered_policy);
    add("tampered/sender", test_tampered_sender);
    add("truncated", test_truncated);
    add("mismatched-lengths", test_mismatched_lengths);
    add("replayed", test_replayed);
    add("out-of-order", test_out_of_order);
    add("cross-session", test_cross_session);
    add("reflected", test_reflected);
    add("stale-pdh", test_stale_pdh);
    add("holes", test_holes);
    add("inactive", test_inactive);
    add("opened-later", test_opened_later);
    g_test_add_func("/psp/pair/policy/sev", test_policy_sev);
    g_test_add_func("/psp/pair/policy/sev-unknown-root",
                    test_policy_sev_unknown_root);
    g_test_add_func("/psp/pair/policy/none", test_policy_none);
    g_test_add_func("/psp/pair/policy/nosend", test_policy_nosend);
    g_test_add_func("/psp/pair/policy/domain", test_policy_domain);
    g_test_add_func("/psp/pair/policy/api", test_policy_api);
    return g_test_run();
}
