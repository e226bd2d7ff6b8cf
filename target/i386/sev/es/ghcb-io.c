/*
 * GHCB events with data: port I/O, single and in strings, and MMIO.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "qemu/bswap.h"
#include "svm.h"
#include "ghcb.h"
#include "target/i386/sev/trace.h"

/*
 * As bytes, which is how KVM hands them to QEMU: an access that reaches from one
 * device into the next is one of each.
 */
static void port_rw(CPUX86State *env, uint16_t port, uint8_t *buf,
                    unsigned size, bool is_write)
{
    address_space_rw(&address_space_io, port, cpu_get_mem_attrs(env), buf, size,
                     is_write);
}

static void string_io(SevGhcbCall *call, unsigned size)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t len;

    if (!GHCB_HAS(call, scratch)) {
        sev_ghcb_refuse(call, GHCB_MISSING_INPUT);
        return;
    }
    if (call->info2 > INT_MAX / size) {
        sev_ghcb_refuse(call, GHCB_INVALID_INPUT);
        return;
    }
    len = call->info2 * size;
    if (!len) {
        return;
    }
    buf = sev_ghcb_read_scratch(call, len);
    if (!buf) {
        return;
    }
    for (uint64_t at = 0; at < len; at += size) {
        port_rw(call->env, call->info1 >> 16, buf + at, size,
                !(call->info1 & SVM_IOIO_TYPE_MASK));
    }
    if (call->info1 & SVM_IOIO_TYPE_MASK) {
        sev_ghcb_write_scratch(call, buf, len);
    }
}

void sev_ghcb_ioio(SevGhcbCall *call)
{
    unsigned size = (call->info1 & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
    uint16_t port = call->info1 >> 16;
    uint8_t buf[4];

    if (size != 1 && size != 2 && size != 4) {
        if (size) {
            sev_ghcb_refuse(call, GHCB_INVALID_INPUT);
        }
        return;                 /* of no size: nothing to do, says KVM */
    }
    if (call->info1 & SVM_IOIO_STR_MASK) {
        string_io(call, size);
    } else if (call->info1 & SVM_IOIO_TYPE_MASK) {
        port_rw(call->env, port, buf, size, false);
        call->rax = size == 4 ? 0 : call->rax & ~MAKE_64BIT_MASK(0, size * 8);
        call->rax |= ldn_le_p(buf, size);
    } else if (GHCB_HAS(call, rax)) {
        stl_le_p(buf, call->rax);
        port_rw(call->env, port, buf, size, true);
    } else {
        sev_ghcb_refuse(call, GHCB_MISSING_INPUT);
    }
}

/* What is there is for the address space to say: registers, RAM, or nothing */
static void mmio(SevGhcbCall *call, uint8_t *buf, bool is_write)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(call->env);

    trace_sev_es_mmio(env_cpu(call->env)->cpu_index, call->info1, call->info2,
                      is_write);
    address_space_rw(cpu_addressspace(env_cpu(call->env), attrs), call->info1,
                     attrs, buf, call->info2, is_write);
}

void sev_ghcb_mmio_read(SevGhcbCall *call)
{
    g_autofree uint8_t *buf =
        call->info2 ? sev_ghcb_read_scratch(call, call->info2) : NULL;

    if (buf) {
        mmio(call, buf, false);
        sev_ghcb_write_scratch(call, buf, call->info2);
    }
}

void sev_ghcb_mmio_write(SevGhcbCall *call)
{
    g_autofree uint8_t *buf =
        call->info2 ? sev_ghcb_read_scratch(call, call->info2) : NULL;

    if (buf) {
        mmio(call, buf, true);
    }
}
