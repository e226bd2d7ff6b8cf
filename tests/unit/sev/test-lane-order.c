/*
 * A source whose lane seals beside multifd: a page that went sealed, on the main
 * channel, goes shared on another only behind a flush.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/migration.h"
#include "migration/multifd.h"
#include "migration/options.h"
#include "migration/sev/lane.h"
#include "migration/sev/ram-sum.h"
#include "migration/sev/template/wrap.h"
#include "migration/sev/wire/write.h"

#define PAGE 4096
#define PAGES 1100              /* three chunks of the sum */

static uint8_t ram[PAGES * PAGE];
static RAMBlock block = { .host = ram, .used_length = sizeof(ram) };
static RAMBlock other = { .host = ram, .used_length = sizeof(ram) };
static SevSource source;
static MigrationState state;
static bool multifd;
static unsigned flushes;

/* --- What stands in for the rest of QEMU ------------------------------------ */

bool migrate_multifd(void)
{
    return multifd;
}

MigrationState *migrate_get_current(void)
{
    return &state;
}

int multifd_ram_flush_and_sync(QEMUFile *f)
{
    flushes++;
    return 0;
}

bool sev_lane_seal(const SevPageJob *jobs, size_t n, Error **errp)
{
    g_assert_not_reached();
}

bool sev_lane_open(const SevPageJob *jobs, size_t n, Error **errp)
{
    g_assert_not_reached();
}

bool sev_send_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    g_assert_not_reached();
}

bool sev_receive_pages(const SevPageJob *jobs, size_t n, Error **errp)
{
    g_assert_not_reached();
}

const char *sev_lane_program(void)
{
    g_assert_not_reached();
}

void sev_record_put(QEMUFile *f, const SevRecord *rec)
{
    g_assert_not_reached();
}

bool sev_lane_send_begin(RAMBlock *const *blocks, size_t n_blocks,
                         SevLanePacket *packets, size_t *n, Error **errp)
{
    g_assert_not_reached();
}

bool sev_lane_receive_begin(RAMBlock *const *blocks, size_t n_blocks,
                            const SevLanePacket *packets, size_t n,
                            const char *claim, Error **errp)
{
    g_assert_not_reached();
}

bool sev_lane_save_is_live(void)
{
    return true;
}

bool sev_pages_blocks_complete(SevTarget *t, Error **errp)
{
    g_assert_not_reached();
}

const SevWrap *sev_wrap_in_use(void)
{
    return NULL;
}

bool sev_wrap_fits_lane(const SevWrap *wrap, const SevRecordLane *lane,
                        Error **errp)
{
    g_assert_not_reached();
}

/* --- The order --------------------------------------------------------------- */

static void begin(bool channels)
{
    multifd = channels;
    flushes = 0;
    source.blocks = g_ptr_array_new();
    g_ptr_array_add(source.blocks, &block);
    source.ram_sum = sev_ram_sum_new(false);
    sev_ram_sum_add_block(source.ram_sum, &block);
}

static void end(void)
{
    sev_ram_sum_free(source.ram_sum);
    g_ptr_array_unref(source.blocks);
}

static void sealed(size_t page)
{
    ram_addr_t offset = page * PAGE;

    sev_lane_save_sealed_pages(&source, &block, &offset, 1);
}

/* How many flushes came before the page. */
static unsigned shared(RAMBlock *rb, size_t page)
{
    unsigned before = flushes;

    sev_lane_save_shared(&source, rb, page * PAGE);
    return flushes - before;
}

static void test_flush(void)
{
    begin(true);
    g_assert_cmpuint(shared(&block, 5), ==, 0);         /* never sealed */
    sealed(5);
    g_assert_cmpuint(shared(&block, 6), ==, 0);         /* another page */
    g_assert_cmpuint(shared(&other, 5), ==, 0);         /* of another block */
    g_assert_cmpuint(shared(&block, 5), ==, 1);
    g_assert_cmpuint(shared(&block, 5), ==, 0);         /* it was not again */
    end();
}

/* One flush is for all that was sealed before it, and for nothing after it. */
static void test_once(void)
{
    begin(true);
    sealed(7);
    sealed(PAGES - 1);
    g_assert_cmpuint(shared(&block, PAGES - 1), ==, 1);
    g_assert_cmpuint(shared(&block, 7), ==, 0);
    sealed(7);
    g_assert_cmpuint(shared(&block, 7), ==, 1);
    end();
}

static void test_one_channel(void)
{
    begin(false);
    sealed(5);
    g_assert_cmpuint(shared(&block, 5), ==, 0);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sev/lane-order/flush", test_flush);
    g_test_add_func("/sev/lane-order/once", test_once);
    g_test_add_func("/sev/lane-order/one-channel", test_one_channel);
    return g_test_run();
}
