/*
 * The lane: the guest's own CPU seals and opens its pages.
 *
 * A small measured program inside the encrypted guest (lane/abi.h) does with
 * AES-256-GCM what the secure processor does with packets.  Only the program
 * and the key that it makes travel as packets, so who may receive them is
 * decided as for any page.  The contract between migration/sev/ and the parts
 * in this folder:
 *
 *   setup.c      property "lane" of sev-guest, the launch
 *   session.c    one session: key, packets, digest
 *   batch.c      its pages, on several vCPUs
 *   trial.c      the pace of packets and of the program
 *   command.c    one command and its answer in words
 *   lend.c       a vCPU is lent to the program
 *   windows.c    the memory that it sees
 *
 * A sealed page takes the places of a packet: SEV_PACKET_HDR_LEN bytes and
 * SEV_PACKET_DATA_LEN.  Of the header the first 32 bytes are the epoch (4 bytes,
 * little-endian), nonce and tag, the rest is zero.
 *
 * One session at a time.  All of it in the thread that has the session: the
 * migration thread or, at its end and on a target, the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_LANE_LANE_H
#define TARGET_I386_SEV_LANE_LANE_H

#include "qom/object.h"
#include "target/i386/sev/transfer.h"

#define SEV_LANE_PACKETS_MAX 16     /* of the program and its key */
#define SEV_LANE_SUM_LEN 32
#define SEV_LANE_BATCH 256          /* pages that one loan is best used for */
#define SEV_LANE_SEAL_MAX (4 * SEV_LANE_BATCH)

/* What a digest covers beside the sealed pages; zeros: nothing. */
typedef struct SevLaneSums {
    uint8_t shared[SEV_LANE_SUM_LEN];
    uint8_t devices[SEV_LANE_SUM_LEN];
    uint8_t records[SEV_LANE_SUM_LEN];
} SevLaneSums;

/* --- setup.c ---------------------------------------------------------------- */

/* Property "lane" of the class.  Main thread. */
void sev_lane_class_init(ObjectClass *oc);

/*
 * When the machine is complete and LAUNCH_MEASURE not yet asked for: give the
 * program to LAUNCH_UPDATE_DATA if lane= asks for it.  BQL held.
 */
bool sev_lane_launch(Error **errp);

/* Has this guest a lane: launched with it, or received? */
bool sev_lane_present(void);

/* Why this guest's pages cannot go through a lane, or true. */
bool sev_lane_usable(Error **errp);

/* SHA-256 of the program as 64 hex digits, or NULL: there is none. */
const char *sev_lane_program(void);

/* Is that sum the word of a stream? */
bool sev_lane_is_claim(void);

/* A program of @pages came by packets; @claim is its SHA-256, as was said. */
void sev_lane_received(size_t pages, const char *claim);

/* --- session.c: source ------------------------------------------------------ */

/* A packet of the program's own memory at @at of its space. */
typedef struct SevLanePacket {
    uint64_t at;
    uint8_t hdr[SEV_PACKET_HDR_LEN];
    uint8_t data[SEV_PACKET_DATA_LEN];
} SevLanePacket;

/*
 * A new key for the pages of @blocks, and the packets that carry it and the
 * program: *@n of them, at most SEV_LANE_PACKETS_MAX.  After SEND_START.
 */
bool sev_lane_send_begin(RAMBlock *const *blocks, size_t n_blocks,
                         SevLanePacket *packets, size_t *n, Error **errp);

/*
 * Seal @n pages, at most SEV_LANE_SEAL_MAX, no page twice.  All of them must reach
 * the target: the digest counts them.  A page that is not private any more is
 * sealed as something else, and the caller sends it again as what it is.
 */
bool sev_lane_seal(const SevPageJob *jobs, size_t n, Error **errp);

/* What the target checks last; the session seals nothing after it. */
bool sev_lane_seal_digest(const SevLaneSums *sums,
                          uint8_t hdr[SEV_PACKET_HDR_LEN],
                          uint8_t data[SEV_PACKET_DATA_LEN], Error **errp);

/* --- session.c: target ------------------------------------------------------ */

/*
 * RECEIVE_UPDATE_DATA for the packets, RECEIVE_FINISH, and the key is taken out
 * of its page: the secure processor has no more part in this guest's arrival.
 * @claim is the program's SHA-256 in hex, as the stream has it.
 */
bool sev_lane_receive_begin(RAMBlock *const *blocks, size_t n_blocks,
                            const SevLanePacket *packets, size_t n,
                            const char *claim, Error **errp);

/* Open @n pages, of any number.  A page that fails is named, and all is over. */
bool sev_lane_open(const SevPageJob *jobs, size_t n, Error **errp);

/* Is everything that was sealed here, in its last version? */
bool sev_lane_check_digest(const SevLaneSums *sums,
                           const uint8_t hdr[SEV_PACKET_HDR_LEN],
                           const uint8_t data[SEV_PACKET_DATA_LEN],
                           Error **errp);

/* --- trial.c: how fast are they here? --------------------------------------- */

/*
 * The time that @n packets of the secure processor take, in a session of this
 * platform with itself that is cancelled; that sealing @n pages takes, with a
 * key that is wiped.  No session is open; main thread.
 */
bool sev_lane_try_packets(size_t n, int64_t *ns, Error **errp);
bool sev_lane_try_pages(size_t n, int64_t *ns, Error **errp);

/* --- session.c: from one platform to another --------------------------------- */

/*
 * A wrap (migration/sev/template/wrap.h): the packets of program and key become
 * this guest's pages, which is complete with that for the secure processor; after
 * SEND_START they become packets for another platform, *@n of them, at most
 * SEV_LANE_PACKETS_MAX.  The program does not run, so the key stays what it is: one
 * that came in packets.  After RECEIVE_START; main thread.
 */
bool sev_lane_take(const SevLanePacket *packets, size_t n, const char *claim,
                   Error **errp);
bool sev_lane_pass_on(SevLanePacket *packets, size_t *n, Error **errp);

/* --- session.c: both -------------------------------------------------------- */

/* The session is over, well or not: no key is left.  Any state; BQL held. */
void sev_lane_end(void);

#endif /* TARGET_I386_SEV_LANE_LANE_H */
