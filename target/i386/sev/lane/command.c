/*
 * One command of the lane's program: its mailbox, and its answer in words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "command.h"
#include "lent.h"
#include "setup.h"
#include "target/i386/sev/test/fault.h"
#include "target/i386/sev/trace.h"

LaneMailbox *sev_lane_mailbox(unsigned slot)
{
    return (void *)sev_windows_host(LANE_SHARED + slot * LANE_SHARED_STRIDE +
                                    LANE_MAILBOX);
}

LaneJob *sev_lane_jobs(unsigned slot)
{
    return (void *)sev_windows_host(LANE_SHARED + slot * LANE_SHARED_STRIDE +
                                    LANE_JOBS);
}

uint8_t *sev_lane_page(unsigned slot, size_t i)
{
    return sev_windows_host(LANE_SHARED + slot * LANE_SHARED_STRIDE +
                            LANE_PAGES) + i * LANE_PAGE;
}

/* --- Answers in words ------------------------------------------------------- */

static const char *const about_page[] = {
    [LANE_BAD_ADDRESS] = "the lane has no such page",
    [LANE_BAD_TAG] = "the lane finds it changed, moved, or of another session",
    [LANE_STALE] = "the lane had this version of it, or a later one, already: "
                   "an old page was put in its place, or one came twice",
};

static const char *const in_words[] = {
    [LANE_IDLE] = "it rang, and had done nothing",
    [LANE_BAD_COMMAND] = "it does not know the command",
    [LANE_BAD_COUNT] = "there are no jobs, or too many",
    [LANE_BAD_WINDOW] = "the guest's RAM blocks do not fit its windows",
    [LANE_NO_KEY] = "it has no key",
    [LANE_MAY_NOT_SEAL] = "it does not seal with a key that came to it, nor "
                          "after its digest",
    [LANE_MAY_NOT_OPEN] = "it does not open with a key that it made",
    [LANE_FAILED] = "it saw a page or a digest that was wrong before, and its "
                    "key is gone",
    [LANE_NO_RANDOM] = "RDRAND gives it no random numbers",
    [LANE_NO_AES] = "the CPU lacks AES, PCLMULQDQ, SSE4.1 or RDRAND",
    [LANE_BUSY] = "another of its runs has not ended",
    [LANE_FULL] = "it has sealed as many batches as one session can have",
};

static void digest_error(Error **errp, uint32_t what, uint64_t where,
                         uint32_t pages)
{
    static const char *const sum[] = {
        [LANE_WHAT_WINDOWS] = "the blocks of memory are not those that it "
                              "sealed",
        [LANE_WHAT_SHARED] = "shared pages were changed",
        [LANE_WHAT_DEVICES] = "device state was changed",
        [LANE_WHAT_RECORDS] = "records or device state were changed",
    };
    RAMBlock *rb;
    ram_addr_t offset;

    if ((what == LANE_WHAT_PAGE || what == LANE_WHAT_PAGES) &&
        sev_windows_page(where, &rb, &offset)) {
        error_setg(errp, "SEV: %spage 0x" RAM_ADDR_FMT " of RAM block %s%s: it "
                   "was left out, or an old version of it was put in its place",
                   what == LANE_WHAT_PAGE ? "" : "one or more pages from ",
                   offset, rb->idstr, what == LANE_WHAT_PAGE ? "" : " on");
    } else {
        error_setg(errp, "SEV: the lane's digest at the end differs: %s",
                   what < ARRAY_SIZE(sum) && sum[what] ? sum[what]
                                                       : "it was changed");
    }
}

/* The mailbox is read once: the guest could write to it, were it so minded. */
static void answer_error(Error **errp, const LaneMailbox *box,
                         const SevPageJob *jobs, uint32_t count)
{
    uint32_t status = box->status, bad = box->bad;

    if (status == LANE_FAULT) {
        error_setg(errp, "SEV: the lane's program faulted: vector %" PRIu64
                   " error 0x%" PRIx64 " at 0x%" PRIx64 ", address 0x%" PRIx64,
                   box->fault.vector, box->fault.error, box->fault.rip,
                   box->fault.address);
    } else if (status == LANE_BAD_DIGEST) {
        digest_error(errp, box->what, box->where, bad);
    } else if (status < ARRAY_SIZE(about_page) && about_page[status] && jobs &&
               bad < count) {
        error_setg(errp, "SEV: page 0x" RAM_ADDR_FMT " of RAM block %s: %s",
                   jobs[bad].page.offset, jobs[bad].page.rb->idstr,
                   about_page[status]);
    } else if (status < ARRAY_SIZE(about_page) && about_page[status]) {
        error_setg(errp, "SEV: of a page %s", about_page[status]);
    } else if (status < ARRAY_SIZE(in_words) && in_words[status]) {
        error_setg(errp, "SEV: the lane's program refuses: %s",
                   in_words[status]);
    } else {
        error_setg(errp, "SEV: the lane's program answers %u", status);
    }
}

