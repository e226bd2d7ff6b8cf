/*
 * What runs inside the test guest: a secret, a memory that is checked all
 * the time, a counter, and one TCP connection that must outlive any move.
 *
 * Settings come from the kernel command line, which Linux hands to init as
 * environment: seed=HEX mib=N tick=MS peer=ADDRESS:PORT reboot_at=TICKS
 * poweroff_at=TICKS check=0|1 (of the cold pages, default 1) dirty=MIB (to
 * write per second) ws=MIB (over so much more memory).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    PAGE_WORDS = PAGE / 8,
    SECRET_WORDS = 4,           /* 32 bytes at the start of every page */
    HOT_PAGES = 64,             /* rewritten at every tick */
    SLICES = 8,                 /* a full check of the cold pages takes 8 ticks */
    RECORD_WORDS = 128,         /* one TCP record: number, then noise */
};

#define STREAM_SECRET 0x736563726574ULL     /* three unrelated streams of noise */
#define STREAM_COLD   0x636f6c64ULL
#define STREAM_TCP    0x746370ULL

/*
 * Word @i of a stream (the n-th output of splitmix64).  The host computes the
 * same from the seed; the words themselves never leave this memory, except
 * those of STREAM_TCP.
 */
static uint64_t noise(uint64_t stream, uint64_t i)
{
    uint64_t z = stream + (i + 1) * 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t setting(const char *name, int base, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, base) : otherwise;
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static void *pages(size_t n)
{
    void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED) {
        perror("agent: mmap");
        exit(1);
    }
    return p;
}

/* --- Cold pages: written once, the secret first, then noise ------------- */

static void cold_fill(uint64_t *mem, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n * PAGE_WORDS; i++) {
        size_t in_page = i % PAGE_WORDS;

        mem[i] = in_page < SECRET_WORDS ? noise(seed ^ STREAM_SECRET, in_page)
                                        : noise(seed ^ STREAM_COLD, i);
    }
}

static bool cold_check(const uint64_t *mem, size_t first, size_t end,
                       uint64_t seed)
{
    for (size_t i = first * PAGE_WORDS; i < end * PAGE_WORDS; i++) {
        size_t in_page = i % PAGE_WORDS;
        uint64_t want = in_page < SECRET_WORDS
            ? noise(seed ^ STREAM_SECRET, in_page)
            : noise(seed ^ STREAM_COLD, i);

        if (mem[i] != want) {
            printf("BAD cold page %zu word %zu\n", i / PAGE_WORDS, in_page);
            return false;
        }
    }
    return true;
}

/* --- Hot pages: each tick checks the last tick's words, writes its own --- */

static bool hot_turn(uint64_t *mem, uint64_t tick, uint64_t seed)
{
    bool ok = true;

    for (size_t i = 0; i < HOT_PAGES * PAGE_WORDS; i++) {
        if (tick > 1 && mem[i] != noise(seed + tick - 1, i) && ok) {
            printf("BAD hot page %zu at tick %llu\n", i / PAGE_WORDS,
                   (unsigned long long)tick);
            ok = false;
        }
        mem[i] = noise(seed + tick, i);
    }
    return ok;
}

/* --- Pages that are only written, for benchmarks ------------------------- */

/* A word in each of @count pages, going round. */
static void dirty_turn(uint64_t *mem, size_t n, size_t count, uint64_t tick)
{
    static size_t next;

    for (size_t i = 0; n && i < count; i++, next = (next + 1) % n) {
        mem[next * PAGE_WORDS] = tick;
    }
}

/* --- One TCP connection, never made twice -------------------------------- */

typedef struct Peer {
    int fd;                     /* -1: none wanted, -2: lost */
    uint64_t sent, echoed;      /* whole records */
    size_t got;                 /* bytes of the next echo */
    uint64_t echo[RECORD_WORDS];
    uint64_t seed;
} Peer;

