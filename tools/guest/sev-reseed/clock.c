/*
 * The wall clock of a clone is that of its template until somebody sets it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "reseed.h"

enum { AGREE_SECONDS = 2 };

static bool rtc_read(time_t *out)
{
    static const char *const names[] = { "/dev/rtc0", "/dev/rtc" };
    struct rtc_time rtc;
    bool ok = false;

    for (int i = 0; i < 2 && !ok; i++) {
        int fd = open(names[i], O_RDONLY | O_CLOEXEC);

        if (fd >= 0) {
            ok = ioctl(fd, RTC_RD_TIME, &rtc) == 0;
            close(fd);
        }
    }
    if (ok) {
        struct tm tm = {
            .tm_sec = rtc.tm_sec, .tm_min = rtc.tm_min, .tm_hour = rtc.tm_hour,
            .tm_mday = rtc.tm_mday, .tm_mon = rtc.tm_mon, .tm_year = rtc.tm_year,
        };

        *out = timegm(&tm);
    }
    return ok;
}

/*
 * The RTC counts seconds.  The host's message has the fraction, but may have
 * waited in a queue: it counts only where the two agree.
 */
bool clock_refresh(const Message *m)
{
    struct timespec now = m->time;
    time_t rtc;

    if (!rtc_read(&rtc)) {
        return false;
    }
    if (llabs((long long)now.tv_sec - rtc) > AGREE_SECONDS) {
        now = (struct timespec) { .tv_sec = rtc };
    }
    return clock_settime(CLOCK_REALTIME, &now) == 0;
}
