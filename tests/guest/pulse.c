/*
 * What runs inside the guests that are cloned: a counter that shows a few
 * random bytes at every tick, and answers what it is asked on its console.
 *
 * Settings come from the kernel command line: tick=MS, draws=1 (print bytes).
 *
 *   -> PING word            <- PONG word clock=SECONDS.MICROS id=MACHINE-ID
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

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
    char word[64], id[64] = "none";
    struct timeval tv;
    FILE *f = fopen("/etc/machine-id", "r");

    if (f) {
        if (fscanf(f, "%63s", id) != 1) {
            strcpy(id, "none");
        }
        fclose(f);
    }
    gettimeofday(&tv, NULL);
    if (sscanf(line, "PING %63s", word) == 1) {
        printf("PONG %s clock=%lld.%06ld id=%s\n", word, (long long)tv.tv_sec,
               (long)tv.tv_usec, id);
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

int main(void)
{
    uint64_t period = setting("tick", 200), draws = setting("draws", 0);

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
