/*
 * VMGEXIT with a GHCB page: where it is, what it says, what it gets back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
#include "qemu/rcu.h"
#include "svm.h"
#include "ghcb.h"
#include "target/i386/sev/page-state.h"
#include "target/i386/sev/trace.h"

/* SW_EXITINFO1 of an answer */
#define ANSWER_EXCEPTION        1
#define ANSWER_REFUSED          2

bool sev_ghcb_has(const SevGhcbCall *call, size_t offset)
{
    size_t n = offset / 8;

    return call->in.valid[n / 8] & 1u << n % 8;
}

uint64_t sev_ghcb_get(const SevGhcbCall *call, size_t offset)
{
    return sev_ghcb_has(call, offset) ? ldq_le_p((uint8_t *)&call->in + offset)
                                      : 0;
}

void sev_ghcb_refuse(SevGhcbCall *call, unsigned reason)
{
    trace_sev_es_refused(env_cpu(call->env)->cpu_index, call->code, reason);
    call->out1 = ANSWER_REFUSED;
    call->out2 = reason;
}

void sev_ghcb_inject(SevGhcbCall *call, int vector)
{
    call->out1 = ANSWER_EXCEPTION;
    /* As EVENTINJ: an error code would be above, and there is none. */
    call->out2 = (uint32_t)(vector | SVM_EVTINJ_TYPE_EXEPT | SVM_EVTINJ_VALID);
}

/* --- Guest memory --------------------------------------------------------- */

/*
 * A page that is cached was last used as a private one.  What the guest has
 * declared does not count: Linux declares all of its memory private, and asks
 * for that through a page that is not.
 */
static bool page_is_shared(CPUX86State *env, hwaddr gpa, bool is_write)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(env);
    hwaddr xlat, len = 1;
    MemoryRegion *mr = address_space_translate(
        cpu_addressspace(env_cpu(env), attrs), gpa, &xlat, &len, is_write,
        attrs);
    SevPageMap *map = memory_region_is_ram(mr) ? sev_page_map(mr->ram_block)
                                               : NULL;

    return map && !(is_write && mr->readonly) &&
           !(sev_page_state(map, xlat >> TARGET_PAGE_BITS) & SEV_PAGE_CACHED);
}

bool sev_ghcb_is_shared(CPUX86State *env, hwaddr gpa, uint64_t len,
                        bool is_write)
{
    hwaddr end = gpa + len;

    if (end < gpa) {
        return false;           /* around the end of the address space */
    }
    RCU_READ_LOCK_GUARD();
    for (gpa &= TARGET_PAGE_MASK; gpa < end; gpa += TARGET_PAGE_SIZE) {
        if (!page_is_shared(env, gpa, is_write)) {
            return false;
        }
    }
    return true;
}

static void guest_rw(CPUX86State *env, hwaddr gpa, void *buf, uint64_t len,
                     bool is_write)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(env);

    address_space_rw(cpu_addressspace(env_cpu(env), attrs), gpa, attrs, buf,
                     len, is_write);
}

/* --- The scratch area ----------------------------------------------------- */

static bool scratch_in_page(const SevGhcbCall *call, uint64_t scratch)
{
    return (scratch & TARGET_PAGE_MASK) == call->gpa;
}

static bool scratch_is_fine(SevGhcbCall *call, uint64_t scratch, uint64_t len)
{
    uint64_t offset = scratch - call->gpa - offsetof(SevGhcb, shared_buffer);

    if (!scratch || len > UINT64_MAX - scratch) {
        return false;
    }
    if (scratch_in_page(call, scratch)) {
        return offset <= GHCB_SHARED_BUFFER &&
               len <= GHCB_SHARED_BUFFER - offset;
    }
    return len <= GHCB_SCRATCH_MAX &&
           sev_ghcb_is_shared(call->env, scratch, len, true);
}

uint8_t *sev_ghcb_read_scratch(SevGhcbCall *call, uint64_t len)
{
    uint64_t scratch = GHCB_GET(call, scratch);
    uint8_t *buf;

    if (!scratch_is_fine(call, scratch, len)) {
        qemu_log_mask(LOG_GUEST_ERROR, "SEV-ES: scratch area 0x%" PRIx64
                      ", 0x%" PRIx64 " bytes: outside the GHCB's shared buffer "
                      "and of %d bytes of shared RAM\n", scratch, len,
                      GHCB_SCRATCH_MAX);
        sev_ghcb_refuse(call, GHCB_INVALID_SCRATCH);
        return NULL;
    }
    buf = g_malloc(len);
    if (scratch_in_page(call, scratch)) {
        memcpy(buf, (uint8_t *)&call->in + (scratch - call->gpa), len);
    } else {
        guest_rw(call->env, scratch, buf, len, false);
    }
    return buf;
}

