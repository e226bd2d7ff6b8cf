/*
 * One command of the lane's program: its mailbox, and its answer in words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_LANE_COMMAND_H
#define TARGET_I386_SEV_LANE_COMMAND_H

#include "lend.h"
#include "target/i386/sev/transfer.h"
#include "windows.h"

/* What lies in the mailbox of @slot; the program and we take turns with it. */
LaneMailbox *sev_lane_mailbox(unsigned slot);
LaneJob *sev_lane_jobs(unsigned slot);
uint8_t *sev_lane_page(unsigned slot, size_t i);

/*
 * Let the program in @slot do @command with @count jobs or windows, whose fields
 * are in its mailbox.  False: it did not run to its end, or did not say OK; the
 * error names the page when it is about one of @jobs (NULL: there are none).
 */
bool sev_lane_command(unsigned slot, uint32_t command, uint32_t count,
                      SevLentFor what, const SevPageJob *jobs, Error **errp);

/*
 * The same in two steps, between which the caller may prepare another slot's
 * mailbox, or start another command.  One at a time for each slot; a vCPU does what
 * it is asked for in turn.  Thread that has the session.
 */
void sev_lane_command_start(unsigned slot, unsigned vcpu, uint32_t command,
                            uint32_t count, SevLentFor what);
bool sev_lane_command_finish(unsigned slot, const SevPageJob *jobs,
                             Error **errp);

/*
 * The program changes its key only when it runs in no other slot.  One that a run
 * left without ringing is entered again, so that the program knows that it is free.
 */
bool sev_lane_free_slots(Error **errp);

/* One without windows, jobs or sums, in slot 0. */
bool sev_lane_command_alone(uint32_t command, Error **errp);

#endif /* TARGET_I386_SEV_LANE_COMMAND_H */
