/*
 * How fast does the lane seal and open pages, beside OpenSSL in the same run?
 *
 *   library  the C code in this process
 *   image    sev-lane.bin in a KVM guest, in ring 3, batches of 256 pages; the
 *            time is from entry to bell, without setting registers
 *
 * The rows take turns, and of each the best batch counts: another load on the
 * machine slows all of them, and not the best of many.
 *
 * usage: bench-lane IMAGE [ROUNDS]
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/lane/kvmlane.h"
#include "tests/unit/lane/lanehost.h"

#define BATCH   LANE_MAX_JOBS
#define PATHS   3

static const char *const names[PATHS] = {
    "AES-NI, PCLMULQDQ", "VAES, 256 bits", "VAES, 512 bits",
};

typedef struct Row {
    char name[64];
    double seal, open;          /* the best batch: seconds a page */
} Row;

static uint8_t secret[AEAD_KEY], aad[AEAD_BLOCK], nonce[AEAD_NONCE];
static uint8_t tags[BATCH][AEAD_BLOCK];
static uint8_t *plain, *sealed;

static double now(void)
{
    return g_get_monotonic_time() / 1e6;
}

static void best(double *of, double seconds)
{
    double page = seconds / BATCH;

    *of = *of && *of < page ? *of : page;
}

/* The key is set once, as the lane does. */
static void run_openssl(Row *row)
{
    static EVP_CIPHER_CTX *in, *out;
    double began = now();
    int n;

    if (!in) {
        in = EVP_CIPHER_CTX_new();
        out = EVP_CIPHER_CTX_new();
        EVP_EncryptInit_ex(out, EVP_aes_256_gcm(), NULL, secret, nonce);
        EVP_DecryptInit_ex(in, EVP_aes_256_gcm(), NULL, secret, nonce);
    }
    for (int i = 0; i < BATCH; i++) {
        uint8_t *to = sealed + i * LANE_PAGE;

        EVP_EncryptInit_ex(out, NULL, NULL, NULL, nonce);
        EVP_EncryptUpdate(out, NULL, &n, aad, AEAD_BLOCK);
        EVP_EncryptUpdate(out, to, &n, plain + i * LANE_PAGE, LANE_PAGE);
        EVP_EncryptFinal_ex(out, to, &n);
        EVP_CIPHER_CTX_ctrl(out, EVP_CTRL_AEAD_GET_TAG, AEAD_BLOCK, tags[i]);
    }
    best(&row->seal, now() - began);
    began = now();
    for (int i = 0; i < BATCH; i++) {
        uint8_t *to = plain + i * LANE_PAGE;

        EVP_DecryptInit_ex(in, NULL, NULL, NULL, nonce);
        EVP_DecryptUpdate(in, NULL, &n, aad, AEAD_BLOCK);
        EVP_DecryptUpdate(in, to, &n, sealed + i * LANE_PAGE, LANE_PAGE);
        EVP_CIPHER_CTX_ctrl(in, EVP_CTRL_AEAD_SET_TAG, AEAD_BLOCK, tags[i]);
        g_assert(EVP_DecryptFinal_ex(in, to, &n) == 1);
    }
    best(&row->open, now() - began);
}

/* --- The library: two ends, whole batches ---------------------------------- */

static End source, target;

static void library_begin(uint32_t path)
{
    fake_path = path;
    g_assert(end_new_key(&source) == LANE_OK);
    end_carry(&source, &target);
    memset(end_own(&target), 0x77, LANE_OWN_PAGES * LANE_PAGE);
    g_assert(end_adopt(&target) == LANE_OK);
}

static void run_library(Row *row, uint32_t path)
{
    double began;

    library_begin(path);
    for (int i = 0; i < BATCH; i++) {
        *end_job(&source, 0, i) = (LaneJob) { .offset = i * LANE_PAGE };
    }
    began = now();
    g_assert(end_run(&source, 0, LANE_SEAL, BATCH) == LANE_OK);
    best(&row->seal, now() - began);
    memcpy(end_job(&target, 0, 0), end_job(&source, 0, 0), BATCH * sizeof(LaneJob));
    memcpy(end_sealed(&target, 0, 0), end_sealed(&source, 0, 0), BATCH * LANE_PAGE);
    began = now();
    g_assert(end_run(&target, 0, LANE_OPEN, BATCH) == LANE_OK);
    best(&row->open, now() - began);
}

/* --- The image: two guests --------------------------------------------------- */

static double bell;             /* the same for a run that does nothing */

typedef struct Guests {
    KvmLane *source, *target;
} Guests;