/* --- For tests -------------------------------------------------------------- */

/*
 * What a host can do to a guest without SEV-SNP: other bytes at one page of the
 * program.  x-fault's "fail=N" names the page; a second call undoes it.  No vCPU
 * but the lent one ever sees that memory.
 */
static void spoil_program(int page)
{
    RAMBlock *rb = sev_windows_private();
    ram_addr_t at;

    if (page > 0) {
        at = (page - 1) % sev_lane_program_pages() * LANE_PAGE;
        sev_lent_ops()->evict(rb, at, 1, true);
        for (size_t i = 0; i < LANE_PAGE; i++) {
            rb->host[at + i] ^= 0xa5;
        }
    }
}

/* --- The command ------------------------------------------------------------ */

/* The runs under way, by their slots; thread that has the session. */
static struct {
    SevLend *lend;
    uint32_t command, count;
    int spoiled;                /* a page of the program, by a test */
    bool abandoned;             /* it never rang, and may not have left its slot */
} runs[LANE_MAX_SLOTS];

/* Nobody may be at work in a page that is changed under the program. */
static void wait_for_all(void)
{
    for (unsigned i = 0; i < LANE_MAX_SLOTS; i++) {
        if (runs[i].lend) {
            sev_lend_wait(runs[i].lend);
        }
    }
}

static void spoil(unsigned slot)
{
    if (runs[slot].spoiled > 0) {
        wait_for_all();
        spoil_program(runs[slot].spoiled);
    }
}

void sev_lane_command_start(unsigned slot, unsigned vcpu, uint32_t command,
                            uint32_t count, SevLentFor what)
{
    LaneMailbox *box = sev_lane_mailbox(slot);

    assert(slot < LANE_MAX_SLOTS && !runs[slot].lend);
    runs[slot].command = command;
    runs[slot].count = count;
    runs[slot].spoiled = 0;
    sev_fault_command(SEV_FAULT_LANE_PROGRAM, &runs[slot].spoiled);
    spoil(slot);
    box->command = command;
    box->count = count;
    box->status = LANE_IDLE;
    /* The vCPU that is lent reads all of the mailbox. */
    smp_mb();
    runs[slot].lend = sev_lend_start(slot, vcpu, what);
}

bool sev_lane_command_finish(unsigned slot, const SevPageJob *jobs,
                             Error **errp)
{
    LaneMailbox answer;
    bool ok;

    spoil(slot);
    ok = sev_lend_finish(g_steal_pointer(&runs[slot].lend), errp);
    runs[slot].abandoned = !ok;
    if (!ok) {
        return false;
    }
    /* It has written its answer before it reported. */
    smp_mb();
    memcpy(&answer, sev_lane_mailbox(slot), sizeof(answer));
    trace_sev_lane_command(runs[slot].command, runs[slot].count, answer.status,
                           answer.role);
    if (answer.status == LANE_OK && answer.abi == LANE_ABI_VERSION) {
        return true;
    }
    if (answer.status == LANE_OK) {
        error_setg(errp, "SEV: the lane's program is of version %u, this QEMU "
                   "knows %d", answer.abi, LANE_ABI_VERSION);
    } else {
        answer_error(errp, &answer, jobs, runs[slot].count);
    }
    return false;
}

bool sev_lane_command(unsigned slot, uint32_t command, uint32_t count,
                      SevLentFor what, const SevPageJob *jobs, Error **errp)
{
    sev_lane_command_start(slot, 0, command, count, what);
    return sev_lane_command_finish(slot, jobs, errp);
}

/* HELLO needs nothing, and whoever was in the slot has left it then. */
bool sev_lane_free_slots(Error **errp)
{
    for (unsigned slot = 0; slot < LANE_MAX_SLOTS; slot++) {
        if (runs[slot].abandoned &&
            !sev_lane_command(slot, LANE_HELLO, 0, SEV_LENT_READ, NULL, errp)) {
            return false;
        }
    }
    return true;
}

bool sev_lane_command_alone(uint32_t command, Error **errp)
{
    return sev_lane_command(0, command, 0, SEV_LENT_READ, NULL, errp);
}
