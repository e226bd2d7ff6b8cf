/*
 * Any sequence of requests of an SEV-ES guest, by GHCB pages and by the GHCB MSR.
 *
 * All that reads a request is the real code: ghcb.c, ghcb-events.c, ghcb-io.c,
 * ghcb-msr.c, end.c.  Below it is a model of a machine: a little RAM whose pages are
 * shared or private, a ROM, registers of a device, nothing; ports that say whatever
 * the input says; RDMSR that faults when it says so.
 *
 * The input is steps: a byte of what, then its operands (little endian; zeros when
 * the input ends).  What must hold: the hypervisor touches RAM that is not shared
 * only where it is asked for MMIO, an answer has the fields of one, a request that
 * is refused says why, and nobody reads or writes more than 64 KiB.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/helper-proto.h"
#include "qemu/bswap.h"
#include "system/runstate.h"
#include "target/i386/sev/es/ghcb.h"
#include "target/i386/sev/page-state.h"
#include "target/i386/sev/tcg/cache.h"
#include "target/i386/sev/tcg/insn.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGE        4096
#define RAM_PAGES   32
#define RAM_LEN     (RAM_PAGES * PAGE)
#define ROM_AT      0xff000
#define STEPS_MAX   64
#define SLOW_MAX    (1 << 18)           /* bytes of ports: most inputs are quick */

enum { STEP_PAGE, STEP_MSR, STEP_SIDE, STEP_WAKE, STEP_RAW, STEPS };

SevEsProtocol sev_es_protocol;
AddressSpace address_space_io, address_space_memory;

static X86CPU cpu;
static SevEsCpu es;
static uint8_t ram[RAM_LEN], rom[PAGE], states[RAM_PAGES];
static MemoryRegion ram_mr, rom_mr, device_mr;
static RAMBlock ram_block, rom_block;
static SevPageMap ram_map, rom_map;
static uint8_t rom_states[1];
static bool panicked, mmio_asked;
static hwaddr mmio_at, mmio_len, borrowed;
static uint64_t port_bytes;

/* --- The input ------------------------------------------------------------- */

static const uint8_t *input;
static size_t input_left;

static void take(void *to, size_t len)
{
    size_t n = MIN(len, input_left);

    memset(to, 0, len);
    memcpy(to, input, n);
    input += n;
    input_left -= n;
}

static uint64_t take_number(size_t len)
{
    uint8_t buf[8] = {};

    take(buf, len);
    return ldq_le_p(buf);
}

/* --- The machine ----------------------------------------------------------- */

AddressSpace *cpu_get_address_space(CPUState *cs, int asidx)
{
    return &address_space_memory;
}

int cpu_asidx_from_attrs(CPUState *cs, MemTxAttrs attrs)
{
    return 0;
}

MemoryRegion *flatview_translate(FlatView *fv, hwaddr addr, hwaddr *xlat,
                                 hwaddr *len, bool is_write, MemTxAttrs attrs)
{
    if (addr < RAM_LEN) {
        *xlat = addr;
        return &ram_mr;
    }
    if (addr >= ROM_AT && addr < ROM_AT + PAGE) {
        *xlat = addr - ROM_AT;
        return &rom_mr;
    }
    *xlat = 0;
    return &device_mr;
}

SevPageMap *sev_page_map(const RAMBlock *rb)
{
    return rb == &ram_block ? &ram_map : rb == &rom_block ? &rom_map : NULL;
}

static bool is_shared(hwaddr at)
{
    return at < RAM_LEN && !(states[at / PAGE] & SEV_PAGE_CACHED);
}

/* Only where the guest shares it, unless it asked for MMIO just there */
static void check_touch(hwaddr at, hwaddr len)
{
    bool is_mmio = mmio_asked && at == mmio_at && len == mmio_len;

    g_assert(len && len <= GHCB_SCRATCH_MAX);
    if (is_mmio) {
        return;
    }
    g_assert(len <= UINT64_MAX - at);
    for (hwaddr page = at & ~(hwaddr)(PAGE - 1); page < at + len; page += PAGE) {
        g_assert(is_shared(page));
    }
}

MemTxResult address_space_rw(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                             void *buf, hwaddr len, bool is_write)
{
    uint8_t *bytes = buf;

    if (as == &address_space_io) {
        g_assert(addr <= 0xffff && (len == 1 || len == 2 || len == 4));
        port_bytes += len;
        if (!is_write) {
            take(buf, len);
        }
        return MEMTX_OK;
    }
    check_touch(addr, len);
    for (hwaddr i = 0; i < len; i++) {
        hwaddr at = addr + i;

        if (at < RAM_LEN && is_write) {
            ram[at] = bytes[i];
        } else if (!is_write) {
            bytes[i] = at < RAM_LEN ? ram[at] : 0xff;
        }
    }
    return MEMTX_OK;
}