void sev_ghcb_write_scratch(SevGhcbCall *call, const uint8_t *buf, uint64_t len)
{
    guest_rw(call->env, GHCB_GET(call, scratch), (void *)buf, len, true);
}

/* --- The page ------------------------------------------------------------- */

static void answer_field(SevGhcb *page, size_t offset, uint64_t value)
{
    size_t n = offset / 8;

    stq_le_p((uint8_t *)page + offset, value);
    page->valid[n / 8] |= 1u << n % 8;
}

/* As KVM: four registers, whether they mean something or not */
static void answer(SevGhcbCall *call)
{
    SevGhcb *page = call->page;

    memset(page->valid, 0, sizeof(page->valid));
    answer_field(page, offsetof(SevGhcb, rax), call->rax);
    answer_field(page, offsetof(SevGhcb, rbx), call->rbx);
    answer_field(page, offsetof(SevGhcb, rcx), call->rcx);
    answer_field(page, offsetof(SevGhcb, rdx), call->rdx);
    answer_field(page, offsetof(SevGhcb, exit_info_1), call->out1);
    answer_field(page, offsetof(SevGhcb, exit_info_2), call->out2);
}

static void begin(SevGhcbCall *call)
{
    memcpy(&call->in, call->page, sizeof(call->in));
    call->code = le64_to_cpu(call->in.exit_code);
    call->info1 = le64_to_cpu(call->in.exit_info_1);
    call->info2 = le64_to_cpu(call->in.exit_info_2);
    call->rax = GHCB_GET(call, rax);
    call->rbx = GHCB_GET(call, rbx);
    call->rcx = GHCB_GET(call, rcx);
    call->rdx = GHCB_GET(call, rdx);
    call->next = SEV_ES_RESUME;
}

/* Borrow the page; NULL when it is no shared RAM. */
static SevGhcb *page_map(CPUX86State *env, hwaddr gpa, hwaddr *len)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(env);

    *len = GHCB_SIZE;
    if (!sev_ghcb_is_shared(env, gpa, GHCB_SIZE, true)) {
        qemu_log_mask(LOG_GUEST_ERROR, "SEV-ES: VMGEXIT with a GHCB at 0x%"
                      HWADDR_PRIx ", which is no shared RAM\n", gpa);
        return NULL;
    }
    return address_space_map(cpu_addressspace(env_cpu(env), attrs), gpa, len,
                             true, attrs);
}

static void page_unmap(CPUX86State *env, SevGhcb *page, hwaddr len)
{
    MemTxAttrs attrs = cpu_get_mem_attrs(env);

    address_space_unmap(cpu_addressspace(env_cpu(env), attrs), page, len, true,
                        len);
}

/* Without a page the guest just goes on, as under KVM. */
SevEsNext sev_es_page_request(CPUX86State *env, SevEsCpu *es)
{
    g_autofree SevGhcbCall *call = g_new0(SevGhcbCall, 1);
    hwaddr len;

    *call = (SevGhcbCall) { .env = env, .es = es, .gpa = es->ghcb };
    call->page = page_map(env, call->gpa, &len);
    if (!call->page) {
        return SEV_ES_RESUME;
    }
    if (len == GHCB_SIZE) {
        begin(call);
        trace_sev_es_event(env_cpu(env)->cpu_index, call->code, call->info1,
                           call->info2);
        sev_ghcb_event(call);
        if (call->next != SEV_ES_AGAIN) {
            answer(call);
        }
    }
    page_unmap(env, call->page, len);
    return call->next;
}

void sev_es_page_wake(CPUX86State *env, SevEsCpu *es)
{
    hwaddr len;
    SevGhcb *page = page_map(env, es->ghcb & TARGET_PAGE_MASK, &len);

    if (!page) {
        return;
    }
    if (len == GHCB_SIZE) {
        answer_field(page, offsetof(SevGhcb, exit_info_2), 1);
    }
    page_unmap(env, page, len);
}