static void run_guest(KvmLane *lane, uint32_t command, uint32_t count)
{
    LaneMailbox *box = kvmlane_box(lane, 0);

    box->command = command;
    box->count = count;
    box->status = LANE_IDLE;
    box->windows[0] = (LaneWindow) { 0, KVMLANE_RAM };
    if (!kvmlane_run(lane, 0) || box->status != LANE_OK) {
        fprintf(stderr, "bench-lane: command %u answers %u: %s\n", command,
                box->status, lane->why);
        exit(1);
    }
}

/* In, no such command, out: what lending costs without any page */
static void ring_bell(KvmLane *lane)
{
    kvmlane_box(lane, 0)->command = 0;
    if (kvmlane_run(lane, 0)) {
        best(&bell, lane->seconds);
    }
}

static void run_image(Row *row, const Guests *g)
{
    const size_t used = LANE_SLOT_BYTES - LANE_JOBS;
    LaneJob *jobs = (LaneJob *)(g->source->shared + LANE_JOBS);

    ring_bell(g->source);
    run_guest(g->source, LANE_NEW_KEY, 1);
    memcpy(kvmlane_private(g->target, LANE_CARRIED),
           kvmlane_private(g->source, LANE_CARRIED), LANE_PAGE);
    memset(kvmlane_private(g->target, LANE_OWN), 0x77, LANE_PAGE);
    run_guest(g->target, LANE_ADOPT, 1);
    for (int i = 0; i < BATCH; i++) {
        jobs[i] = (LaneJob) { .offset = i * LANE_PAGE };
    }
    run_guest(g->source, LANE_SEAL, BATCH);
    best(&row->seal, g->source->seconds);
    memcpy(g->target->shared + LANE_JOBS, jobs, used);
    run_guest(g->target, LANE_OPEN, BATCH);
    best(&row->open, g->target->seconds);
}

static int make_guests(Guests *g, const char *image, uint32_t path)
{
    const char *why = "";

    g->source = kvmlane_new(image, 3, &why);
    g->target = g->source ? kvmlane_new(image, 3, &why) : NULL;
    if (!g->target) {
        printf("no rows of the image: %s\n", why);
        return 0;
    }
    kvmlane_limit(path);
    run_guest(g->source, LANE_HELLO, 0);
    if (kvmlane_box(g->source, 0)->path != path) {
        printf("no row of the image with %s: this KVM does not set XCR0\n", names[path]);
        return 0;
    }
    return 1;
}

static void print_row(const Row *row, const Row *openssl)
{
    printf("%-32s %5.0f ns %5.2f GB/s %4.2fx  %5.0f ns %5.2f GB/s %4.2fx\n",
           row->name, row->seal * 1e9, LANE_PAGE / row->seal / 1e9,
           openssl->seal / row->seal, row->open * 1e9,
           LANE_PAGE / row->open / 1e9, openssl->open / row->open);
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 300, guests[PATHS], paths;
    Row openssl = { "OpenSSL, EVP AES-256-GCM", 0, 0 };
    Row library[PATHS] = { 0 }, image[PATHS] = { 0 };
    Guests g[PATHS];

    if (argc < 2 || !host_has_aes()) {
        fprintf(stderr, "usage: bench-lane IMAGE [ROUNDS], on a CPU with AES\n");
        return 1;
    }
    paths = lane_best_path() + 1;
    plain = g_malloc0(BATCH * LANE_PAGE);
    sealed = g_malloc0(BATCH * LANE_PAGE);
    end_init(&source);
    end_init(&target);
    for (int p = 0; p < paths; p++) {
        snprintf(library[p].name, sizeof(library[p].name), "library, %s", names[p]);
        snprintf(image[p].name, sizeof(image[p].name), "image, %s", names[p]);
        guests[p] = make_guests(&g[p], argv[1], p);
    }
    for (int round = 0; round < rounds; round++) {
        run_openssl(&openssl);
        for (int p = 0; p < paths; p++) {
            run_library(&library[p], p);
            if (guests[p]) {
                kvmlane_limit(p);
                run_image(&image[p], &g[p]);
            }
        }
    }
    printf("%-32s %s\n", OPENSSL_VERSION_TEXT,
           "seal a page of 4 KiB         open");
    print_row(&openssl, &openssl);
    for (int p = 0; p < paths; p++) {
        print_row(&library[p], &openssl);
    }
    for (int p = 0; p < paths; p++) {
        if (guests[p]) {
            print_row(&image[p], &openssl);
        }
    }
    for (int p = 0; bell && p < paths; p++) {
        if (guests[p]) {
            Row net = { "", image[p].seal - bell, image[p].open - bell };

            snprintf(net.name, sizeof(net.name), "  without entry and exit");
            print_row(&net, &openssl);
        }
    }
    if (bell) {
        printf("Entry and exit of a run: %.1f us.\n", bell * BATCH * 1e6);
    }
    return 0;
}