void *address_space_map(AddressSpace *as, hwaddr addr, hwaddr *plen,
                        bool is_write, MemTxAttrs attrs)
{
    g_assert(addr < RAM_LEN && is_write && *plen == PAGE);
    check_touch(addr, *plen);
    *plen = MIN(*plen, RAM_LEN - addr);
    borrowed++;
    return ram + addr;
}

void address_space_unmap(AddressSpace *as, void *buffer, hwaddr len,
                         bool is_write, hwaddr access_len)
{
    g_assert(borrowed);
    borrowed--;
}

/* --- The processor --------------------------------------------------------- */

void sev_es_cpuid(CPUX86State *env, uint32_t leaf, uint32_t index,
                  uint64_t xcr0, uint32_t regs[4])
{
    for (int i = 0; i < 4; i++) {
        regs[i] = leaf + index + i;
    }
}

bool sev_es_hold(SevEsCpu *which, SevEsHold hold)
{
    if (which->woken) {
        which->woken = false;
        return false;
    }
    which->hold = hold;
    return true;
}

int sev_es_run(CPUX86State *env, SevEsCpu *which, SevEsHelper *helper)
{
    uint8_t what = take_number(1);

    env->regs[R_EAX] = take_number(8);
    env->regs[R_EDX] = take_number(8);
    return what & 1 ? (what >> 1) % 32 : -1;
}

void helper_rdmsr(CPUX86State *env)
{
}

void helper_wrmsr(CPUX86State *env)
{
}

uint64_t cpu_get_tsc(CPUX86State *env)
{
    return 1;
}

int64_t sev_tcg_hypercall(CPUState *cs, unsigned cpl, uint64_t nr,
                          const uint64_t args[3], bool *again)
{
    *again = take_number(1) & 1;
    return -1000;
}

void sev_cache_writeback_all(void)
{
}

void qemu_system_guest_panicked(GuestPanicInformation *info)
{
    panicked = true;
}

/* Silent: a fuzzer ends guests all the time. */
void error_report(const char *fmt, ...)
{
    g_autofree char *said = NULL;
    va_list ap;

    va_start(ap, fmt);
    said = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_assert(g_str_has_prefix(said, "SEV-ES: vCPU 0 ends the guest: "));
}

/* --- Steps ----------------------------------------------------------------- */

static const uint64_t codes[] = {
    0x27, 0x37, 0x6e, 0x6f, 0x72, 0x76, 0x7b, 0x7b, 0x7c, 0x81, 0x87, 0x89, 0x8a,
    0x8b, GHCB_EVENT_MMIO_READ, GHCB_EVENT_MMIO_WRITE, GHCB_EVENT_NMI_COMPLETE,
    GHCB_EVENT_AP_RESET_HOLD, GHCB_EVENT_AP_JUMP_TABLE, GHCB_EVENT_PSC,
    GHCB_EVENT_AP_CREATION, GHCB_EVENT_FEATURES, GHCB_EVENT_TERMINATE,
    GHCB_EVENT_UNSUPPORTED,
};

static void check_answer(hwaddr gpa, SevEsNext next)
{
    const SevGhcb *page = (void *)(ram + gpa);
    const size_t fields[] = {
        offsetof(SevGhcb, rax), offsetof(SevGhcb, rbx), offsetof(SevGhcb, rcx),
        offsetof(SevGhcb, rdx), offsetof(SevGhcb, exit_info_1),
        offsetof(SevGhcb, exit_info_2),
    };
    uint64_t out1 = le64_to_cpu(page->exit_info_1);
    uint64_t out2 = le64_to_cpu(page->exit_info_2);
    unsigned bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        size_t n = fields[i] / 8;

        g_assert(page->valid[n / 8] & 1u << n % 8);
    }
    for (size_t i = 0; i < sizeof(page->valid); i++) {
        bits += ctpop8(page->valid[i]);
    }
    g_assert(bits == ARRAY_SIZE(fields));
    g_assert(out1 <= 2);
    g_assert(out1 != 1 || out2 >> 31 == 1);
    g_assert(out1 != 2 || (out2 >= GHCB_INVALID_USAGE &&
                           out2 <= GHCB_INVALID_EVENT));
}

