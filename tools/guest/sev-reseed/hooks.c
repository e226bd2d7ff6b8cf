/*
 * Programs of the guest that make a clone different: machine-id, host name,
 * network address, keys.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reseed.h"

enum { HOOK_SECONDS = 30 };

/* As run-parts: no dots, so that backups of editors are left alone. */
static int usable(const struct dirent *entry)
{
    return entry->d_name[strspn(entry->d_name,
                                "0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-")] == 0;
}

static bool run(const char *path, const char *what, const Message *m)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        setenv("SEV_CLONE_ID", m ? m->id : "", 1);
        setenv("SEV_CLONE_UUID", m ? m->uuid : "", 1);
        setenv("SEV_CLONE_MAC", m ? m->mac : "", 1);
        alarm(HOOK_SECONDS);            /* outlives execve() */
        execl(path, path, what, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int hooks_run(const char *folder, const char *what, const Message *m)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, usable, alphasort), failed = 0;

    for (int i = 0; i < n; i++) {
        char path[1024];

        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (access(path, X_OK) == 0 && !run(path, what, m)) {
            fprintf(stderr, "sev-reseed: %s %s failed\n", path, what);
            failed++;
        }
        free(entries[i]);
    }
    if (n >= 0) {
        free(entries);
    }
    return failed;
}
