/*
 * Many packets at once: the same bytes from every provider, from every
 * thread, in batches of any size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chip.h"

static const char *const providers[] = { "nettle", "ipsec-mb" };

static const PspTransportKeys keys = { .tek = "the same for all",
                                       .tik = "and so is this" };

/* --- Providers ----------------------------------------------------------- */

#define JOBS PSP_BATCH_MAX

typedef struct Jobs {
    PspPacketJob jobs[JOBS];
    uint8_t *area;
} Jobs;

/* Random data, lengths and IVs; some IVs are about to carry. */
static void jobs_fill(Jobs *j, Chip *chip, bool whole_pages)
{
    const size_t slot = PSP_PACKET_ROOM + PSP_PACKET_MAX_LEN;

    j->area = g_aligned_alloc0(JOBS, slot, 64);
    for (size_t i = 0; i < JOBS; i++) {
        PspPacketJob *job = &j->jobs[i];
        uint16_t r;

        chip_random(chip, &r, sizeof(r));
        memset(job, 0, sizeof(*job));
        job->data = j->area + i * slot + PSP_PACKET_ROOM;
        job->len = whole_pages ? PSP_PAGE_SIZE : 16 + 16 * (r % 1024);
        chip_random(chip, job->data, job->len);
        chip_random(chip, job->hdr.iv, 16);
        if (i % 5 == 0) {
            memset(job->hdr.iv + i % 13, 0xff, 16 - i % 13);
            job->hdr.iv[15] -= i;
        }
    }
}

static void jobs_clear(Jobs *j)
{
    g_aligned_free(j->area);
}

static bool provider_missing(const char *name)
{
    if (psp_packet_set_provider(name)) {
        return false;
    }
    g_test_skip("this machine has no such provider");
    return true;
}

static void check_provider(const char *name, size_t n, bool whole_pages)
{
    g_autoptr(Chip) chip = chip_new("many");
    g_autofree uint8_t *want = g_malloc(PSP_PACKET_MAX_LEN);
    PspTransport t;
    Jobs many, one;

    psp_transport_init(&t, &keys);
    jobs_fill(&many, chip, whole_pages);
    chip->seed[0] = g_str_hash("many");
    jobs_fill(&one, chip, whole_pages);

    g_assert_true(psp_packet_set_provider(name));
    psp_packet_seal_many(&t, PSP_PACKET_DATA, many.jobs, n);
    for (size_t i = 0; i < n; i++) {
        PspPacketJob *a = &many.jobs[i], *b = &one.jobs[i];

        psp_packet_seal(&t, PSP_PACKET_DATA, NULL, &b->hdr, b->data, want,
                        b->len);
        g_assert_cmpmem(a->data, a->len, want, b->len);
        g_assert_cmpmem(&a->hdr, 52, &b->hdr, 52);
        if (i % 3 == 1) {
            a->data[a->len - 1] ^= 1;
        }
    }
    psp_packet_open_many(&t, PSP_PACKET_DATA, many.jobs, n);
    for (size_t i = 0; i < n; i++) {
        PspPacketJob *a = &many.jobs[i], *b = &one.jobs[i];

        g_assert_cmpint(a->authentic, ==, i % 3 != 1);
        if (a->authentic) {
            g_assert_cmpmem(a->data, a->len, b->data, b->len);
        } else {
            g_assert_true(memcmp(a->data, b->data, a->len) != 0);
        }
    }
    jobs_clear(&many);
    jobs_clear(&one);
}

static void test_provider(gconstpointer name)
{
    if (provider_missing(name)) {
        return;
    }
    for (size_t n = 0; n <= JOBS; n++) {
        check_provider(name, n, true);
    }
    check_provider(name, JOBS, false);
}

static void test_choice(void)
{
    g_assert_true(psp_packet_set_provider("nettle"));
    g_assert_cmpstr(psp_packet_provider(), ==, "nettle");
    g_assert_false(psp_packet_set_provider("abacus"));
}

/* --- Batches of commands ------------------------------------------------- */

#define AT_SLOTS (CHIP_BASE + 0x40000)
#define SLOT 0x5000             /* header, and at 0x1000 the data */

static PspPacketCmd command(Chip *chip, size_t i, uint32_t len)
{
    return (PspPacketCmd) {
        .handle = GUINT32_TO_LE(chip->handle),
        .hdr_paddr = GUINT64_TO_LE(AT_SLOTS + i * SLOT),
        .hdr_len = GUINT32_TO_LE(PSP_PACKET_HDR_LEN),
        .guest_paddr = GUINT64_TO_LE(AT_PAGE + 16 * i),
        .guest_len = GUINT32_TO_LE(len),
        .trans_paddr = GUINT64_TO_LE(AT_SLOTS + i * SLOT + 0x1000),
        .trans_len = GUINT32_TO_LE(len),
    };
}

typedef struct Transfer {
    Chip *a;
    Chip *b;
} Transfer;

