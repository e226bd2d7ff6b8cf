/*
 * sev-reseed: what a guest does when it learns that it is a clone.
 *
 * A clone starts with its template's memory, the kernel's random pool
 * included: without this helper two clones draw the same "random" bytes until
 * the kernel re-seeds by itself.  See docs/templates.md, "Uniqueness".
 *
 * All functions run on one thread.  Bytes from the host (messages, fw_cfg,
 * virtio-rng, the clock) are not trusted: they are bounded, and they never
 * count as entropy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SEV_RESEED_H
#define SEV_RESEED_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define PORT_NAME "org.qemu.sev.clone"              /* virtio-serial */
#define FW_CFG_NAME "opt/org.qemu-sev/clone-id"     /* fallback */

enum {
    LINE_MAX_BYTES = 512,
    WORD_MAX_BYTES = 64,
};

/*
 * What the host says: "clone id=... uuid=... mac=... time=SECONDS.FRACTION".
 * Everything but the id may be missing; values hold [0-9A-Za-z:._-] only.
 */
typedef struct Message {
    char id[WORD_MAX_BYTES];
    char uuid[WORD_MAX_BYTES];
    char mac[WORD_MAX_BYTES];
    struct timespec time;           /* tv_sec 0: not told */
} Message;

/* --- message.c --- */

/* False when @line is not a clone message; @m is then unchanged. */
bool message_parse(const char *line, Message *m);

/* --- channel.c --- */

typedef struct Channel {
    int port;                       /* -1: this machine has no such port */
    char port_path[80];
    char line[LINE_MAX_BYTES];      /* what has been read of the next line */
    size_t used;
    char known[LINE_MAX_BYTES];     /* fw_cfg's text when we last looked */
    bool has_fw_cfg;
} Channel;

/* False when the host offers neither the port nor the fw_cfg file. */
bool channel_open(Channel *ch);

/* Tell the host; false when nobody listens. */
bool channel_say(Channel *ch, const char *word, const char *value);

/* Wait for the next message, without a limit. */
void channel_wait(Channel *ch, Message *m);

/* --- fwcfg.c --- */

/*
 * Read @name through the I/O ports, the directory anew each time: the kernel
 * keeps the directory of the machine it booted on.  The text is cut at the
 * first newline.  False: no fw_cfg, no such file, or it is too long.
 */
bool fw_cfg_read(const char *name, char *text, size_t size);

/* --- entropy.c --- */

/*
 * Mix RDSEED or RDRAND, virtio-rng and @m into the kernel's pool and make every
 * per-CPU generator start again.  Only the CPU's own generator is credited.
 * False, with a sentence on stderr, when the kernel refused or the CPU has no
 * generator.
 */
bool entropy_reseed(const Message *m);

/* --- clock.c --- */

/* Set the system clock from the RTC, refined by @m's time when they agree. */
bool clock_refresh(const Message *m);

/* --- hooks.c --- */

/*
 * Run each executable in @folder, in the order of names, with the argument
 * @what ("seal" or "clone") and SEV_CLONE_ID, _UUID and _MAC in its
 * environment.  A hook that takes longer than 30 seconds is ended.  Returns
 * the number that failed.
 */
int hooks_run(const char *folder, const char *what, const Message *m);

#endif
