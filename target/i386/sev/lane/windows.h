/*
 * The memory that the lane sees: its own, and windows onto the guest's.
 *
 * The lane (lane/abi.h) runs in an address space of its own, at LANE_GPA of
 * guest-physical memory: image, page tables, private data, mailboxes, and every
 * RAM block of the guest one behind the other.  It must not look through the
 * guest's own address map, because on a target nothing in that has its state
 * yet: the chipset decides what lies at 0xc0000, and flash takes commands.
 *
 * Under TCG nothing is mapped at all.  A vCPU that is lent finds these places
 * when it fills its TLB (tcg/lent.h), and no other vCPU ever does.  Under KVM
 * they are memory slots (kvm-map.c).
 *
 * Written by the thread that has the session, while no vCPU is lent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_LANE_WINDOWS_H
#define TARGET_I386_SEV_LANE_WINDOWS_H

#include "exec/hwaddr.h"
#include "exec/ramblock.h"
#include "lane/abi.h"
#include "qapi/error.h"

/* A private page of the lane's space that neither program nor host uses. */
#define SEV_LANE_NOTHING (LANE_OWN + LANE_OWN_PAGES * LANE_PAGE)

/* Where a byte of the lane's address space lies. */
typedef struct SevLanePlace {
    RAMBlock *rb;
    ram_addr_t offset;
    bool is_window;             /* the guest's memory, not the lane's own */
    bool is_shared;             /* a mailbox: seen without the C-bit */
} SevLanePlace;

/*
 * Make the lane's own RAM, if it is not there.  It is no memory of the guest's
 * map, and no part of a migration stream.  BQL held.
 */
void sev_windows_create(void);
bool sev_windows_exist(void);

/*
 * The guest's blocks that the session is about, in the order of the stream; no
 * others are looked at until the next call.  Those that hold no memory of a
 * guest (tables that firmware fetches) have no window.  Both ends get the same
 * list from the same blocks.  BQL held.
 */
bool sev_windows_set(RAMBlock *const *blocks, size_t n, Error **errp);

/* The same list, as the program wants it; the number of them. */
unsigned sev_windows_list(LaneWindow windows[LANE_MAX_WINDOWS]);

/* The number of the window onto @rb, or -1. */
int sev_windows_number(const RAMBlock *rb);

/* The RAM block and offset of an offset from LANE_RAM; false: of none. */
bool sev_windows_page(uint64_t where, RAMBlock **rb, ram_addr_t *offset);

/* What lies at guest-physical address @paddr for a vCPU that is lent. */
bool sev_windows_find(hwaddr paddr, SevLanePlace *place);

/* One stretch of the lane's address space; @base counts from LANE_GPA. */
typedef struct SevArea {
    uint64_t base, size;        /* bytes */
    RAMBlock *rb;
} SevArea;

/* The lane's own memory and the windows, in any order; the number of them. */
#define SEV_LANE_AREAS_MAX (LANE_MAX_WINDOWS + 3)
unsigned sev_windows_areas(SevArea list[SEV_LANE_AREAS_MAX]);

/*
 * Under KVM: memory slots for all of these, which can be written, ROMs and flash
 * as well; @writes is not looked at.  BQL held.
 */
bool sev_kvm_map_lane(bool writes, Error **errp);
void sev_kvm_unmap_lane(void);

/* Host pointer of the lane's own memory at offset @at of its space. */
uint8_t *sev_windows_host(uint64_t at);

/* The block with the image, the tables and the private data; from LANE_IMAGE. */
RAMBlock *sev_windows_private(void);

/* The block with the mailboxes; from LANE_SHARED. */
RAMBlock *sev_windows_shared(void);

#endif /* TARGET_I386_SEV_LANE_WINDOWS_H */
