/*
 * What runs inside the guests that are cloned: a counter that shows a few
 * random bytes at every tick, and answers what it is asked on its console.
 *
 * Settings come from the kernel command line: tick=MS, draws=1 (print bytes),
 * witness=MS (between two writes to its page).
 *
 *   -> PING word     <- PONG word clock=SECONDS.MICROS id=MACHINE-ID page=GPA
 *                       writes=COUNT
 *
 * The page is that of "pulse witness", another process: it holds the same bytes
 * in every clone and is written again and again, so that what the host finds
 * there is those bytes under the clone's key.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

#define WITNESS "/tmp/witness"          /* a struct told */

struct told {
    uint64_t page;              /* its address in guest memory */
    uint64_t writes;
};

/* Where a page of ours is in guest memory; 0 when the kernel does not say. */
static uint64_t guest_address(const volatile void *page)
{
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);

    if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE *
                        sizeof(entry)) != sizeof(entry)) {
        entry = 0;
    }
    close(fd);
    return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/* A process of its own, started before the guest is sealed. */
static int witness(uint64_t period)
{
    volatile char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open(WITNESS ".new", O_RDWR | O_CREAT, 0600);
    struct told *told;

    if (page == MAP_FAILED || mlock((char *)page, PAGE) ||
        ftruncate(fd, PAGE)) {
        return 1;
    }
    told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (told == MAP_FAILED) {
        return 1;
    }
    for (;; usleep(period * 1000)) {
        for (int i = 0; i < PAGE; i++) {
            page[i] = "witness "[i % 8];
        }
        told->page = guest_address(page);       /* compaction moves pages */
        if (!told->writes++) {
            rename(WITNESS ".new", WITNESS);
        }
    }
}

static void read_id(char id[64])
{
    FILE *f = fopen("/etc/machine-id", "r");

    if (!f || fscanf(f, "%63s", id) != 1) {
        strcpy(id, "none");
    }
    if (f) {
        fclose(f);
    }
}

static struct told read_witness(void)
{
    struct told told = { 0 };
    FILE *f = fopen(WITNESS, "r");

    if (f && fread(&told, sizeof(told), 1, f) != 1) {
        told = (struct told) { 0 };
    }
    if (f) {
        fclose(f);
    }
    return told;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static void draw(void)
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
        return;
    }
    printf("RANDOM ");
    for (size_t i = 0; i < sizeof(bytes); i++) {
        printf("%02x", bytes[i]);
    }
    printf("\n");
}

static void answer(const char *line)
{
    struct told told = read_witness();
    char word[64], id[64];
    struct timeval tv;

    read_id(id);
    gettimeofday(&tv, NULL);
    if (sscanf(line, "PING %63s", word) == 1) {
        printf("PONG %s clock=%lld.%06ld id=%s page=%llx writes=%llu\n", word,
               (long long)tv.tv_sec, (long)tv.tv_usec, id,
               (unsigned long long)told.page, (unsigned long long)told.writes);
    }
}

static void quiet_terminal(void)
{
    struct termios t;

    if (tcgetattr(0, &t) == 0) {
        t.c_lflag &= ~ECHO;
        tcsetattr(0, TCSANOW, &t);
    }
}

int main(int argc, char **argv)
{
    uint64_t period = setting("tick", 200), draws = setting("draws", 0);

    if (argc == 2 && !strcmp(argv[1], "witness")) {
        return witness(setting("witness", 100));
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    quiet_terminal();
    printf("UP at=%llu\n", (unsigned long long)now_ms());
    for (uint64_t tick = 1, next = now_ms(); ; tick++) {
        struct pollfd in = { .fd = 0, .events = POLLIN };
        int64_t left;

        printf("TICK %llu t=%llu sum=ok hot=ok tcp=-1\n",
               (unsigned long long)tick, (unsigned long long)now_ms());
        if (draws) {
            draw();
        }
        next += period;
        while ((left = next - now_ms()) > 0) {
            char line[128];

            if (poll(&in, 1, left) == 1 && fgets(line, sizeof(line), stdin)) {
                answer(line);
            }
        }
    }
}