static void transfer_start(Transfer *x)
{
    x->a = chip_new("many-source");
    x->b = chip_new("many-target");
    chip_init(x->a, 0);
    chip_init(x->b, 0);
    chip_fill(x->a, AT_PAGE, 0x8000);
    chip_run(x->a, 0, 1, 0x8000);
    chip_connect(x->a, x->b);
}

static void transfer_end(Transfer *x)
{
    chip_free(x->a);
    chip_free(x->b);
}

/* Lengths up to 16 KiB in one batch, with a gap that fails */
static void check_lengths(size_t n, size_t broken)
{
    g_autofree PspPacketCmd *cmds = g_new(PspPacketCmd, n);
    Transfer x;
    size_t done;

    transfer_start(&x);
    for (size_t i = 0; i < n; i++) {
        cmds[i] = command(x.a, i, 4096 * (1 + i % 4));
    }
    chip_ok(psp_exec_batch(x.a->psp, PSP_CMD_SEND_UPDATE_DATA, cmds,
                           sizeof(*cmds), n, &done));
    g_assert_cmpuint(done, ==, n);
    memcpy(chip_at(x.b, AT_SLOTS), chip_at(x.a, AT_SLOTS), n * SLOT);
    for (size_t i = 0; i < n; i++) {
        cmds[i] = command(x.b, i, 4096 * (1 + i % 4));
    }
    if (broken < n) {
        *chip_at(x.b, AT_SLOTS + broken * SLOT) ^= 1;
        chip_is(psp_exec_batch(x.b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, cmds,
                               sizeof(*cmds), n, &done), BAD_MEASUREMENT);
        g_assert_cmpuint(done, ==, broken);
        *chip_at(x.b, AT_SLOTS + broken * SLOT) ^= 1;
        cmds[broken].guest_len = GUINT32_TO_LE(20);
        chip_is(psp_exec_batch(x.b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, cmds,
                               sizeof(*cmds), n, &done), INVALID_LEN);
        g_assert_cmpuint(done, ==, broken);
    } else {
        chip_ok(psp_exec_batch(x.b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, cmds,
                               sizeof(*cmds), n, &done));
        g_assert_cmpuint(done, ==, n);
        chip_ok(chip_debug(x.b, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_PAGE,
                           4096));
        chip_ok(chip_debug(x.a, PSP_CMD_DBG_DECRYPT, AT_PAGE, AT_PAGE,
                           4096));
        g_assert_cmpmem(chip_at(x.a, AT_PAGE), n ? 4096 : 0,
                        chip_at(x.b, AT_PAGE), n ? 4096 : 0);
    }
    transfer_end(&x);
}

static void test_batch(gconstpointer name)
{
    if (provider_missing(name)) {
        return;
    }
    check_lengths(0, 1);
    check_lengths(1, 1);
    for (size_t i = 0; i <= 30; i += 5) {
        check_lengths(30, i);
    }
}

/* Guests may be mixed in a batch. */
static void test_batch_guests(void)
{
    g_autoptr(Chip) chip = chip_new("many");
    PspGuestStatus status[2] = { 0 };
    PspPacketCmd cmds[6];
    PspSession session;
    uint32_t first;
    size_t done;

    chip_init(chip, 0);
    chip_export(chip);
    chip_run(chip, 0, 1, 4096);
    chip_ok(chip_send_start(chip, chip, &session));
    first = chip->handle;
    chip_run(chip, 0, 2, 4096);
    chip_ok(chip_send_start(chip, chip, &session));
    for (size_t i = 0; i < 6; i++) {
        cmds[i] = command(chip, i, 4096);
        if (i == 2 || i == 3) {
            cmds[i].handle = GUINT32_TO_LE(first);
        }
    }
    chip_ok(psp_exec_batch(chip->psp, PSP_CMD_SEND_UPDATE_DATA, cmds,
                           sizeof(cmds[0]), 6, &done));
    g_assert_cmpuint(done, ==, 6);
    cmds[4].handle = GUINT32_TO_LE(777);
    chip_is(psp_exec_batch(chip->psp, PSP_CMD_SEND_UPDATE_DATA, cmds,
                           sizeof(cmds[0]), 6, &done), INVALID_GUEST);
    g_assert_cmpuint(done, ==, 4);

    /* other commands come in batches too, if only one by one */
    status[0].handle = GUINT32_TO_LE(first);
    status[1].handle = GUINT32_TO_LE(778);
    chip_is(psp_exec_batch(chip->psp, PSP_CMD_GUEST_STATUS, status,
                           sizeof(status[0]), 2, &done), INVALID_GUEST);
    g_assert_cmpuint(done, ==, 1);
    g_assert_cmpuint(status[0].state, ==, PSP_GUEST_SUPDATE);
    chip_is(psp_exec_batch(chip->psp, PSP_CMD_INVALID, status, 13, 2, &done),
            INVALID_COMMAND);
}

/* --- Threads ------------------------------------------------------------- */

#define THREADS 8
#define ROUNDS 60

typedef struct Lane {
    Transfer *x;
    size_t index;
} Lane;

