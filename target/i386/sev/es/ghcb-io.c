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

static uint32_t port_in(CPUX86State *env, uint16_t port, unsigned size)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(env);

    switch (size) {
    case 1:
        return address_space_ldub(&address_space_io, port, attrs, NULL);
    case 2:
        return address_space_lduw(&address_space_io, port, attrs, NULL);
    default:
        return address_space_ldl(&address_space_io, port, attrs, NULL);
    }
}

static void port_out(CPUX86State *env, uint16_t port, unsigned size,
                     uint32_t val)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(env);

    switch (size) {
    case 1:
        address_space_stb(&address_space_io, port, val, attrs, NULL);
        break;
    case 2:
        address_space_stw(&address_space_io, port, val, attrs, NULL);
        break;
    default:
        address_space_stl(&address_space_io, port, val, attrs, NULL);
        break;
    }
}

/* One element; the guest's memory is little endian. */
static void string_element(SevGhcbCall *call, uint8_t *p, unsigned size)
{
    uint16_t port = call->info1 >> 16;

    if (call->info1 & SVM_IOIO_TYPE_MASK) {
        stn_le_p(p, size, port_in(call->env, port, size));
    } else {
        port_out(call->env, port, size, ldn_le_p(p, size));
    }
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
        string_element(call, buf + at, size);
    }
    if (call->info1 & SVM_IOIO_TYPE_MASK) {
        sev_ghcb_write_scratch(call, buf, len);
    }
}

void sev_ghcb_ioio(SevGhcbCall *call)
{
    unsigned size = (call->info1 & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
    uint16_t port = call->info1 >> 16;

    if (size != 1 && size != 2 && size != 4) {
        if (size) {
            sev_ghcb_refuse(call, GHCB_INVALID_INPUT);
        }
        return;                 /* of no size: nothing to do, says KVM */
    }
    if (call->info1 & SVM_IOIO_STR_MASK) {
        string_io(call, size);
    } else if (call->info1 & SVM_IOIO_TYPE_MASK) {
        uint64_t mask = MAKE_64BIT_MASK(0, size * 8);

        call->rax = size == 4 ? 0 : call->rax & ~mask;
        call->rax |= port_in(call->env, port, size) & mask;
    } else if (GHCB_HAS(call, rax)) {
        port_out(call->env, port, size, call->rax);
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
    g_autofree uint8_t *buf = NULL;

    if (call->info2 && (buf = sev_ghcb_read_scratch(call, call->info2))) {
        mmio(call, buf, false);
        sev_ghcb_write_scratch(call, buf, call->info2);
    }
}

void sev_ghcb_mmio_write(SevGhcbCall *call)
{
    g_autofree uint8_t *buf = NULL;

    if (call->info2 && (buf = sev_ghcb_read_scratch(call, call->info2))) {
        mmio(call, buf, true);
    }
}
