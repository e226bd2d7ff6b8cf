/*
 * Lending a vCPU to the lane.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "hw/core/cpu.h"
#include "lane/abi.h"
#include "lent.h"
#include "setup.h"
#include "system/kvm.h"
#include "target/i386/sev/trace.h"

/*
 * A program that works takes some milliseconds.  One that has not rung by then,
 * on the busiest machine, never will.
 */
#define PATIENCE_NS (10 * NANOSECONDS_PER_SECOND)

/* One run of the program.  The vCPU's thread alone, until it is done. */
typedef struct SevLend {
    unsigned slot;
    CPUState *cs;
    SevLentFor what;
    bool rang, shut_down;
    uint8_t said;               /* what it rang with */
    const char *failed;
    uint64_t rip;               /* where it was then */
    CPUX86State *guest;         /* registers of who is not on the vCPU */
    CPUX86State *program;
    uint32_t guest_halted;
    int guest_exception;
    bool done;                  /* BQL */
} SevLend;

/*
 * What each vCPU is asked for; its head is under way.  A vCPU's thread goes on to
 * the next one by itself: on a busy host it takes long until another thread has
 * woken up and woken it.  BQL.
 */
static GQueue asked[SEV_LEND_MAX];

/* Some run is over, or nobody waits in sev_lend_quiesce() any more; with the BQL. */
static QemuCond lend_over;
/* Runs that have begun, and who waits until there is none.  BQL. */
static unsigned under_way, quiescing;
/* A program that never leaves the CPU is made to so often. */
#define LOOK_MS 200

static __thread SevLend *lent;

/* --- The bell --------------------------------------------------------------- */

static MemoryRegion bell;

static uint64_t bell_read(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX;          /* as where there is no device */
}

void sev_lend_ring(uint8_t said)
{
    lent->rang = true;
    lent->said = said;
}

/* A guest may write here as well: nobody is lent then. */
static void bell_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    if (lent) {
        sev_lend_ring(value);
        cpu_exit(current_cpu);
    }
}

static const MemoryRegionOps bell_ops = {
    .read = bell_read,
    .write = bell_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static void bell_create(void)
{
    static bool exists;

    if (!exists) {
        memory_region_init_io(&bell, NULL, &bell_ops, NULL, "sev-lane-bell", 1);
        memory_region_add_subregion_overlap(get_system_io(), LANE_PORT, &bell,
                                            -1);
        qemu_cond_init(&lend_over);
        exists = true;
    }
}

const SevLentOps *sev_lent_ops(void)
{
    return kvm_enabled() ? &sev_lent_kvm : &sev_lent_tcg;
}

/* --- Changing hands --------------------------------------------------------- */

/* The guest's registers go, the program's come: @first loads those of "ENTRY" */
static void take_vcpu(SevLend *l, CPUState *cs, bool first)
{
    CPUX86State *env = cpu_env(cs);

    sev_lent_ops()->take(cs);
    memcpy(l->guest, env, sizeof(*env));
    l->guest_halted = cs->halted;
    l->guest_exception = cs->exception_index;
    if (first) {
        sev_lane_load_registers(env, l->slot);
    } else {
        memcpy(env, l->program, sizeof(*env));
    }
    cs->halted = 0;
    cs->exception_index = -1;
    sev_lent_ops()->enter(cs, l->what);
    lent = l;
}

static void give_back(SevLend *l, CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);

    lent = NULL;
    sev_lent_ops()->leave(cs);
    memcpy(l->program, env, sizeof(*env));
    memcpy(env, l->guest, sizeof(*env));
    cs->halted = l->guest_halted;
    cs->exception_index = l->guest_exception;
    sev_lent_ops()->give_back(cs);
}

/*
 * Others may have asked for something, a flush of a full translation cache for
 * one, without which the program cannot go on.  It is the guest's vCPU that
 * they ask.
 */
static void do_queued_work(SevLend *l, CPUState *cs)
{
    bool none;

    WITH_QEMU_LOCK_GUARD(&cs->work_mutex) {
        none = QSIMPLEQ_EMPTY(&cs->work_list);
    }
    if (!none) {
        give_back(l, cs);
        process_queued_cpu_work(cs);
        take_vcpu(l, cs, false);
    }
}

/* Why the program is over that did not ring, or NULL: it goes on. */
static const char *over(const SevLend *l, const char *failed, int64_t start)
{
    if (l->shut_down) {
        return "shut down";
    }
    if (failed) {
        return failed;
    }
    return get_clock() - start > PATIENCE_NS ? "did not end in 10 s" : NULL;
}

static void run(SevLend *l, CPUState *cs)
{
    int64_t start = get_clock();

    under_way++;
    take_vcpu(l, cs, true);
    while (!l->rang && !l->failed) {
        const char *failed;

        /* Whoever asks from now on is heard at once. */
        qatomic_set_mb(&cs->thread_kicked, false);
        qatomic_set_mb(&cs->exit_request, false);
        failed = sev_lent_ops()->run(cs);
        if (!l->rang) {
            l->failed = over(l, failed, start);
        }
        if (!l->rang && !l->failed) {
            do_queued_work(l, cs);
        }
    }
    give_back(l, cs);
    under_way--;
    l->rip = l->program->eip;
    trace_sev_lane_lend(l->slot, l->what, get_clock() - start);
}

