/*
 * A template's file as query-sev-template reads it.
 *
 * It is read, not mapped: a mapped file that somebody truncates meanwhile ends
 * the process that looks at it.  What was looked at is given back: this process
 * may have a guest, and the file any size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_FILE_H
#define MIGRATION_SEV_TEMPLATE_FILE_H

typedef struct SevTemplateFile {
    int fd;                     /* -1: not open */
    size_t len;                 /* less than at first when it was truncated */
    const uint8_t *bytes;       /* where @room bytes have room */
    size_t room;
    size_t end;                 /* they were read up to here */
    size_t begin;               /* and given back up to here */
} SevTemplateFile;

/* Opens a regular, non-empty file; close it even if that failed. */
bool sev_template_file_open(SevTemplateFile *f, const char *path, Error **errp);
void sev_template_file_close(SevTemplateFile *f);

/*
 * Are there @len bytes at @at?  If so they lie in @f->bytes from there on.  Go
 * through the file from its start; what is jumped over is not read.
 */
bool sev_template_file_need(SevTemplateFile *f, size_t at, size_t len);

/* Nobody looks at what lies before @at any more. */
void sev_template_file_drop(SevTemplateFile *f, size_t at);

/* Copy @len bytes from anywhere; false when they are not there (any more). */
bool sev_template_file_copy(const SevTemplateFile *f, uint64_t at, void *to,
                            size_t len);

#endif /* MIGRATION_SEV_TEMPLATE_FILE_H */
