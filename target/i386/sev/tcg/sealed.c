/*
 * Pages whose DRAM holds a transport packet, to be opened at first touch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sealed.h"
#include "target/i386/sev/backend/backend.h"
#include "cache-int.h"
#include "target/i386/sev/transfer.h"
#include "exec/ram_addr.h"
#include "hw/core/cpu.h"
#include "hw/psp/psp-memory.h"
#include "hw/psp/psp-packet-key.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "system/runstate.h"
#include "target/i386/sev/trace.h"

#define PAGE_LEN SEV_PACKET_DATA_LEN
QEMU_BUILD_BUG_ON(TARGET_PAGE_SIZE != PAGE_LEN);

/* Set while no vCPU runs; pages are counted under the cache lock. */
static PspPacketKey *sealed_key;
static size_t n_sealed;

/* --- Marking: a clone is loaded ------------------------------------------- */

bool sev_first_touch_possible(void)
{
    return sev_cache_vek && sev_backend_is_software();
}

bool sev_first_touch_begin(Error **errp)
{
    g_clear_pointer(&sealed_key, psp_packet_key_unref);
    sealed_key = sev_backend_packet_key();
    if (!sealed_key) {
        error_setg(errp, "SEV: the secure processor does not keep the keys of "
                   "this template");
    }
    return sealed_key;
}

void sev_first_touch_add(SevSealedBlock *sealed)
{
    SevPageMap *map = sev_page_map(sealed->rb);

    QEMU_LOCK_GUARD(&sev_cache_lock);
    map->sealed = sealed;
}

void sev_first_touch_mark(RAMBlock *rb, ram_addr_t offset, ram_addr_t length)
{
    SevPageMap *map = sev_page_map(rb);
    size_t first = offset >> TARGET_PAGE_BITS;

    QEMU_LOCK_GUARD(&sev_cache_lock);
    for (size_t i = 0; i < length >> TARGET_PAGE_BITS; i++) {
        sev_cache_set_bits(map, first + i, 0, SEV_PAGE_SEALED);
    }
    n_sealed += length >> TARGET_PAGE_BITS;
}

/* The last page takes the keys with it. */
static void no_longer_sealed(SevPageMap *map, size_t page)
{
    sev_cache_set_bits(map, page, SEV_PAGE_SEALED, 0);
    if (!--n_sealed) {
        g_clear_pointer(&sealed_key, psp_packet_key_unref);
        trace_sev_sealed_none();
    }
}

/* --- Opening -------------------------------------------------------------- */

/* What lies in a file or in shared memory is copied before it is judged. */
static bool open_bytes(SevPageMap *map, size_t page, const uint8_t *bytes,
                       uint8_t *plain)
{
    const uint8_t *hdr = map->sealed->headers + page * SEV_PACKET_HDR_LEN;
    uint8_t data[PAGE_LEN];

    memcpy(data, bytes, sizeof(data));
    return psp_packet_key_open(sealed_key, hdr, data, plain, sizeof(data));
}

/* Is the packet whole in the template, whatever became of DRAM since? */
static bool template_is_whole(SevPageMap *map, size_t page)
{
    const SevSealedBlock *sealed = map->sealed;
    uint8_t data[PAGE_LEN], plain[PAGE_LEN];
    bool whole;

    whole = pread(sealed->fd, data, sizeof(data),
                  sealed->start + sev_cache_offset(page)) == sizeof(data) &&
            open_bytes(map, page, data, plain);
    explicit_bzero(plain, sizeof(plain));
    return whole;
}

/* The guest cannot go on; a chip command of the migration thread just fails. */
static void refuse(SevPageMap *map, size_t page, bool written)
{
    trace_sev_sealed_refused(map->rb->idstr, sev_cache_offset(page), written);
    error_report("SEV: the packet for block '%s' offset 0x" RAM_ADDR_FMT
                 " fails its MAC: %s%s%s", map->rb->idstr,
                 sev_cache_offset(page),
                 written ? "the page was written to behind the guest's back, "
                           "its template is whole: "
                         : "it was changed in template ",
                 map->sealed->name,
                 current_cpu ? "; the guest is stopped" : "");
    if (current_cpu) {
        vm_stop(RUN_STATE_INTERNAL_ERROR);
    }
}

bool sev_sealed_open(SevPageMap *map, size_t page, uint8_t *plain)
{
    if (open_bytes(map, page, map->cache->dram + sev_cache_offset(page),
                   plain)) {
        trace_sev_sealed_open(map->rb->idstr, sev_cache_offset(page));
        return true;
    }
    refuse(map, page, template_is_whole(map, page));
    return false;
}

static void encrypt(SevPageMap *map, size_t page, const uint8_t *plain)
{
    psp_mem_encrypt(sev_cache_vek, map->rb->offset + sev_cache_offset(page),
                    plain, map->cache->dram + sev_cache_offset(page),
                    PAGE_LEN);
}

bool sev_sealed_settle(SevPageMap *map, size_t page)
{
    ram_addr_t offset = sev_cache_offset(page);
    uint8_t plain[PAGE_LEN];

    if (!(map->state[page] & SEV_PAGE_SEALED)) {
        return true;
    }
    if (map->state[page] & SEV_PAGE_CACHED) {
        encrypt(map, page, map->cache->plain + offset);
    } else if (open_bytes(map, page, map->cache->dram + offset, plain)) {
        encrypt(map, page, plain);
        explicit_bzero(plain, sizeof(plain));
    } else if (!template_is_whole(map, page)) {
        refuse(map, page, false);
        return false;
    }
    /* else: a device wrote to DRAM since, as it may; that is what is there */
    trace_sev_sealed_settle(map->rb->idstr, offset);
    no_longer_sealed(map, page);
    return true;
}

void sev_sealed_replaced(SevPageMap *map, size_t page)
{
    if (map->state[page] & SEV_PAGE_SEALED) {
        no_longer_sealed(map, page);
    }
}

void sev_sealed_forget(void)
{
    g_clear_pointer(&sealed_key, psp_packet_key_unref);
}

bool sev_sealed_settle_range(SevPageMap *map, ram_addr_t offset, size_t length)
{
    size_t page = offset >> TARGET_PAGE_BITS;
    size_t end = DIV_ROUND_UP(offset + length, TARGET_PAGE_SIZE);

    for (; map->sealed && page < end; page++) {
        if (sev_page_state(map, page) & SEV_PAGE_SEALED) {
            QEMU_LOCK_GUARD(&sev_cache_lock);
            if (!sev_sealed_settle(map, page)) {
                return false;
            }
        }
    }
    return true;
}

/* --- The sweep ------------------------------------------------------------ */

#define SWEEP_PAGES 64          /* at once, then vCPUs get the lock */

/* A page that fails stays as it is: the guest stops if it ever touches it. */
static void sweep_block(SevPageMap *map)
{
    for (size_t page = 0; map->sealed && page < map->npages; page++) {
        if (!(sev_page_state(map, page) & SEV_PAGE_SEALED)) {
            continue;
        }
        WITH_QEMU_LOCK_GUARD(&sev_cache_lock) {
            if (map->rb) {
                sev_sealed_settle(map, page);
            }
        }
        if (page % SWEEP_PAGES == 0) {
            g_usleep(G_USEC_PER_SEC / 1000);
        }
    }
}

static void *sweep(void *opaque)
{
    sev_page_map_foreach(sweep_block);
    return NULL;
}

void sev_first_touch_sweep(void)
{
    QemuThread thread;

    qemu_thread_create(&thread, "sev-sweep", sweep, NULL, QEMU_THREAD_DETACHED);
}