/* On the vCPU's own thread, outside of cpu_exec().  BQL held. */
static void lend_work(CPUState *cs, run_on_cpu_data data)
{
    GQueue *queue = data.host_ptr;
    bool failed = false;
    SevLend *l;

    while ((l = g_queue_peek_head(queue))) {
        while (quiescing) {
            qemu_cond_wait_bql(&lend_over);
        }
        if (failed) {
            l->failed = "was not begun, because the run before it failed";
        } else {
            run(l, cs);
        }
        failed = l->failed;
        g_queue_pop_head(queue);
        l->done = true;
        qemu_cond_broadcast(&lend_over);
    }
    /* What came meanwhile wants to be looked at. */
    cpu_exit(cs);
}

/* --- For the session -------------------------------------------------------- */

bool sev_lend_possible(Error **errp)
{
    static const struct {
        FeatureWord word;
        uint64_t bit;
        const char *name;
    } need[] = {
        { FEAT_1_ECX, CPUID_EXT_AES, "aes" },
        { FEAT_1_ECX, CPUID_EXT_PCLMULQDQ, "pclmulqdq" },
        { FEAT_1_ECX, CPUID_EXT_SSE41, "sse4.1" },
        { FEAT_1_ECX, CPUID_EXT_SSSE3, "ssse3" },
        { FEAT_1_ECX, CPUID_EXT_RDRAND, "rdrand" },
        { FEAT_8000_0001_EDX, CPUID_EXT2_PDPE1GB, "pdpe1gb" },
        { FEAT_8000_0001_EDX, CPUID_EXT2_NX, "nx" },
    };
    X86CPU *cpu = X86_CPU(first_cpu);

    /* In ring 3 the program has the host's CPU, whatever the model says. */
    for (size_t i = 0; !sev_lane_ring() && i < ARRAY_SIZE(need); i++) {
        if (!(cpu->env.features[need[i].word] & need[i].bit)) {
            error_setg(errp, "SEV: the lane needs a CPU model with '%s' (say "
                       "-cpu MODEL,+%s)", need[i].name, need[i].name);
            return false;
        }
    }
    if (cpu->phys_bits < 40) {
        error_setg(errp, "SEV: the lane needs 40 bits of physical addresses, "
                   "this CPU has %u", cpu->phys_bits);
        return false;
    }
    return sev_lent_ops()->possible(errp);
}

unsigned sev_lend_vcpus(void)
{
    unsigned n = 0;
    CPUState *cs;

    BQL_LOCK_GUARD();
    CPU_FOREACH(cs) {
        n++;
    }
    return sev_lent_ops()->in_parallel() ? MIN(MIN(n, SEV_LEND_MAX),
                                        MAX(g_get_num_processors(), 1)) : 1;
}

static CPUState *nth_vcpu(unsigned n)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!n--) {
            return cs;
        }
    }
    return first_cpu;
}

SevLend *sev_lend_start(unsigned slot, unsigned vcpu, SevLentFor what)
{
    SevLend *l = g_new0(SevLend, 1);

    l->slot = slot;
    l->what = what;
    l->guest = g_new(CPUX86State, 1);
    l->program = g_new(CPUX86State, 1);
    BQL_LOCK_GUARD();
    bell_create();
    l->cs = nth_vcpu(vcpu);
    g_queue_push_tail(&asked[vcpu], l);
    if (g_queue_get_length(&asked[vcpu]) == 1) {
        async_run_on_cpu(l->cs, lend_work, RUN_ON_CPU_HOST_PTR(&asked[vcpu]));
    }
    return l;
}

void sev_lend_wait(SevLend *l)
{
    BQL_LOCK_GUARD();
    while (!l->done) {
        qemu_cond_timedwait_bql(&lend_over, LOOK_MS);
        if (!l->done) {
            cpu_exit(l->cs);
            qemu_cpu_kick(l->cs);
        }
    }
}

void sev_lend_quiesce(void)
{
    if (!under_way) {
        return;
    }
    quiescing++;
    while (under_way) {
        qemu_cond_wait_bql(&lend_over);
    }
    quiescing--;
    qemu_cond_broadcast(&lend_over);
}

bool sev_lend_finish(SevLend *l, Error **errp)
{
    bool ok;

    sev_lend_wait(l);
    explicit_bzero(l->program, sizeof(*l->program));
    if (l->rang && l->said != l->slot) {
        l->failed = "rang for another slot";
    }
    ok = !l->failed;
    if (!ok) {
        trace_sev_lane_lend_failed(l->slot, l->failed, l->rip);
        error_setg(errp, "SEV: the lane's program %s, at 0x%" PRIx64,
                   l->failed, l->rip);
    }
    g_free(l->guest);
    g_free(l->program);
    g_free(l);
    return ok;
}

bool sev_lend_shut_down(void)
{
    if (!lent) {
        return false;
    }
    lent->shut_down = true;
    return true;
}
