/*
 * The contract between the lane and the host that runs it.
 *
 * The lane is a small program inside an encrypted guest.  It seals and opens
 * the guest's pages with the CPU's own AES.  The host (QEMU) lends it a vCPU
 * for one command at a time.  The program trusts nothing that the host says:
 * the host only chooses what is asked, and when.
 *
 * Words.  A session is what one key seals: one migration or one template.  The
 * source is the guest whose lane made the key, the target a guest that got the
 * key in packets.  A batch is one SEAL command.  A page has 4096 bytes.  All
 * numbers are little-endian.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LANE_ABI_H
#define LANE_ABI_H

#ifdef __ASSEMBLER__
#define LANE_U(number) number
#else
#include <stdint.h>
#define LANE_U(number) number##ULL
#endif

#define LANE_ABI_VERSION    1
#define LANE_PAGE           4096

/*
 * ADDRESSES
 *
 * Every LANE_* address below is an offset in one space of 512 GiB.  The offset
 * is the virtual address that the program uses.  The guest-physical address is
 * LANE_GPA + offset.  The page tables (tables.h) say so, and they are measured;
 * so both are fixed.
 *
 *   offset          what               C-bit    rights  measured  travels
 *   LANE_IMAGE      the file           private  r-x     yes       yes
 *   LANE_TABLES     page tables        private  r-x     yes       yes
 *   LANE_CARRIED    session and key    private  rw-     no        yes, 1 page
 *   LANE_OWN        state of this end  private  rw-     no        NEVER
 *   LANE_SLOTS      stacks, bounces    private  rw-     no        no need
 *   LANE_DOORBELL   MMIO, ring 3 only  shared   rw-     no        no
 *   LANE_SHARED     mailboxes          shared   rw-     no        no
 *   LANE_VERSIONS   4 bytes a page     private  rw-     no        no need
 *   LANE_RAM        windows            private  rw-     -         as sealed pages
 *
 * "Measured" pages are given to LAUNCH_UPDATE_DATA.  "Travels" means that the
 * page goes to the target by SEND_UPDATE_DATA and RECEIVE_UPDATE_DATA: image,
 * tables and LANE_CARRIED, 16 packets at most.  The program expects nothing of
 * the content of the other private pages; it sets them up itself.  They need
 * not be zero, and on a target they may be anything.
 *
 * Nothing is executable but the image, nothing of the image is writable, and
 * offset 0 is not mapped.
 */
#define LANE_GPA            LANE_U(0x8000000000)    /* 512 GiB */

#define LANE_IMAGE          LANE_U(0x00200000)
#define LANE_IMAGE_MAX      LANE_U(0x00010000)    /* the file's size at most */
#define LANE_TABLES         LANE_U(0x00280000)
#define LANE_TABLES_PAGES   3                   /* of a guest with 1 GiB pages */
#define LANE_TABLES_MAX     (LANE_TABLES_PAGES + 256)
#define LANE_CARRIED        LANE_U(0x00400000)
#define LANE_OWN            LANE_U(0x00401000)
#define LANE_OWN_PAGES      2
#define LANE_SLOTS          LANE_U(0x00410000)    /* private part of each slot */
#define LANE_SLOT_SIZE      LANE_U(0x8000)
#define LANE_PRIVATE_END    LANE_U(0x00490000)    /* of LANE_CARRIED and on */
#define LANE_DOORBELL       LANE_U(0x00600000)
#define LANE_SHARED         LANE_U(0x01000000)
#define LANE_SHARED_STRIDE  LANE_U(0x00200000)    /* one mailbox to the next */
#define LANE_VERSIONS       LANE_U(0x20000000)
#define LANE_RAM            LANE_U(0x40000000)
#define LANE_RAM_MAX        LANE_U(0x4000000000)    /* bytes of windows: 256 GiB */

#define LANE_MAX_SLOTS      16                  /* one for each lent vCPU */
#define LANE_MAX_WINDOWS    16
#define LANE_MAX_JOBS       256                 /* pages in a batch */
#define LANE_MAX_EPOCH      (1u << 30)          /* batches of a session */

