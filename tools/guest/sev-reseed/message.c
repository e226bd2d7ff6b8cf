/*
 * One line from the host, taken apart.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "reseed.h"

static bool plain(const char *value)
{
    size_t len = strlen(value);

    return len > 0 && len < WORD_MAX_BYTES &&
           strspn(value, "0123456789abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ:._-") == len;
}

static bool parse_time(const char *text, struct timespec *out)
{
    char *end;
    unsigned long long seconds = strtoull(text, &end, 10);
    long nsec = 0, unit = 100000000;

    if (!isdigit((unsigned char)*text) || seconds > (1ULL << 40)) {
        return false;
    }
    if (*end == '.') {
        for (end++; isdigit((unsigned char)*end); end++, unit /= 10) {
            nsec += (*end - '0') * unit;
        }
    }
    *out = (struct timespec) { .tv_sec = seconds, .tv_nsec = nsec };
    return *end == 0;
}

static bool take(Message *m, const char *key, const char *value)
{
    static const struct {
        const char *key;
        size_t offset;
    } fields[] = {
        { "id", offsetof(Message, id) },
        { "uuid", offsetof(Message, uuid) },
        { "mac", offsetof(Message, mac) },
    };

    if (!plain(value)) {
        return false;
    }
    if (!strcmp(key, "time")) {
        return parse_time(value, &m->time);
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!strcmp(key, fields[i].key)) {
            strcpy((char *)m + fields[i].offset, value);
        }
    }
    return true;                    /* a key of a later version is no error */
}

bool message_parse(const char *line, Message *m)
{
    char copy[LINE_MAX_BYTES], *rest = copy, *word;
    Message found = { 0 };

    if (strlen(line) >= sizeof(copy)) {
        return false;
    }
    strcpy(copy, line);
    word = strtok_r(rest, " \r\n", &rest);
    if (!word || strcmp(word, "clone")) {
        return false;
    }
    while ((word = strtok_r(rest, " \r\n", &rest))) {
        char *equals = strchr(word, '=');

        if (!equals) {
            return false;
        }
        *equals = 0;
        if (!take(&found, word, equals + 1)) {
            return false;
        }
    }
    if (!found.id[0]) {
        return false;
    }
    *m = found;
    return true;
}
