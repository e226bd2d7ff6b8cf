/*
 * A template's file as query-sev-template reads it.
 *
 * It is read, not mapped: a mapped file that somebody truncates meanwhile ends
 * the process that looks at it.  A window of it is in memory, wherever the
 * reader is: this process may have a guest, and the file may have any size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_FILE_H
#define MIGRATION_SEV_TEMPLATE_FILE_H

/* What sev_template_file_at() can be asked for at once. */
#define SEV_TEMPLATE_FILE_MAX (5 * 1024 * 1024)

typedef struct SevTemplateFile {
    int fd;                     /* -1: not open */
    uint64_t len;               /* less than at first when it was truncated */
    uint8_t *window;
    size_t room;                /* of the window */
    uint64_t begin, end;        /* of the file, in the window */
} SevTemplateFile;

/* Opens a regular, non-empty file; close it even if that failed. */
bool sev_template_file_open(SevTemplateFile *f, const char *path, Error **errp);
void sev_template_file_close(SevTemplateFile *f);

/*
 * The @len bytes at @at, valid until the next call; NULL when they are not
 * there (any more).  Best called in the order of the file.
 */
const uint8_t *sev_template_file_at(SevTemplateFile *f, uint64_t at,
                                    size_t len);

/* Copy @len bytes from anywhere; false when they are not there (any more). */
bool sev_template_file_copy(const SevTemplateFile *f, uint64_t at, void *to,
                            size_t len);

/* How many of the bytes of [@at, @end) no disk holds: they read as zeros. */
uint64_t sev_template_file_holes(const SevTemplateFile *f, uint64_t at,
                                 uint64_t end);

#endif /* MIGRATION_SEV_TEMPLATE_FILE_H */