static void peer_lost(Peer *p, const char *why)
{
    printf("TCP LOST %s\n", why);
    close(p->fd);
    p->fd = -2;
}

static void peer_connect(Peer *p, char *where)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    char *colon = strchr(where, ':');
    int one = 1;

    *colon = 0;
    to.sin_port = htons(atoi(colon + 1));
    inet_pton(AF_INET, where, &to.sin_addr);
    for (int try = 0; try < 50; try++) {
        p->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
            setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            printf("TCP UP\n");
            return;
        }
        close(p->fd);
        usleep(100000);
    }
    p->fd = -2;
    printf("TCP LOST no connection: %s\n", strerror(errno));
}

static void record_make(uint64_t *record, uint64_t seed, uint64_t number)
{
    record[0] = number;
    for (size_t i = 1; i < RECORD_WORDS; i++) {
        record[i] = noise(seed ^ STREAM_TCP, number * RECORD_WORDS + i);
    }
}

/* Take in what came back; send the next record when nothing is under way. */
static void peer_turn(Peer *p)
{
    uint64_t record[RECORD_WORDS];
    ssize_t n;

    if (p->fd < 0) {
        return;
    }
    while (p->sent > p->echoed) {
        n = recv(p->fd, (char *)p->echo + p->got, sizeof(p->echo) - p->got,
                 MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            peer_lost(p, n ? strerror(errno) : "closed");
            return;
        }
        p->got += n;
        if (p->got < sizeof(p->echo)) {
            continue;
        }
        record_make(record, p->seed, p->echoed);
        if (memcmp(record, p->echo, sizeof(record))) {
            peer_lost(p, "echo differs");
            return;
        }
        p->got = 0;
        p->echoed++;
    }
    record_make(record, p->seed, p->sent);
    if (send(p->fd, record, sizeof(record), MSG_NOSIGNAL) != sizeof(record)) {
        peer_lost(p, strerror(errno));
        return;
    }
    p->sent++;
}

int main(void)
{
    uint64_t seed = setting("seed", 16, 1);
    size_t n = setting("mib", 10, 16) * (1 << 20) / PAGE;
    uint64_t period = setting("tick", 10, 200);
    uint64_t reboot_at = setting("reboot_at", 10, 0);
    uint64_t poweroff_at = setting("poweroff_at", 10, 0);
    bool check = setting("check", 10, 1);
    size_t ws = setting("ws", 10, 0) * (1 << 20) / PAGE;
    size_t dirty = setting("dirty", 10, 0) * (1 << 20) / PAGE * period / 1000;
    uint64_t *cold = pages(n), *hot = pages(HOT_PAGES);
    uint64_t *written = ws ? pages(ws) : NULL;
    Peer peer = { .fd = -1, .seed = seed };
    bool sum_ok = true, hot_ok = true;

    setvbuf(stdout, NULL, _IOLBF, 0);
    cold_fill(cold, n, seed);
    if (getenv("peer")) {
        peer_connect(&peer, getenv("peer"));
    }
    printf("UP pages=%zu at=%llu\n", n, (unsigned long long)now_ms());

    for (uint64_t tick = 1; ; tick++) {
        size_t slice = tick % SLICES;

        sum_ok &= !check || cold_check(cold, n * slice / SLICES,
                                       n * (slice + 1) / SLICES, seed);
        dirty_turn(written, ws, dirty, tick);
        hot_ok &= hot_turn(hot, tick, seed);
        peer_turn(&peer);
        printf("TICK %llu t=%llu sum=%s hot=%s tcp=%lld\n",
               (unsigned long long)tick, (unsigned long long)now_ms(),
               sum_ok ? "ok" : "BAD", hot_ok ? "ok" : "BAD",
               peer.fd < 0 ? (long long)peer.fd : (long long)peer.echoed);
        if (tick == reboot_at || tick == poweroff_at) {
            sync();
            reboot(tick == reboot_at ? RB_AUTOBOOT : RB_POWER_OFF);
        }
        usleep(period * 1000);
    }
}
