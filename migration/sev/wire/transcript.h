/*
 * What both ends of a move have seen, as one digest: the acknowledgement
 * names it.
 *
 *   records of the "sev" section, SESSION to END; of a PAGES record all but
 *     the packets' data, which the MACs in their headers stand for
 *   everything behind the END record: device state, to the last byte
 *   PAGES records of multifd's channels, channel by channel
 *
 * What upstream's "ram" section carries is not in it: shared pages change
 * while they are sent, and the two ends would see different bytes.  To the
 * byte: docs/interop/sev-record.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SEV_WIRE_TRANSCRIPT_H
#define MIGRATION_SEV_WIRE_TRANSCRIPT_H

#include "migration/qemu-file-types.h"
#include "record.h"

/*
 * Start with nothing, before the SESSION record.  Source: migration thread;
 * target: main thread, and no channel has its session yet.
 */
bool sev_transcript_begin(Error **errp);

/* Nobody needs it any more; no channel thread is left. */
void sev_transcript_drop(void);

/*
 * Add a PAGES record that is right: of the main channel, by the thread that
 * writes or reads that; of channel @id, by that channel's thread.  They do
 * nothing when no transcript was begun.
 */
void sev_transcript_pages(const uint8_t *record);
void sev_transcript_channel(uint8_t id, const uint8_t *record);

/* END was written or read: from here on all bytes of @f. */
void sev_transcript_follow(QEMUFile *f, bool is_input);

/*
 * Up to here.  All channels have come to rest.  False: none was begun, or it
 * did not come to END.
 */
bool sev_transcript_end(QEMUFile *f, uint8_t digest[SEV_RECORD_DIGEST_LEN]);

#endif /* MIGRATION_SEV_WIRE_TRANSCRIPT_H */