/*
 * What the host must provide, mapped while a vCPU is lent and no longer than the
 * session lasts:
 *   - RAM at LANE_IMAGE .. + the file's size rounded up to pages,
 *   - RAM at LANE_TABLES .. + the tables' pages,
 *   - RAM at LANE_CARRIED .. LANE_PRIVATE_END,
 *   - RAM at LANE_SHARED .. + slots * LANE_SHARED_STRIDE (of each, only the
 *     first LANE_SLOT_BYTES are used),
 *   - RAM at LANE_VERSIONS .. + LANE_VERSIONS_BYTES(end of the last window):
 *     4 bytes for each page, 1 MiB for each GiB of guest memory, rounded up
 *     to a page,
 *   - each RAM block of the guest at LANE_RAM + the base of its window.
 * Image, tables, LANE_CARRIED, LANE_OWN and the versions keep their content
 * from one command to the next, as long as a session lasts.
 */
#define LANE_VERSIONS_BYTES(end)    ((uint64_t)(end) / LANE_PAGE * 4)

/*
 * THE MEASUREMENT
 *
 * The launch digest goes on, after the firmware, with
 *   1. the file, zeros up to a whole page,
 *   2. the page tables that lane_tables() in tables.h makes; they depend only
 *      on the position of the C-bit, on `user` and on `small`.  On a machine
 *      with SEV both are false, so the C-bit is all.
 * The owner computes the same from the file and the number of the C-bit.
 *
 * ENTRY
 *
 * The host sets, for each run of the program:
 *   RIP = LANE_IMAGE, EDI = slot (less than LANE_MAX_SLOTS), RFLAGS = 2,
 *   CR3 = LANE_GPA + LANE_TABLES, with the C-bit,
 *   CR0 = LANE_CR0, CR4 = LANE_CR4 and LANE_CR4_OSXSAVE when the CPU has XSAVE,
 *   EFER = LANE_EFER (and SVME where the hypervisor wants it), DR7 = 0x400,
 *   MXCSR = 0x1f80, XCR0 = all of LANE_XCR0 that the CPU has,
 *   CS = LANE_CS0, 64-bit code; SS, DS, ES = LANE_DS0, data; FS, GS, LDT = null,
 *   GDTR = {LANE_GDT, LANE_GDT_SIZE - 1}, IDTR = {LANE_IDT, LANE_IDT_SIZE - 1},
 *   TR = {LANE_TR, base LANE_TSS + slot * LANE_TSS_STRIDE, limit 103, busy}.
 * No other register matters.  The program sets its own stack.
 *
 * Interrupts, NMI and SMI are held off by the host; one that comes all the
 * same is reported as a fault.
 *
 * Ring 3.  Under a KVM that emulates ring 0 without SSE the host enters with
 * CS = LANE_CS3 and SS, DS, ES = LANE_DS3 and tables made with `user`.
 *
 * Two vCPUs must not run with the same slot.  NEW_KEY, ADOPT and both DIGEST
 * commands want all other slots idle; WIPE may come while others seal or open.
 * A command that comes at the wrong time is LANE_BUSY and does nothing.
 *
 * END
 *
 * The program clears its registers, then rings: in ring 0 it writes AL = slot
 * to LANE_PORT, in ring 3 it stores the byte at LANE_DOORBELL.  It rings again
 * when it is resumed, for ever; it never executes HLT and never returns.  What
 * it rings is LANE_RING_BAD_SLOT when EDI was no slot; no mailbox is written
 * then.
 */
#define LANE_PORT           0x5e4
#define LANE_RING_BAD_SLOT  0xff

#define LANE_CR0            0x80010033u         /* PG WP NE ET MP PE */
#define LANE_CR4            0x00000620u         /* OSXMMEXCPT OSFXSR PAE */
#define LANE_CR4_OSXSAVE    0x00040000u
#define LANE_EFER           0x00000d00u         /* NXE LMA LME */
#define LANE_XCR0           0x000000e7u         /* x87 SSE AVX, AVX-512's three */

#define LANE_CS0            0x08
#define LANE_DS0            0x10
#define LANE_CS3            0x1b
#define LANE_DS3            0x23
#define LANE_TR             0x28

