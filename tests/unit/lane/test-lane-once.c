/*
 * Is each field of the host's read once, and nothing that was written?
 *
 * The mailbox of the lane is memory that faults.  Each access is one step of
 * the CPU with the memory mapped; so every address is seen, and a second look
 * at one, which a host could answer otherwise, is an error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include "lanehost.h"

#define TRAP_FLAG   0x100
#define WRITES      2           /* in a page fault's error code */

static struct {
    uint8_t *from;
    uint8_t read[LANE_SLOT_BYTES], written[LANE_SLOT_BYTES];
    unsigned reads, writes;
    long twice, back;           /* an offset, or -1 */
} watched;

static void protect(int how)
{
    g_assert(!mprotect(watched.from, LANE_SLOT_BYTES, how));
}

static void on_access(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    size_t at = (uint8_t *)info->si_addr - watched.from;

    if (at >= LANE_SLOT_BYTES) {
        signal(SIGSEGV, SIG_DFL);
        return;
    }
    if (registers[REG_ERR] & WRITES) {
        watched.writes++;
        watched.written[at] = 1;
    } else {
        watched.reads++;
        if (watched.read[at]++ && watched.twice < 0) {
            watched.twice = at;
        }
        if (watched.written[at] && watched.back < 0) {
            watched.back = at;
        }
    }
    protect(PROT_READ | PROT_WRITE);
    registers[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int number, siginfo_t *info, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    protect(PROT_NONE);
}

/* What end_run() does, with a watch on slot 0's mailbox */
static uint32_t watch(End *end, uint32_t command, uint32_t count)
{
    struct sigaction access = { .sa_sigaction = on_access, .sa_flags = SA_SIGINFO };
    struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
    LaneMailbox *box = end_box(end, 0);

    memset(&watched, 0, sizeof(watched));
    watched.from = (uint8_t *)box;
    watched.twice = watched.back = -1;
    box->command = command;
    box->count = count;
    lane_space = end->space;
    sigaction(SIGSEGV, &access, NULL);
    sigaction(SIGTRAP, &step, NULL);
    protect(PROT_NONE);
    lane_main(0);
    protect(PROT_READ | PROT_WRITE);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
    g_test_message("command %u: %u reads, %u writes", command, watched.reads,
                   watched.writes);
    g_assert_cmpint(watched.twice, ==, -1);
    g_assert_cmpint(watched.back, ==, -1);
    g_assert_cmpuint(watched.reads, >, 0);
    return box->status;
}

static void test_once(gconstpointer data)
{
    End source, target;

    fake_path = GPOINTER_TO_UINT(data);
    end_init(&source);
    end_init(&target);
    end_windows(&source);
    end_windows(&target);
    g_assert_cmpuint(watch(&source, LANE_NEW_KEY, HOST_BLOCKS), ==, LANE_OK);
    end_carry(&source, &target);
    g_assert_cmpuint(watch(&target, LANE_ADOPT, HOST_BLOCKS), ==, LANE_OK);
    for (int i = 0; i < 3; i++) {
        *end_job(&source, 0, i) = (LaneJob) { .offset = i * LANE_PAGE };
    }
    g_assert_cmpuint(watch(&source, LANE_SEAL, 3), ==, LANE_OK);
    memcpy(end_job(&target, 0, 0), end_job(&source, 0, 0), 3 * sizeof(LaneJob));
    memcpy(end_sealed(&target, 0, 0), end_sealed(&source, 0, 0), 3 * LANE_PAGE);
    g_assert_cmpuint(watch(&target, LANE_OPEN, 3), ==, LANE_OK);
    /* A page of ciphertext at least, whatever the width of a vector is */
    g_assert_cmpuint(watched.reads, >=, 3 * LANE_PAGE / 64);
    g_assert_cmpuint(watch(&source, LANE_SEAL_DIGEST, 0), ==, LANE_OK);
    *end_job(&target, 0, 0) = *end_job(&source, 0, 0);
    memcpy(end_sealed(&target, 0, 0), end_sealed(&source, 0, 0), LANE_PAGE);
    g_assert_cmpuint(watch(&target, LANE_CHECK_DIGEST, 0), ==, LANE_OK);
    end_clear(&source);
    end_clear(&target);
}

int main(int argc, char **argv)
{
    static const char *const paths[] = { "aesni", "vaes256", "vaes512" };

    g_test_init(&argc, &argv, NULL);
    if (!host_has_aes()) {
        g_print("1..0 # SKIP this CPU has no AES, PCLMULQDQ or RDRAND\n");
        return 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *name = g_strdup_printf("/lane/once/%s", paths[i]);

        g_test_add_data_func(name, GUINT_TO_POINTER(i), test_once);
    }
    return g_test_run();
}