/* Each thread has its own slot, all share one guest on either side. */
static gpointer lane_main(gpointer opaque)
{
    Lane *lane = opaque;
    Chip *a = lane->x->a, *b = lane->x->b;
    uint64_t at = AT_SLOTS + lane->index * SLOT;

    for (int i = 0; i < ROUNDS; i++) {
        PspPacketCmd cmd = command(a, lane->index, 4096);
        uint64_t page = AT_PAGE + 4096 * lane->index;

        cmd.guest_paddr = GUINT64_TO_LE(page);
        chip_ok(psp_exec(a->psp, PSP_CMD_SEND_UPDATE_DATA, &cmd,
                         sizeof(cmd)));
        memcpy(chip_at(b, at), chip_at(a, at), SLOT);
        cmd = command(b, lane->index, 4096);
        cmd.guest_paddr = GUINT64_TO_LE(page);
        chip_ok(psp_exec(b->psp, PSP_CMD_RECEIVE_UPDATE_DATA, &cmd,
                         sizeof(cmd)));
    }
    return NULL;
}

static void test_threads(void)
{
    GThread *threads[THREADS];
    Lane lanes[THREADS];
    Transfer x;

    transfer_start(&x);
    x.a->many_threads = x.b->many_threads = true;
    for (size_t i = 0; i < THREADS; i++) {
        lanes[i] = (Lane) { &x, i };
        threads[i] = g_thread_new("lane", lane_main, &lanes[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
    }
    x.a->many_threads = x.b->many_threads = false;
    for (size_t i = 0; i < THREADS; i++) {
        uint64_t page = AT_PAGE + 4096 * i;

        chip_ok(chip_debug(x.b, PSP_CMD_DBG_DECRYPT, page, page, 4096));
        chip_ok(chip_debug(x.a, PSP_CMD_DBG_DECRYPT, page, page, 4096));
        g_assert_cmpmem(chip_at(x.a, page), 4096, chip_at(x.b, page), 4096);
    }
    transfer_end(&x);
}

/* Packets while the guest's state, and the platform's, change under them */
typedef struct Race {
    Chip *chip;
    size_t index;
    gint *stop;
} Race;

static gpointer race_main(gpointer opaque)
{
    Race *race = opaque;
    unsigned sealed = 0;

    while (!g_atomic_int_get(race->stop)) {
        PspPacketCmd cmd = command(race->chip, race->index, 4096);
        PspStatus status = psp_exec(race->chip->psp,
                                    PSP_CMD_SEND_UPDATE_DATA, &cmd,
                                    sizeof(cmd));

        g_assert_true(status == PSP_SUCCESS ||
                      status == PSP_INVALID_GUEST_STATE ||
                      status == PSP_INACTIVE ||
                      status == PSP_INVALID_GUEST ||
                      status == PSP_INVALID_PLATFORM_STATE);
        sealed += status == PSP_SUCCESS;
    }
    return GUINT_TO_POINTER(sealed);
}

static void test_race(void)
{
    g_autoptr(Chip) chip = chip_new("many-race");
    GThread *threads[4];
    Race races[4];
    PspSession session;
    gint stop = 0;
    unsigned sealed = 0;

    chip_init(chip, 0);
    chip_export(chip);
    chip_run(chip, 0, 1, 0x8000);
    chip->many_threads = true;
    for (size_t i = 0; i < 4; i++) {
        races[i] = (Race) { chip, i, &stop };
        threads[i] = g_thread_new("race", race_main, &races[i]);
    }
    for (int i = 0; i < 40; i++) {
        chip_ok(chip_send_start(chip, chip, &session));
        g_usleep(1000);
        chip_ok(chip_simple(chip, PSP_CMD_DEACTIVATE));
        chip_ok(psp_exec(chip->psp, PSP_CMD_DF_FLUSH, NULL, 0));
        chip_ok(chip_activate(chip, 1));
        chip_ok(chip_simple(chip, PSP_CMD_SEND_CANCEL));
    }
    chip_ok(psp_exec(chip->psp, PSP_CMD_SHUTDOWN, NULL, 0));
    g_usleep(1000);
    g_atomic_int_set(&stop, 1);
    for (size_t i = 0; i < 4; i++) {
        sealed += GPOINTER_TO_UINT(g_thread_join(threads[i]));
    }
    g_test_message("%u packets", sealed);
    g_assert_cmpuint(sealed, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(providers); i++) {
        g_autofree char *bytes = g_strconcat("/psp/many/bytes/",
                                             providers[i], NULL);
        g_autofree char *batch = g_strconcat("/psp/many/batch/",
                                             providers[i], NULL);

        g_test_add_data_func(bytes, providers[i], test_provider);
        g_test_add_data_func(batch, providers[i], test_batch);
    }
    g_test_add_func("/psp/many/choice", test_choice);
    g_test_add_func("/psp/many/batch-guests", test_batch_guests);
    g_test_add_func("/psp/many/threads", test_threads);
    g_test_add_func("/psp/many/race", test_race);
    return g_test_run();
}
