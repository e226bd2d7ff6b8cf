/*
 * sev-guest property debug-decrypt: debuggers see the guest's plaintext.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "target/i386/sev/backend/backend.h"
#include "debug.h"
#include "page-state.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "sev.h"
#include "system/confidential-guest-debug.h"
#include "system/runstate.h"
#include "target/i386/sev/tcg/cache.h"
#include "trace.h"
#include "transfer.h"

#define AES_BLOCK 16                    /* what the firmware works on */

uint64_t sev_debug_cbit;
static bool wanted;

/* DBG_DECRYPT or DBG_ENCRYPT for whole cipher blocks of one page. */
static bool debug_cmd(int cmd, void *src, void *dst, uint32_t len)
{
    struct kvm_sev_dbg dbg = {
        .src_uaddr = (uintptr_t)src,
        .dst_uaddr = (uintptr_t)dst,
        .len = len,
    };
    int fw_error = 0, ret = sev_guest_cmd(cmd, &dbg, &fw_error);

    if (ret) {
        warn_report_once("SEV: a debugger cannot reach the guest's memory: "
                         "%s (%d)", fw_error ? sev_fw_error_str(fw_error)
                                             : strerror(-ret), fw_error);
    }
    return !ret;
}

/* The range lies in one private page. */
static bool rw_private(RAMBlock *rb, ram_addr_t offset, uint8_t *buf,
                       size_t len, bool is_write)
{
    uint8_t plain[TARGET_PAGE_SIZE] QEMU_ALIGNED(AES_BLOCK);
    ram_addr_t start = QEMU_ALIGN_DOWN(offset, AES_BLOCK);
    size_t whole = QEMU_ALIGN_UP(offset + len, AES_BLOCK) - start;
    uint8_t *dram = rb->host + start;
    SevPageMap *map = sev_page_map(rb);
    bool ok;

    if (map && map->cache) {
        /* DRAM may be behind, unless the VM is stopped */
        sev_cache_writeback(map, offset >> TARGET_PAGE_BITS);
    }
    ok = debug_cmd(KVM_SEV_DBG_DECRYPT, dram, plain, whole);
    if (ok && is_write) {
        memcpy(plain + (offset - start), buf, len);
        ok = debug_cmd(KVM_SEV_DBG_ENCRYPT, plain, dram, whole);
    } else if (ok) {
        memcpy(buf, plain + (offset - start), len);
    }
    explicit_bzero(plain, sizeof(plain));
    return ok;
}

static MemTxResult sev_debug_rw(AddressSpace *as, hwaddr addr,
                                MemTxAttrs attrs, void *buf, hwaddr len,
                                bool is_write)
{
    hwaddr xlat, l = len;
    MemoryRegion *mr;

    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(as, addr, &xlat, &l, is_write, attrs);
    if (!(memory_region_is_ram(mr) || memory_region_is_romd(mr)) || l < len ||
        !sev_page_is_private(mr->ram_block, xlat)) {
        return address_space_rw(as, addr, attrs, buf, len, is_write);
    }
    trace_sev_debug_rw(addr, len, is_write);
    if (is_write && (mr->readonly || runstate_is_running())) {
        return MEMTX_ERROR;     /* the vCPUs' cache would not see it */
    }
    return rw_private(mr->ram_block, xlat, buf, len, is_write) ? MEMTX_OK
                                                               : MEMTX_ERROR;
}

uint64_t sev_debug_read_entry(CPUState *cs, hwaddr addr)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(cpu_env(cs));
    AddressSpace *as = cpu_addressspace(cs, attrs);
    uint64_t entry = 0;

    if (sev_debug_rw(as, addr & ~sev_debug_cbit, attrs, &entry, sizeof(entry),
                     false) != MEMTX_OK) {
        return 0;               /* not present */
    }
    return le64_to_cpu(entry) & ~sev_debug_cbit;
}

/* --- The property ---------------------------------------------------------- */

static bool get_debug_decrypt(Object *obj, Error **errp)
{
    return wanted;
}

static void set_debug_decrypt(Object *obj, bool value, Error **errp)
{
    wanted = value;
}

void sev_debug_class_init(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "debug-decrypt", get_debug_decrypt,
                                   set_debug_decrypt);
    object_class_property_set_description(oc, "debug-decrypt",
        "debuggers see plaintext (the policy must allow it)");
}

bool sev_debug_init(uint32_t policy, uint32_t cbitpos, Error **errp)
{
    if (!wanted) {
        return true;
    }
    if (policy & SEV_POLICY_NODBG) {
        error_setg(errp, "SEV: debug-decrypt=on, but the guest's policy 0x%x "
                   "has NODBG (bit 0): its owner forbids debugging", policy);
        return false;
    }
    warn_report("SEV: debug-decrypt=on: debuggers of this guest see its "
                "plaintext");
    sev_debug_cbit = BIT_ULL(cbitpos);
    confidential_guest_rw_debug = sev_debug_rw;
    return true;
}
