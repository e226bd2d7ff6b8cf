/*
 * What a test wants of the stand-in, in a file that it may rewrite at any
 * time; and the two files in which it reads what happened.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "standin.h"

/*
 * $SEV_STANDIN_CONTROL, one line each:
 *
 *   delay US                      every command keeps the mailbox so long
 *   delay COMMAND US              this one does
 *   fail COMMAND NTH status N     the NTH from now on (1: the next one) is
 *   fail COMMAND NTH errno N      refused by the firmware, or by Linux
 *   fail COMMAND all errno N      every one is
 *   WORD                          an option; README.md has them all
 */
typedef struct Rule {
    char *command;              /* NULL: any */
    long left;                  /* until it fails; -1: always; 0: it has */
    KsFault fault;
    unsigned int delay_us;
} Rule;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GArray *faults, *delays;
static GHashTable *options;
static struct timespec read_at;
static off_t read_size;
static int log_fd = -1, violation_fd = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void ks_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("sev-standin: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    _exit(97);
}

const char *ks_identity(void)
{
    const char *dir = getenv("SEV_STANDIN_IDENTITY");

    if (!dir) {
        ks_die("SEV_STANDIN_IDENTITY names no folder");
    }
    return dir;
}

int64_t ks_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* --- Control --------------------------------------------------------------- */

static void rule_clear(void *opaque)
{
    g_free(((Rule *)opaque)->command);
}

static void parse_line(char **words, guint count)
{
    Rule rule = { 0 };

    if (g_str_equal(words[0], "delay") && (count == 2 || count == 3)) {
        rule.command = count == 3 ? g_strdup(words[1]) : NULL;
        rule.delay_us = atoi(words[count - 1]);
        g_array_append_val(delays, rule);
    } else if (g_str_equal(words[0], "fail") && count == 5) {
        rule.command = g_strdup(words[1]);
        rule.left = g_str_equal(words[2], "all") ? -1 : atol(words[2]);
        if (g_str_equal(words[3], "errno")) {
            rule.fault.error = atoi(words[4]);
        } else {
            rule.fault.status = g_ascii_strtoull(words[4], NULL, 0);
        }
        g_array_append_val(faults, rule);
    } else if (count == 1) {
        g_hash_table_add(options, g_strdup(words[0]));
    } else {
        ks_die("control: '%s' is not understood", words[0]);
    }
}

static void parse(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_array_set_size(faults, 0);
    g_array_set_size(delays, 0);
    g_hash_table_remove_all(options);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(g_strstrip(*line), " ", -1);

        if (words[0] && words[0][0] && words[0][0] != '#') {
            parse_line(words, g_strv_length(words));
        }
    }
}

/* Read the file when it is another one than before; under the lock. */
static void refresh(void)
{
    const char *path = getenv("SEV_STANDIN_CONTROL");
    g_autofree char *text = NULL;
    struct stat st;

    if (!faults) {
        faults = g_array_new(FALSE, TRUE, sizeof(Rule));
        delays = g_array_new(FALSE, TRUE, sizeof(Rule));
        g_array_set_clear_func(faults, rule_clear);
        g_array_set_clear_func(delays, rule_clear);
        options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    if (!path || fstatat(AT_FDCWD, path, &st, 0) ||
        (st.st_mtim.tv_sec == read_at.tv_sec && st.st_size == read_size &&
         st.st_mtim.tv_nsec == read_at.tv_nsec)) {
        return;
    }
    if (g_file_get_contents(path, &text, NULL, NULL)) {
        read_at = st.st_mtim;
        read_size = st.st_size;
        parse(text);
    }
}

bool ks_fault(const char *command, KsFault *fault)
{
    bool found = false;

    pthread_mutex_lock(&lock);
    refresh();
    for (guint i = 0; i < faults->len && !found; i++) {
        Rule *rule = &g_array_index(faults, Rule, i);

        if (g_str_equal(rule->command, command) && rule->left) {
            if (rule->left > 0) {
                rule->left--;
            }
            found = rule->left <= 0;
            *fault = rule->fault;
        }
    }
    pthread_mutex_unlock(&lock);
    if (found) {
        ks_log("fault %s errno %d status %u", command, fault->error,
               fault->status);
    }
    return found;
}

unsigned int ks_delay_us(const char *command)
{
    unsigned int us = 0;

    pthread_mutex_lock(&lock);
    refresh();
    for (guint i = 0; i < delays->len; i++) {
        Rule *rule = &g_array_index(delays, Rule, i);

        if (!rule->command || g_str_equal(rule->command, command)) {
            us = rule->delay_us;
        }
    }
    pthread_mutex_unlock(&lock);
    return us;
}

bool ks_option(const char *word)
{
    bool is_set;

    pthread_mutex_lock(&lock);
    refresh();
    is_set = g_hash_table_contains(options, word);
    pthread_mutex_unlock(&lock);
    return is_set;
}

/* --- Reports --------------------------------------------------------------- */

static int open_report(const char *variable)
{
    const char *path = getenv(variable);

    return path ? openat(AT_FDCWD, path,
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

static void open_reports(void)
{
    log_fd = open_report("SEV_STANDIN_LOG");
    violation_fd = open_report("SEV_STANDIN_VIOLATIONS");
}

/* One write per line: lines of several threads do not mix. */
static void G_GNUC_PRINTF(2, 0) report(int fd, const char *format,
                                       va_list args)
{
    g_autofree char *line = NULL;
    char *text;
    int len;

    if (fd < 0) {
        return;
    }
    text = g_strdup_vprintf(format, args);
    len = asprintf(&line, "%.6f %s\n", ks_now_us() / 1e6, text);
    g_free(text);
    if (len < 0 || write(fd, line, len) != len) {
        ks_die("cannot write a report: %s", strerror(errno));
    }
}

void ks_log(const char *format, ...)
{
    va_list args;

    pthread_once(&once, open_reports);
    va_start(args, format);
    report(log_fd, format, args);
    va_end(args);
}

void ks_violation(const char *format, ...)
{
    va_list args;

    pthread_once(&once, open_reports);
    va_start(args, format);
    report(violation_fd, format, args);
    va_end(args);
}
