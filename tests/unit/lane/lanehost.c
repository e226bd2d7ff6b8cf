/*
 * The lane as a library: its C code in this process, its space plain memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/mman.h>
#include "lanehost.h"

/* The real CPU, under other names; below it the one that tests command */
#define lane_has_aes    cpu_has_aes
#define lane_best_path  cpu_best_path
#define lane_random     cpu_random
int cpu_has_aes(void);
uint32_t cpu_best_path(void);
int cpu_random(uint64_t *value);
#include "lane/cpu.c"
#undef lane_has_aes
#undef lane_best_path
#undef lane_random

#define SPACE   (LANE_RAM + HOST_RAM)

uint8_t *lane_space;
uint32_t fake_path = LANE_PATH_VAES512;
int fake_random_left = -1;
int fake_no_aes;

int lane_has_aes(void)
{
    return !fake_no_aes && cpu_has_aes();
}

uint32_t lane_best_path(void)
{
    return MIN(fake_path, cpu_best_path());
}

int lane_random(uint64_t *value)
{
    if (!fake_random_left) {
        return 0;
    }
    fake_random_left -= fake_random_left > 0;
    return cpu_random(value);
}

gboolean host_has_aes(void)
{
    return cpu_has_aes();
}

static void fill(void *at, size_t bytes)
{
    uint32_t *p = at;

    for (size_t i = 0; i < bytes / sizeof(*p); i++) {
        p[i] = g_random_int();
    }
}

void end_init(End *end)
{
    end->space = mmap(NULL, SPACE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert(end->space != MAP_FAILED);
    fill(end->space + LANE_CARRIED, LANE_PAGE * 3);
    fill(end->space + LANE_VERSIONS, LANE_VERSIONS_BYTES(HOST_RAM));
    fill(end->space + LANE_RAM, HOST_RAM);
}

void end_clear(End *end)
{
    munmap(end->space, SPACE);
}

LaneMailbox *end_box(End *end, unsigned slot)
{
    return (void *)(end->space + LANE_SHARED + slot * LANE_SHARED_STRIDE);
}

LaneJob *end_job(End *end, unsigned slot, unsigned i)
{
    return (LaneJob *)((uint8_t *)end_box(end, slot) + LANE_JOBS) + i;
}

uint8_t *end_sealed(End *end, unsigned slot, unsigned i)
{
    return (uint8_t *)end_box(end, slot) + LANE_PAGES + i * LANE_PAGE;
}

uint8_t *end_page(End *end, unsigned block, unsigned page)
{
    return end->space + LANE_RAM + block * HOST_BASE1 + page * LANE_PAGE;
}

LaneOwn *end_own(End *end)
{
    return (void *)(end->space + LANE_OWN);
}

LaneCarried *end_carried(End *end)
{
    return (void *)(end->space + LANE_CARRIED);
}

uint32_t end_run(End *end, unsigned slot, uint32_t command, uint32_t count)
{
    LaneMailbox *box = end_box(end, slot);

    box->command = command;
    box->count = count;
    box->status = LANE_IDLE;
    lane_space = end->space;
    lane_main(slot);
    memset(end->space + LANE_SLOTS + slot * LANE_SLOT_SIZE, 0, LANE_SLOT_ZEROED);
    g_assert_cmpuint(box->abi, ==, LANE_ABI_VERSION);
    return box->status;
}

void end_windows(End *end)
{
    LaneWindow *w = end_box(end, 0)->windows;

    w[0] = (LaneWindow) { 0, HOST_PAGES * LANE_PAGE };
    w[1] = (LaneWindow) { HOST_BASE1, HOST_PAGES1 * LANE_PAGE };
}

uint32_t end_new_key(End *end)
{
    end_windows(end);
    return end_run(end, 0, LANE_NEW_KEY, HOST_BLOCKS);
}

uint32_t end_adopt(End *end)
{
    end_windows(end);
    return end_run(end, 0, LANE_ADOPT, HOST_BLOCKS);
}

void end_carry(End *from, End *to)
{
    memcpy(end_carried(to), end_carried(from), LANE_PAGE);
}

static void take(End *end, Sealed *out)
{
    out->job = *end_job(end, 0, 0);
    memcpy(out->page, end_sealed(end, 0, 0), LANE_PAGE);
}

static void give(End *end, const Sealed *in)
{
    *end_job(end, 0, 0) = in->job;
    memcpy(end_sealed(end, 0, 0), in->page, LANE_PAGE);
}

uint32_t end_seal(End *end, unsigned block, unsigned page, Sealed *out)
{
    uint32_t status;

    *end_job(end, 0, 0) = (LaneJob) {
        .block = block, .offset = (uint64_t)page * LANE_PAGE,
    };
    status = end_run(end, 0, LANE_SEAL, 1);
    take(end, out);
    return status;
}

uint32_t end_open(End *end, const Sealed *in)
{
    give(end, in);
    return end_run(end, 0, LANE_OPEN, 1);
}

uint32_t end_seal_digest(End *end, Sealed *out)
{
    uint32_t status = end_run(end, 0, LANE_SEAL_DIGEST, 0);

    take(end, out);
    return status;
}

uint32_t end_check_digest(End *end, const Sealed *in)
{
    give(end, in);
    return end_run(end, 0, LANE_CHECK_DIGEST, 0);
}
