/*
 * sev-reseed: the guest's half of a clone's uniqueness.
 *
 *   sev-reseed --seal     stop every process, tell the host that the guest is
 *                         worth keeping, and go on only as a clone, re-seeded
 *   sev-reseed --watch    stay in memory and re-seed whenever the host says so
 *   sev-reseed --now      re-seed once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE             /* SCHED_RESET_ON_FORK */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reseed.h"

enum { NO_CHANNEL = 3 };

static const char *hook_folder = "/etc/sev-clone.d";

/*
 * The pool first: hooks and whoever runs after them draw from it.  When it
 * could not be re-seeded nothing else is done: a hook would make the same keys
 * in every clone.
 */
static bool become(Channel *ch, const Message *m)
{
    if (!entropy_reseed(m)) {
        if (ch) {
            channel_say(ch, "failed", m->id);
        }
        return false;
    }
    if (ch) {
        channel_say(ch, "seeded", m->id);
    }
    if (!clock_refresh(m)) {
        fprintf(stderr, "sev-reseed: cannot set the clock: %s\n",
                strerror(errno));
    }
    hooks_run(hook_folder, "clone", m);
    if (ch) {
        channel_say(ch, "done", m->id);
    }
    return true;
}

/* Nothing may page in, and nothing may run first, when the message comes. */
static void be_first(void)
{
    struct sched_param highest = {
        .sched_priority = sched_get_priority_max(SCHED_FIFO),
    };

    mlockall(MCL_CURRENT | MCL_FUTURE);
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &highest);
}

/*
 * From here to the re-seeding no other process runs, so none can draw a byte
 * that another clone draws too.  Only process 1 cannot be stopped.  A clone that
 * cannot re-seed must not go on: it stays here, and tries again when the host
 * says the word again.
 */
static void seal(Channel *ch)
{
    Message m;

    hooks_run(hook_folder, "seal", NULL);
    sync();
    kill(-1, SIGSTOP);
    channel_say(ch, "ready", NULL);
    do {
        channel_wait(ch, &m);
    } while (!become(ch, &m));
    kill(-1, SIGCONT);
}

/*
 * Started too late to be in the template, the daemon finds the clone's word on
 * its first look: nothing that is there already may count as known.
 */
static void watch(Channel *ch)
{
    ch->known[0] = 0;
    for (;;) {
        Message m;

        channel_wait(ch, &m);
        become(ch, &m);
    }
}

static void usage(FILE *out)
{
    fputs("usage: sev-reseed --seal | --watch | --now   [--hooks FOLDER]\n"
          "\n"
          "  --seal    hold all processes, tell the host \"ready\", go on as a clone\n"
          "            that has re-seeded, and not otherwise\n"
          "  --watch   stay and re-seed when the host says \"clone\"\n"
          "  --now     re-seed once, without a word from the host\n"
          "  --hooks   programs to run, default /etc/sev-clone.d\n"
          "\n"
          "The host's word comes by the virtio-serial port " PORT_NAME "\n"
          "or the fw_cfg file " FW_CFG_NAME ".\n"
          "Exit code 3: this machine has neither.\n", out);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "seal", no_argument, NULL, 's' },
        { "watch", no_argument, NULL, 'w' },
        { "now", no_argument, NULL, 'n' },
        { "hooks", required_argument, NULL, 'k' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    Message now = { .id = "now" };
    Channel ch;
    int mode = 0, c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'k') {
            hook_folder = optarg;
        } else if (c == 'h') {
            usage(stdout);
            return 0;
        } else if (c == '?' || mode) {
            usage(stderr);
            return 2;
        } else {
            mode = c;
        }
    }
    if (!mode || optind != argc) {
        usage(stderr);
        return 2;
    }
    if (mode == 'n') {
        return become(NULL, &now) ? 0 : 1;
    }
    if (!channel_open(&ch)) {
        fprintf(stderr, "sev-reseed: the host offers neither the port "
                PORT_NAME " nor the fw_cfg file " FW_CFG_NAME "\n");
        return NO_CHANNEL;
    }
    be_first();
    if (mode == 's') {
        seal(&ch);
    } else {
        watch(&ch);
    }
    return 0;
}
