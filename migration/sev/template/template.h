/*
 * Templates: one sealed image, any number of clones.
 *
 * A template is the stream of an ordinary migration to a file, of a stopped
 * guest, with capability 'sev-template': before any RAM comes a section
 * "sev-template" with a MANIFEST, and the source may run on.  A clone is an
 * ordinary incoming migration from it; its memory key is fresh, because
 * RECEIVE_START makes one.
 *
 * Three layouts: where the file is a regular one, the pages lie in it at fixed
 * places (template/image.h); into a pipe they go as records of the stream; and
 * with 'x-ignore-shared' they are sealed in the files that back RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_TEMPLATE_TEMPLATE_H
#define MIGRATION_SEV_TEMPLATE_TEMPLATE_H

#include "migration/sev/incoming.h"

/* Is capability 'sev-template' set?  BQL held, or migration thread. */
bool sev_template_wanted(void);

/* Does the migration at hand make a template?  The same locks. */
bool sev_template_making(void);

/*
 * SEV_LAYOUT_... of the template that the migration at hand makes; 0 when it
 * makes none.  Migration thread.
 */
uint64_t sev_template_layout(void);

/*
 * Is there room for a template where the migration at hand writes?  Before it
 * has written anything.  Migration thread.
 */
bool sev_template_may_begin(Error **errp);

/* The record that describes this guest, appended to @out.  Migration thread. */
bool sev_template_encode_manifest(GByteArray *out, Error **errp);

/* Handler of order.c's table: does the template fit this guest? */
bool sev_template_load_manifest(SevTarget *t, const SevRecord *rec,
                                Error **errp);

/* --- template/begin.c: the manifest, before any RAM ------------------------- */

/*
 * Register the "sev-template" section, which is saved for templates only.
 * @target is where the loading side keeps its SevTarget.  BQL held.
 */
bool sev_template_begin_init(SevTarget **target, Error **errp);

/* --- template/end.c: the digest at the end --------------------------------- */

/* Register section "sev-template-end"; make it the last one.  BQL held. */
bool sev_template_end_init(Error **errp);
bool sev_template_end_last(Error **errp);

/* On a target, all is loaded: if it was a template, was its digest there? */
bool sev_template_end_seen(Error **errp);

#endif /* MIGRATION_SEV_TEMPLATE_TEMPLATE_H */
