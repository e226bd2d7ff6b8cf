/*
 * How fast are packets?  Beside OpenSSL making the same packet, and beside
 * what the two primitives cost by themselves, in the same run.
 *
 *   packet  AES-128-CTR + HMAC-SHA256 over a page, keys kept
 *   command SEND_UPDATE_DATA or RECEIVE_UPDATE_DATA: packet, memory engine
 *           (AES-128-XTS), copies, checks, locks
 *
 * usage: bench-psp [SECONDS-PER-ROW]
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef BENCH_OPENSSL
#include <openssl/evp.h>
#include <openssl/sha.h>
#endif

#include "tests/unit/psp/chip.h"

#define PAGE        PSP_PAGE_SIZE
#define RING        128         /* packets in flight at most */
#define THREADS_MAX 2

static double bench_seconds = 0.3;
static const PspTransportKeys bench_keys = { .tek = "bench tek",
                                             .tik = "bench tik" };

/* --- A row: some threads doing the same for a while ---------------------- */

typedef struct Work {
    /* one batch; set_up and clear run outside the clock */
    void (*run)(struct Work *work);
    void (*set_up)(struct Work *work);
    void (*clear)(struct Work *work);
    size_t batch;
    void *state;
    uint64_t packets;
    double seconds;             /* by the clock */
    double cpu;                 /* of this thread: other load costs none */
} Work;