/* In the first page of the image; constants, never written. */
#define LANE_GDT            (LANE_IMAGE + 0x040)
#define LANE_GDT_SIZE       0x38
#define LANE_VECTORS        (LANE_IMAGE + 0x100)    /* 32 stubs of 16 bytes */
#define LANE_IDT            (LANE_IMAGE + 0x400)
#define LANE_IDT_SIZE       0x200                   /* 32 gates */
#define LANE_TSS            (LANE_IMAGE + 0x800)
#define LANE_TSS_STRIDE     0x80

/* Which AES the program uses, and so which vectors */
#define LANE_PATH_AESNI     0
#define LANE_PATH_VAES256   1
#define LANE_PATH_VAES512   2

#ifndef __ASSEMBLER__

/*
 * COMMANDS
 *
 * The host writes `command` and its fields, sets `status` to LANE_IDLE and
 * runs the program.  Afterwards `status` says how it went.  When the program
 * did not ring, or `status` is still LANE_IDLE, the run has failed.
 *
 * An end has a role, in LANE_OWN:
 *   none     at first, after WIPE, and after CHECK_DIGEST was answered OK
 *   source   after NEW_KEY; it seals and never opens
 *   sealed   after SEAL_DIGEST; it only answers WIPE and NEW_KEY.  The page at
 *            LANE_CARRIED stays, to be wrapped for (further) platforms
 *   target   after ADOPT; it opens and never seals
 *   failed   a target that saw a wrong tag, a wrong digest or a stale version:
 *            its key is gone, and everything but HELLO and WIPE is answered
 *            LANE_FAILED.  WIPE does not change the role; packets of another
 *            session and ADOPT do.
 *
 * LANE_HELLO       Nothing is needed.  Writes `abi`, `path`, `role`.
 * LANE_NEW_KEY     windows[0 .. count) -> a fresh key, a fresh session, and
 *                  versions all zero.  Roles: none, source, sealed.  After it
 *                  the packets of image, tables and LANE_CARRIED can be made.
 * LANE_SEAL        jobs[0 .. count): block and offset -> epoch, nonce, tag and
 *                  pages[].  One epoch for the whole batch, later than every
 *                  other one of the session.  A page that is twice in a batch
 *                  is LANE_STALE.
 * LANE_SEAL_DIGEST sums -> jobs[0] (epoch, nonce, tag) and pages[0], which the
 *                  target wants for CHECK_DIGEST; `pages_done` is the number
 *                  of different pages that were sealed.
 * LANE_ADOPT       windows[0 .. count) as the source gave them.  The key in
 *                  LANE_CARRIED is taken out of it, versions all zero.  A key
 *                  that this end made itself is LANE_MAY_NOT_OPEN.
 * LANE_OPEN        jobs[0 .. count) and pages[] as SEAL wrote them -> the
 *                  guest's pages.  The epoch of a page must be later than the
 *                  one that was opened before: else LANE_STALE.  A page is
 *                  written only when its tag is right; the ones before a bad
 *                  one stay opened, the role is then `failed`.
 * LANE_CHECK_DIGEST sums, jobs[0] and pages[0] -> OK when every page that was
 *                  sealed was opened, in its last version, and sums are equal.
 *                  Else LANE_BAD_DIGEST, and `what` and `where` name the first
 *                  difference.  The guest may run only after an OK.  The key
 *                  is wiped in both cases.
 * LANE_WIPE        Key and session are zeroed.  The host asks for it at FINISH,
 *                  CANCEL and every failure.  (The private memory of a slot is
 *                  zeroed at the end of each run, so every run must end.)
 */
enum {
    LANE_HELLO = 1,
    LANE_NEW_KEY,
    LANE_SEAL,
    LANE_SEAL_DIGEST,
    LANE_ADOPT,
    LANE_OPEN,
    LANE_CHECK_DIGEST,
    LANE_WIPE,
};

