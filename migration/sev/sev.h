/*
 * What the hooks in upstream's migration code call.
 *
 * A guest without SEV pays one branch per page and one per event: nothing is
 * registered and every call below answers "not mine".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_SEV_H
#define MIGRATION_SEV_SEV_H

#include "exec/cpu-common.h"
#include "migration/qemu-file-types.h"
#include "qapi/qapi-types-migration.h"

typedef struct MigrationState MigrationState;
typedef struct Monitor Monitor;

/* True from sev_migration_init() on, for ever.  Written before any reader. */
extern bool sev_migration_on;

/*
 * Register the "sev" section.  Called once, for an SEV guest, when the machine
 * is complete: the section must come after "ram".  BQL held.
 */
bool sev_migration_init(Error **errp);

/*
 * May the guest run here?  Not any more once it was sent: its key is gone, by
 * SEND_FINISH that was called or is about to be.  BQL held.
 */
bool sev_migration_may_run(Error **errp);

/*
 * The gate that every start of the VM passes, whoever asks: a monitor, the
 * gdbstub, the end of a migration.  False: it stays stopped, the log and a
 * debugger that asked are told why.  BQL held.
 */
bool sev_migration_may_start(void);

/* Is the VM to stay stopped, whatever is asked?  vm_prepare_start(). */
static inline bool sev_start_refused(void)
{
    return unlikely(sev_migration_on) && !sev_migration_may_start();
}

/*
 * Is a reset that is asked for on this thread none of the guest's?  While a vCPU
 * is lent to the lane, it is the lane's program that shut down.  Any thread.
 */
bool sev_migration_reset_is_ours(void);
static inline bool sev_reset_refused(void)
{
    return unlikely(sev_migration_on) && sev_migration_reset_is_ours();
}

/* --- ram.c, migration thread --------------------------------------------- */

bool sev_migration_queue_page(RAMBlock *rb, ram_addr_t offset);
bool sev_migration_queue_full(void);

/* A private page is taken here, to be sent as a packet; true if it was. */
static inline bool sev_save_page(RAMBlock *rb, ram_addr_t offset)
{
    return unlikely(sev_migration_on) && sev_migration_queue_page(rb, offset);
}

/* Time for the "sev" section to send what was taken? */
static inline bool sev_save_full(void)
{
    return unlikely(sev_migration_on) && sev_migration_queue_full();
}

/* --- migration.c ---------------------------------------------------------- */

/*
 * The stream is out.  For an SEV guest that moves: wait until the target has
 * proved that it has all of it, and give the guest up.  False: the migration
 * has failed, its error is set, and the guest stays.  Migration thread, BQL not
 * held.
 */
bool sev_migration_hand_over(MigrationState *s);

/*
 * Was the guest given up?  Then the migration completes, and an error that it
 * met since is turned into a warning.  Migration thread.
 */
bool sev_migration_is_given(MigrationState *s);

/* False: the guest was given up, and cannot be had back.  BQL held. */
bool sev_migration_may_cancel(Error **errp);

/* Does this migration need answers from the target?  BQL held. */
bool sev_migration_wants_return_path(MigrationState *s);

/*
 * A message on the return path, its header read.  True if it was ours: then it
 * is consumed, and @errp tells whether all is well.  Return path thread.
 */
bool sev_rp_message(MigrationState *s, QEMUFile *rp, uint16_t type,
                    uint16_t len, Error **errp);

/*
 * On a target, after the stream was loaded with result @ret: is the guest
 * complete?  False for an SEV guest whose records did not reach END.
 */
bool sev_load_end(int ret, Error **errp);

/*
 * A stream is about to be written to @fd's file from @offset on, and what lies
 * behind that would be cut off: may it be?  Not for a template.  BQL held.
 */
bool sev_template_may_cut(int fd, uint64_t offset, Error **errp);
static inline bool sev_file_may_be_cut(int fd, uint64_t offset, Error **errp)
{
    return likely(!sev_migration_on) || sev_template_may_cut(fd, offset, errp);
}

/* Add what query-migrate says about SEV, to @info that says the rest.  BQL held. */
void sev_migration_populate_info(MigrationInfo *info);

/* ... and what HMP prints of it. */
void sev_migration_print(Monitor *mon, const MigrationInfo *info);

/* --- savevm.c ------------------------------------------------------------- */

/*
 * An incoming stream of machine type @theirs, @len bytes, is about to be
 * refused on stderr; query-migrate of an SEV guest says it, too.  BQL held.
 */
void sev_load_other_machine(const char *theirs, uint32_t len,
                            const char *ours);

/* The section called @idstr is about to be loaded, or a part of it.  BQL held. */
void sev_load_section(const char *idstr);

/* --- multifd-recv.c ------------------------------------------------------------- */

/*
 * A channel of a target read the end of its line, and nothing is wrong so far:
 * is the guest complete, or does nobody expect it any more?  Channel thread.
 */
void sev_multifd_ended(unsigned channel, Error **errp);

/* --- options.c and HMP: parameters and capabilities; BQL held -------------- */

/* Can an SEV guest, if this is one, have these capabilities? */
bool sev_caps_check(const bool *caps, Error **errp);

/* Validate what is given of @p and take it over; all of it, or nothing. */
bool sev_params_set(const SevMigrationParameters *p, Error **errp);
void sev_params_query(SevMigrationParameters *p);

/* @value of HMP's @param into @p; certificates are names of files there. */
void sev_params_from_hmp(MigrateSetParameters *p, MigrationParameter param,
                         const char *value, Error **errp);
void sev_params_print(Monitor *mon);

#endif /* MIGRATION_SEV_SEV_H */
