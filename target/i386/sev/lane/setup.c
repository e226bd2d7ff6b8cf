/*
 * The lane's program in this guest: where it comes from.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/datadir.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "hw/boards.h"
#include "system/runstate.h"
#include "lane.h"
#include "lane/tables.h"
#include "lent.h"
#include "setup.h"
#include "target/i386/sev.h"
#include "target/i386/sev/page-state.h"
#include "windows.h"

#define DEFAULT_FILE "sev-lane.bin"
#define RING3_RAM (1 * GiB)     /* of windows at most, with x-ring3: */
/*
 * For tests on a KVM without SEV that emulates ring 0, at both ends: the program
 * runs in ring 3, with tables that have no C-bit and no pages of 1 GiB.
 */
#define RING3 "x-ring3:"

/* Main thread. */
static struct {
    char *wanted;               /* value of property "lane", or NULL: off */
    size_t pages;               /* of the program that is in the guest, or 0 */
    char *sum;                  /* its SHA-256 in hex */
    bool is_claim;              /* ... is what a stream said */
    bool ring3;                 /* "x-ring3:" is before that value */
} lane;

bool sev_lane_present(void)
{
    return lane.pages;
}

size_t sev_lane_program_pages(void)
{
    return lane.pages;
}

int sev_lane_ring(void)
{
    return lane.ring3 ? 3 : 0;
}

uint64_t sev_lane_cbit(void)
{
    return lane.ring3 ? 0 : BIT_ULL(sev_get_cbit_position());
}

/* What the tables are made of. */
static LaneTables tables_of_guest(void)
{
    return (LaneTables) {
        .cbit = sev_lane_cbit(),
        .user = lane.ring3,
        .small = lane.ring3,
        .ram = RING3_RAM,
    };
}

size_t sev_lane_tables_pages(void)
{
    LaneTables tables = tables_of_guest();

    return lane_tables_pages(&tables);
}

const char *sev_lane_program(void)
{
    return lane.sum;
}

bool sev_lane_is_claim(void)
{
    return lane.is_claim;
}

bool sev_lane_usable(Error **errp)
{
    if (!lane.pages) {
        error_setg(errp, "SEV: this guest has no lane: launch it with "
                   "'-object sev-guest,...,lane=on', which changes its "
                   "measurement, or use sev-method=packets");
        return false;
    }
    return sev_lend_possible(errp);
}

void sev_lane_make_room(void)
{
    sev_windows_create();
    sev_lent_ops()->room();
}

void sev_lane_received(size_t pages, const char *claim)
{
    lane.pages = pages;
    lane.is_claim = true;
    g_free(lane.sum);
    lane.sum = g_strdup(claim);
}

void sev_lane_leave_cache(void)
{
    RAMBlock *rb = sev_windows_private();

    for (ram_addr_t at = 0; !runstate_is_running() && at < rb->used_length;
         at += TARGET_PAGE_SIZE) {
        sev_lent_ops()->evict(rb, at, 1, true);
    }
}

RAMBlock *sev_lane_some_memory(size_t n)
{
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(rb) {
        if (qemu_ram_is_migratable(rb) && sev_page_map(rb) &&
            rb->used_length / TARGET_PAGE_SIZE >= n) {
            return rb;
        }
    }
    return NULL;
}

/* --- The launch ------------------------------------------------------------- */

static char *find_file(Error **errp)
{
    const char *name = g_str_equal(lane.wanted, "on") ? DEFAULT_FILE
                                                      : lane.wanted;
    char *path = qemu_find_file(QEMU_FILE_TYPE_BIOS, name);

    if (!path) {
        error_setg(errp, "SEV: lane=%s: there is no file '%s'", lane.wanted,
                   name);
    }
    return path;
}

static bool read_image(char **bytes, gsize *len, Error **errp)
{
    g_autofree char *path = find_file(errp);
    g_autoptr(GError) gerr = NULL;

    if (!path) {
        return false;
    }
    if (!g_file_get_contents(path, bytes, len, &gerr)) {
        error_setg(errp, "SEV: lane=%s: %s", lane.wanted, gerr->message);
        return false;
    }
    if (!*len || *len > LANE_IMAGE_MAX) {
        error_setg(errp, "SEV: lane=%s: '%s' has %zu bytes, a lane has 1 to %d",
                   lane.wanted, path, *len, (int)LANE_IMAGE_MAX);
        return false;
    }
    if (DIV_ROUND_UP(*len, LANE_PAGE) + sev_lane_tables_pages() + 1 >
        SEV_LANE_PACKETS_MAX) {
        error_setg(errp, "SEV: lane=%s: '%s' has %zu bytes, and with its tables "
                   "and key it would not travel in %d packets", lane.wanted,
                   path, *len, SEV_LANE_PACKETS_MAX);
        return false;
    }
    return true;
}

/* The order and the padding are the owner's as well: lane/abi.h. */
static bool encrypt(uint64_t at, size_t len, Error **errp)
{
    return sev_encrypt_flash(LANE_GPA + at, sev_windows_host(at), len,
                             errp) >= 0;
}

bool sev_lane_launch(Error **errp)
{
    LaneTables tables = tables_of_guest();
    g_autofree char *image = NULL;
    gsize len;

    if (!lane.wanted || runstate_check(RUN_STATE_INMIGRATE)) {
        return true;            /* what comes in brings its own */
    }
    if (sev_es_enabled()) {
        error_setg(errp, "SEV: lane=%s: a vCPU of an SEV-ES guest cannot be "
                   "lent, because nobody but the guest sees its registers",
                   lane.wanted);
        return false;
    }
    if (!sev_lend_possible(errp) || !read_image(&image, &len, errp)) {
        return false;
    }
    sev_lane_make_room();
    memcpy(sev_windows_host(LANE_IMAGE), image, len);
    lane_tables((void *)sev_windows_host(LANE_TABLES), &tables);
    if (!encrypt(LANE_IMAGE, ROUND_UP(len, LANE_PAGE), errp) ||
        !encrypt(LANE_TABLES, sev_lane_tables_pages() * LANE_PAGE, errp)) {
        return false;
    }
    lane.pages = DIV_ROUND_UP(len, LANE_PAGE);
    lane.sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)image,
                                           len);
    return true;
}

/* --- The property --------------------------------------------- */

static char *get_lane(Object *obj, Error **errp)
{
    return g_strdup(lane.wanted ?: "off");
}

static void set_lane(Object *obj, const char *value, Error **errp)
{
    lane.ring3 = strstart(value, RING3, &value);
    g_free(lane.wanted);
    lane.wanted = g_str_equal(value, "off") || !*value ? NULL
                                                       : g_strdup(value);
}

void sev_lane_class_init(ObjectClass *oc)
{
    object_class_property_add_str(oc, "lane", get_lane, set_lane);
    object_class_property_set_description(oc, "lane",
        "a measured program in the guest that seals and opens its pages: "
        "off, on, or its file");
}