enum {
    LANE_IDLE = 0,
    LANE_OK,
    LANE_BAD_COMMAND,
    LANE_BAD_COUNT,         /* of jobs or windows: 0, or too many */
    LANE_BAD_WINDOW,        /* `bad` is the window: unaligned, overlaps, too far */
    LANE_BAD_ADDRESS,       /* job `bad`: no such block, unaligned, past its end */
    LANE_BAD_TAG,           /* job `bad`: changed, moved, or of another session */
    LANE_STALE,             /* job `bad`: this or a later version was there */
    LANE_BAD_DIGEST,        /* `what` and `where` */
    LANE_NO_KEY,            /* nothing was made, adopted, or it was wiped */
    LANE_MAY_NOT_SEAL,      /* the key came in packets, or the digest is sealed */
    LANE_MAY_NOT_OPEN,      /* the key was made here */
    LANE_FAILED,            /* see role `failed` */
    LANE_NO_RANDOM,         /* RDRAND fails */
    LANE_NO_AES,            /* the CPU lacks AES, PCLMULQDQ, SSE4.1 or RDRAND */
    LANE_FULL,              /* LANE_MAX_EPOCH batches: a new session is needed */
    LANE_FAULT,             /* `fault`: an exception or an interrupt */
    LANE_BUSY,              /* another slot runs what must run alone, or this must */
};

/* What differs, first of: LANE_BAD_DIGEST */
enum {
    LANE_WHAT_WINDOWS = 1,  /* the blocks of guest memory */
    LANE_WHAT_PAGE,         /* one page, `where`: left out, or an old version */
    LANE_WHAT_PAGES,        /* several; the first is one of `bad` from `where` */
    LANE_WHAT_SHARED,       /* sums[0] */
    LANE_WHAT_DEVICES,      /* sums[1] */
    LANE_WHAT_RECORDS,      /* sums[2] */
};

enum {
    LANE_ROLE_NONE = 0, LANE_ROLE_SOURCE, LANE_ROLE_SEALED, LANE_ROLE_TARGET,
    LANE_ROLE_FAILED,
};

/*
 * A RAM block of the guest.  Windows are given in rising order of base and do
 * not overlap.  Block n of a job is windows[n]; both ends must give the same
 * list.
 */
typedef struct LaneWindow {
    uint64_t base;          /* from LANE_RAM; a multiple of 2 MiB */
    uint64_t size;          /* bytes; a multiple of LANE_PAGE, not 0 */
} LaneWindow;

/*
 * One page of a batch.  block, offset and epoch are authenticated with the
 * page; SEAL reads block and offset and writes the rest; OPEN reads all.
 */
typedef struct LaneJob {
    uint64_t offset;        /* in the block, bytes, a multiple of LANE_PAGE */
    uint32_t block;
    uint32_t epoch;
    uint8_t nonce[12];
    uint32_t unused;
    uint8_t tag[16];
} LaneJob;

#define LANE_SUM            32      /* bytes, SHA-256 or what the host likes */
#define LANE_SUMS           3       /* shared pages, device state, records */

typedef struct LaneFault {
    uint64_t vector;        /* 0 .. 31 */
    uint64_t error;         /* code, or 0 */
    uint64_t rip;
    uint64_t address;       /* CR2, of vector 14 */
} LaneFault;

typedef struct LaneMailbox {
    /* From the host */
    uint32_t command;
    uint32_t count;         /* of jobs or windows */
    /* From the program */
    uint32_t status;
    uint32_t bad;           /* job, window, or pages: see the statuses */
    uint32_t what;
    uint32_t abi;           /* LANE_ABI_VERSION of the program, at every end */
    uint32_t path;          /* which AES: LANE_PATH_*, from HELLO on */
    uint32_t role;          /* LANE_ROLE_*, after the command */
    uint64_t where;         /* offset from LANE_RAM: base of a window + offset */
    uint64_t pages_done;    /* different pages sealed or opened: DIGEST only */
    LaneFault fault;
    /* From the host again */
    LaneWindow windows[LANE_MAX_WINDOWS];
    uint8_t sums[LANE_SUMS][LANE_SUM];
} LaneMailbox;

/* From LANE_SHARED + slot * LANE_SHARED_STRIDE */
#define LANE_MAILBOX        0
#define LANE_JOBS           LANE_U(0x01000)
#define LANE_PAGES          LANE_U(0x10000)
#define LANE_SLOT_BYTES     (LANE_PAGES + LANE_MAX_JOBS * LANE_PAGE)

#endif /* __ASSEMBLER__ */

#endif