static void ask(hwaddr gpa)
{
    SevGhcb *page = gpa % PAGE || gpa >= RAM_LEN ? NULL : (void *)(ram + gpa);
    bool can = page && is_shared(gpa);
    SevEsNext next;

    es.ghcb = gpa;
    if (can) {
        uint64_t code = le64_to_cpu(page->exit_code);

        mmio_asked = code == GHCB_EVENT_MMIO_READ ||
                     code == GHCB_EVENT_MMIO_WRITE;
        mmio_at = le64_to_cpu(page->exit_info_1);
        mmio_len = le64_to_cpu(page->exit_info_2);
    }
    if (!es.ghcb) {
        return;                         /* vmgexit.c's business */
    }
    panicked = false;
    next = es.ghcb & GHCB_MSR_CODE ? sev_es_msr_request(&cpu.env, &es)
                                   : sev_es_page_request(&cpu.env, &es);
    mmio_asked = false;
    g_assert(!borrowed && next <= SEV_ES_END);
    g_assert(next != SEV_ES_END || panicked);
    g_assert(next != SEV_ES_HALT || es.hold);
    if (can && !(gpa & GHCB_MSR_CODE) && next != SEV_ES_AGAIN) {
        check_answer(gpa, next);
    }
    g_assert(page && can ? true : gpa & GHCB_MSR_CODE || next == SEV_ES_RESUME);
}

/* A request whose fields mean something, mostly */
static void step_page(void)
{
    uint8_t shape = take_number(1), which = take_number(1);
    hwaddr gpa = (shape % 4 + 1) * PAGE;
    SevGhcb *page = (void *)(ram + gpa);

    if (!is_shared(gpa)) {
        return;
    }
    memset(page, 0, offsetof(SevGhcb, rsvd7));
    page->exit_code = cpu_to_le64(which < 0xf0 ?
                                  codes[which % ARRAY_SIZE(codes)] :
                                  take_number(8));
    page->exit_info_1 = cpu_to_le64(take_number(8));
    page->exit_info_2 = cpu_to_le64(take_number(shape & 0x10 ? 8 : 2));
    page->scratch = cpu_to_le64(shape & 0x20 ? take_number(8) :
                                gpa + take_number(2));
    page->rax = cpu_to_le64(take_number(8));
    page->rcx = cpu_to_le64(take_number(8));
    page->rbx = cpu_to_le64(take_number(8));
    page->rdx = cpu_to_le64(take_number(8));
    page->xcr0 = cpu_to_le64(take_number(8));
    page->cpl = take_number(1);
    memset(page->valid, 0xff, sizeof(page->valid));
    if (shape & 0x40) {
        take(page->valid, sizeof(page->valid));
    }
    page->version = cpu_to_le16(shape & 0x80 ? take_number(2) : 1);
    page->usage = cpu_to_le32(shape & 0x80 ? take_number(4) : 0);
    ask(gpa);
}

static void step(void)
{
    uint8_t page;

    switch (take_number(1) % STEPS) {
    case STEP_PAGE:
        step_page();
        break;
    case STEP_MSR:
        ask(take_number(8));
        break;
    case STEP_SIDE:
        page = take_number(1);
        states[page % RAM_PAGES] ^= SEV_PAGE_CACHED;
        break;
    case STEP_WAKE:                     /* as start() in vmgexit.c */
        if (es.hold == SEV_ES_HELD_BY_MSR) {
            sev_es_msr_wake(&es);
        } else if (es.hold == SEV_ES_HELD_BY_PAGE) {
            sev_es_page_wake(&cpu.env, &es);
        } else {
            es.woken = true;
        }
        es.hold = SEV_ES_NOT_HELD;
        break;
    case STEP_RAW:
        page = take_number(1) % RAM_PAGES;
        if (is_shared(page * PAGE)) {
            take(ram + page * PAGE, PAGE);
            ask(page * PAGE);
        }
        break;
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    ram_mr = (MemoryRegion) { .ram = true, .ram_block = &ram_block };
    rom_mr = (MemoryRegion) { .ram = true, .readonly = true,
                              .ram_block = &rom_block };
    ram_map = (SevPageMap) { &ram_block, RAM_PAGES, states };
    rom_map = (SevPageMap) { &rom_block, 1, rom_states };
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_left = size;
    memset(&cpu.env, 0, sizeof(cpu.env));
    memset(&es, 0, sizeof(es));
    memset(ram, 0, sizeof(ram));
    memset(rom, 0, sizeof(rom));
    memset(states, 0, sizeof(states));
    states[RAM_PAGES - 1] = SEV_PAGE_CACHED;
    sev_es_protocol = (SevEsProtocol) {
        .version_min = 1, .version_max = 1 + (take_number(1) & 1), .cbitpos = 51,
    };
    port_bytes = 0;
    for (int i = 0; i < STEPS_MAX && input_left && port_bytes < SLOW_MAX; i++) {
        step();
    }
    return 0;
}