static double bench_time(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static gpointer bench_thread(gpointer opaque)
{
    Work *work = opaque;
    double start, now, cpu;

    work->set_up(work);
    work->run(work);
    cpu = bench_time(CLOCK_THREAD_CPUTIME_ID);
    start = now = bench_time(CLOCK_MONOTONIC);
    while (now - start < bench_seconds) {
        for (int i = 0; i < 8; i++) {
            work->run(work);
            work->packets += work->batch;
        }
        now = bench_time(CLOCK_MONOTONIC);
    }
    work->seconds = now - start;
    work->cpu = bench_time(CLOCK_THREAD_CPUTIME_ID) - cpu;
    work->clear(work);
    return NULL;
}

/*
 * Prints packets per second by the clock; returns packets per second of CPU
 * time, which is comparable on a busy machine.
 */
static double bench_row(const char *what, const char *who, const Work *proto,
                        int threads)
{
    GThread *thread[THREADS_MAX];
    Work work[THREADS_MAX];
    double rate = 0, cpu = 0;

    for (int i = 0; i < threads; i++) {
        work[i] = *proto;
        thread[i] = g_thread_new("bench", bench_thread, &work[i]);
    }
    for (int i = 0; i < threads; i++) {
        g_thread_join(thread[i]);
        rate += work[i].packets / work[i].seconds;
        cpu += work[i].packets / work[i].cpu / threads;
    }
    printf("%-16s %-9s %2d %5zu %10.0f %8.2f %8.0f %8.2f\n", what, who,
           threads, proto->batch, rate, rate * PAGE / 1e9, 1e9 / cpu,
           cpu * PAGE / 1e9);
    fflush(stdout);
    return cpu;
}

/* --- Packets alone ------------------------------------------------------- */

typedef struct Ring {
    PspTransport transport;
    PspPacketJob jobs[RING];
    uint8_t *area;
} Ring;

static void ring_set_up(Work *work)
{
    const size_t slot = PSP_PACKET_ROOM + PAGE;
    Ring *ring = g_aligned_alloc0(1, sizeof(*ring), 64);

    ring->area = g_aligned_alloc0(RING, slot, 64);
    psp_transport_init(&ring->transport, &bench_keys);
    for (size_t i = 0; i < RING; i++) {
        ring->jobs[i].data = ring->area + i * slot + PSP_PACKET_ROOM;
        ring->jobs[i].len = PAGE;
        ring->jobs[i].hdr.iv[0] = i;
    }
    work->state = ring;
}

static void ring_clear(Work *work)
{
    Ring *ring = work->state;

    g_aligned_free(ring->area);
    g_aligned_free(ring);
}

static void ring_seal(Work *work)
{
    Ring *ring = work->state;

    psp_packet_seal_many(&ring->transport, PSP_PACKET_DATA, ring->jobs,
                         work->batch);
}

/* Opening makes plaintext, which does not open again: seal, then open. */
static void ring_seal_open(Work *work)
{
    Ring *ring = work->state;

    ring_seal(work);
    psp_packet_open_many(&ring->transport, PSP_PACKET_DATA, ring->jobs,
                         work->batch);
    if (!ring->jobs[work->batch - 1].authentic) {
        abort();
    }
}

static void ring_ctr(Work *work)
{
    Ring *ring = work->state;

    for (size_t i = 0; i < work->batch; i++) {
        psp_ctr_crypt(&ring->transport.tek, ring->jobs[i].hdr.iv,
                      ring->jobs[i].data, ring->jobs[i].data, PAGE);
    }
}

static void ring_hmac(Work *work)
{
    Ring *ring = work->state;
    uint8_t mac[32];

    for (size_t i = 0; i < work->batch; i++) {
        psp_hmac_update(&ring->transport.tik, ring->jobs[i].data - 29,
                        PAGE + 29);
        psp_hmac_final(&ring->transport.tik, mac);
    }
}

static void ring_wide_ctr(Work *work)
{
    Ring *ring = work->state;

    psp_wide_crypt(&ring->transport, ring->jobs, work->batch, false);
}

static void ring_wide_mac(Work *work)
{
    Ring *ring = work->state;
    uint8_t macs[RING][32];

    psp_wide_mac(&ring->transport, PSP_PACKET_DATA, ring->jobs, work->batch,
                 macs);
}

#ifdef BENCH_OPENSSL
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

typedef struct Openssl {
    EVP_CIPHER_CTX *ctr;
    SHA256_CTX inner, outer;
    uint8_t *area;
} Openssl;

static void openssl_set_up(Work *work)
{
    Openssl *o = g_new0(Openssl, 1);
    uint8_t pad[64];

    o->area = g_aligned_alloc0(RING, PSP_PACKET_ROOM + PAGE, 64);
    o->ctr = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(o->ctr, EVP_aes_128_ctr(), NULL, bench_keys.tek, NULL);
    memset(pad, 0x36, sizeof(pad));
    for (int i = 0; i < 16; i++) {
        pad[i] ^= bench_keys.tik[i];
    }
    SHA256_Init(&o->inner);
    SHA256_Update(&o->inner, pad, 64);
    for (int i = 0; i < 64; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    SHA256_Init(&o->outer);
    SHA256_Update(&o->outer, pad, 64);
    work->state = o;
}

static void openssl_clear(Work *work)
{
    Openssl *o = work->state;

    EVP_CIPHER_CTX_free(o->ctr);
    g_aligned_free(o->area);
    g_free(o);
}

static void openssl_seal(Work *work)
{
    Openssl *o = work->state;

    for (size_t i = 0; i < work->batch; i++) {
        uint8_t *data = o->area + i * (PSP_PACKET_ROOM + PAGE) + 64;
        uint8_t iv[16] = { i }, tag[32];
        SHA256_CTX c = o->inner;
        int n;

        EVP_EncryptInit_ex(o->ctr, NULL, NULL, NULL, iv);
        EVP_EncryptUpdate(o->ctr, data, &n, data, PAGE);
        SHA256_Update(&c, data - 29, PAGE + 29);
        SHA256_Final(tag, &c);
        c = o->outer;
        SHA256_Update(&c, tag, 32);
        SHA256_Final(tag, &c);
    }
}
#endif

/* --- Commands ------------------------------------------------------------ */

typedef struct Guests {
    Chip *a;
    Chip *b;
    PspPacketCmd send[RING];
    PspPacketCmd receive[RING];
} Guests;

#define AT_HDRS (CHIP_BASE + 0xc000)
#define AT_DATA (CHIP_BASE + 0x80000 + 0x10000)
#define PAGES   64              /* of guest memory, in turn */

static PspPacketCmd guests_cmd(Chip *chip, size_t i)
{
    return (PspPacketCmd) {
        .handle = chip->handle,
        .hdr_paddr = AT_HDRS + i % PAGES * 64,
        .hdr_len = PSP_PACKET_HDR_LEN,
        .guest_paddr = AT_PAGE + i % PAGES * PAGE,
        .guest_len = PAGE,
        .trans_paddr = AT_DATA + i % PAGES * PAGE,
        .trans_len = PAGE,
    };
}

static void guests_set_up(Work *work)
{
    Guests *g = g_new0(Guests, 1);

    g->a = chip_new("bench-a");
    g->b = chip_new("bench-b");
    chip_init(g->a, 0);
    chip_init(g->b, 0);
    chip_run(g->a, 0, 1, PAGES * PAGE);
    chip_connect(g->a, g->b);
    for (size_t i = 0; i < RING; i++) {
        g->send[i] = guests_cmd(g->a, i);
        g->receive[i] = guests_cmd(g->b, i);
    }
    for (size_t i = 0; i < PAGES; i++) {
        chip_ok(psp_exec(g->a->psp, PSP_CMD_SEND_UPDATE_DATA, &g->send[i],
                         sizeof(g->send[0])));
    }
    memcpy(g->b->mem, g->a->mem, CHIP_MEM);
    work->state = g;
}

static void guests_clear(Work *work)
{
    Guests *g = work->state;

    chip_free(g->a);
    chip_free(g->b);
    g_free(g);
}

static void guests_send(Work *work)
{
    Guests *g = work->state;
    size_t done;

    chip_ok(psp_exec_batch(g->a->psp, PSP_CMD_SEND_UPDATE_DATA, g->send,
                           sizeof(g->send[0]), work->batch, &done));
}

static void guests_receive(Work *work)
{
    Guests *g = work->state;
    size_t done;

    chip_ok(psp_exec_batch(g->b->psp, PSP_CMD_RECEIVE_UPDATE_DATA,
                           g->receive, sizeof(g->receive[0]), work->batch,
                           &done));
}

static void guests_engine(Work *work)
{
    Guests *g = work->state;
    g_autoptr(PspMemKey) key = psp_mem_key_get(g->a->psp, 1);

    for (size_t i = 0; i < work->batch; i++) {
        psp_mem_decrypt(key, AT_PAGE, chip_at(g->a, AT_PAGE + PAGE * (i % 64)),
                        chip_at(g->a, AT_DATA), PAGE);
    }
}

/* --- Main ---------------------------------------------------------------- */

static const size_t batches[] = { 1, 8, PSP_BATCH_MAX };

static void bench_many(const char *what, const char *who, Work work)
{
    for (int threads = 1; threads <= THREADS_MAX; threads++) {
        for (size_t i = 0; i < G_N_ELEMENTS(batches); i++) {
            work.batch = batches[i];
            bench_row(what, who, &work, threads);
        }
    }
}

static void bench_provider(const char *who, double openssl)
{
    bool wide = strcmp(who, "nettle") != 0;
    Work ring = { .set_up = ring_set_up, .clear = ring_clear, .batch = 32 };
    Work guests = { .set_up = guests_set_up, .clear = guests_clear };
    double ctr, mac, seal;

    if (!psp_packet_set_provider(who)) {
        printf("%s: not on this machine\n", who);
        return;
    }
    ring.run = wide ? ring_wide_ctr : ring_ctr;
    ctr = bench_row("CTR alone", who, &ring, 1);
    ring.run = wide ? ring_wide_mac : ring_hmac;
    mac = bench_row("HMAC alone", who, &ring, 1);
    ring.run = ring_seal;
    seal = bench_row("packet seal", who, &ring, 1);
    printf("  %.0f %% of the raw rate of both primitives",
           100 * seal * (1 / ctr + 1 / mac));
    if (openssl) {
        printf("; %.2f x OpenSSL", seal / openssl);
    }
    printf("\n");
    bench_many("packet seal", who, ring);
    ring.run = ring_seal_open;
    bench_many("seal and open", who, ring);
    guests.run = guests_send;
    bench_many("SEND_UPDATE", who, guests);
    guests.run = guests_receive;
    bench_many("RECEIVE_UPDATE", who, guests);
}

int main(int argc, char **argv)
{
    Work guests = {
        .set_up = guests_set_up, .clear = guests_clear,
        .run = guests_engine, .batch = 32,
    };
    double openssl = 0;

    if (argc > 1) {
        bench_seconds = atof(argv[1]);
    }
    /* make the benches' identities now, not in a thread */
    guests_set_up(&guests);
    guests_clear(&guests);
    printf("%-16s %-9s %2s %5s %10s %8s %8s %8s\n", "what", "provider",
           "th", "batch", "packets/s", "GB/s", "cpu ns", "cpu GB/s");
#ifdef BENCH_OPENSSL
    {
        Work work = {
            .set_up = openssl_set_up, .clear = openssl_clear,
            .run = openssl_seal, .batch = 32,
        };

        openssl = bench_row("packet seal", "openssl", &work, 1);
    }
#endif
    bench_row("memory engine", "libgcrypt", &guests, 1);
    bench_provider("nettle", openssl);
    bench_provider("ipsec-mb", openssl);
    return 0;
}
