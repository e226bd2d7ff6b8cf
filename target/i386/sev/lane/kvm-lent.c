/*
 * A vCPU that is lent to the lane, under KVM.
 *
 * KVM_RUN is called here and not through kvm_cpu_exec(): what ends the guest
 * there, an exit that nobody understands, must only end the program here.
 *
 * Interrupts are held off by IF, NMIs by the mask that KVM keeps for a handler
 * of one.  An SMI that another vCPU sends while the program runs is not held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/memattrs.h"
#include "kvm/kvm_i386.h"
#include "lane/abi.h"
#include "lent.h"
#include "qemu/error-report.h"
#include "setup.h"
#include "target/i386/sev/kvm-guest.h"
#include "system/hw_accel.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "windows.h"

#define HELD (CPU_INTERRUPT_NMI | CPU_INTERRUPT_SMI | CPU_INTERRUPT_INIT | \
              CPU_INTERRUPT_SIPI | CPU_INTERRUPT_MCE)

/* Of the guest, while its vCPU is lent */
static __thread int held;
static __thread bool guest_waits;   /* in HLT, or for a startup IPI */
static __thread uint64_t deadline;  /* of its timer, which goes on meanwhile */
static __thread struct kvm_lapic_state apic;
static __thread bool apic_was_reset;

static bool possible(Error **errp)
{
    /*
     * QEMU writes what is shared, the program what is private, and a page may
     * change sides in between.  Linux flushes for the secure processor only.
     */
    if (!sev_kvm_coherent()) {
        error_setg(errp, "SEV: the lane needs a CPU whose caches are coherent "
                   "for encrypted memory (CPUID 0x8000001f, EAX bit 10)");
        return false;
    }
    if (kvm_dirty_ring_enabled()) {
        error_setg(errp, "SEV: the lane cannot run with KVM's dirty ring; "
                   "leave out dirty-ring-size");
        return false;
    }
    return true;
}

/*
 * A vCPU that waits for INIT and a startup IPI must not be lent while another
 * may send them: they would be the program's.
 */
static bool in_parallel(void)
{
    return !runstate_is_running();
}

static void room(void)
{
}

static void set_mp_state(CPUState *cs, uint32_t state)
{
    struct kvm_mp_state mp_state = { .mp_state = state };

    kvm_vcpu_ioctl(cs, KVM_SET_MP_STATE, &mp_state);
}

static void take(CPUState *cs)
{
    cpu_synchronize_state(cs);
    held = cs->interrupt_request & HELD;
    cs->interrupt_request &= ~HELD;
    apic_was_reset = false;
    if (kvm_irqchip_in_kernel()) {
        kvm_vcpu_ioctl(cs, KVM_GET_LAPIC, &apic);
    }
}

static void enter(CPUState *cs, SevLentFor what)
{
    CPUX86State *env = cpu_env(cs);

    guest_waits = env->mp_state != KVM_MP_STATE_RUNNABLE;
    if (guest_waits) {
        set_mp_state(cs, KVM_MP_STATE_RUNNABLE);
    }
    env->mp_state = KVM_MP_STATE_RUNNABLE;
    env->hflags2 |= HF2_NMI_MASK;
    env->dr[7] = DR7_FIXED_1;
    env->exception_nr = -1;
    env->exception_pending = env->exception_injected = 0;
    env->interrupt_injected = -1;
    env->nmi_injected = 0;
    env->triple_fault_pending = false;
    env->pdptrs_valid = false;
    cs->vcpu_dirty = true;
}

static void leave(CPUState *cs)
{
    /* KVM knows nothing of what came meanwhile, and would take it away. */
    held |= cs->interrupt_request & HELD;
    cs->interrupt_request &= ~HELD;
    cpu_synchronize_state(cs);
    deadline = cpu_env(cs)->tsc_deadline;
}

static void give_back(CPUState *cs)
{
    cs->interrupt_request |= held;
    if (!apic_was_reset) {
        /* A timer that has fired must not be armed again. */
        cpu_env(cs)->tsc_deadline = deadline;
    } else if (kvm_irqchip_in_kernel()) {
        kvm_vcpu_ioctl(cs, KVM_SET_LAPIC, &apic);
    }
    if (guest_waits) {
        set_mp_state(cs, cpu_env(cs)->mp_state);
    }
    cs->vcpu_dirty = true;
}

/* --- KVM_RUN ---------------------------------------------------------------- */

static int run_once(CPUState *cs)
{
    int r;

    bql_unlock();
    cpu_exec_start(cs);
    r = kvm_vcpu_ioctl(cs, KVM_RUN, 0);
    cpu_exec_end(cs);
    if (r == -EINTR) {
        qatomic_set(&cs->kvm_run->immediate_exit, 0);
        /* What was asked is read after this; a signal sets it again. */
        smp_mb();
    }
    bql_lock();
    return r;
}

/*
 * An exit for user space is complete when KVM_RUN was called once more.  Else
 * KVM would complete it with the guest's registers.
 */
static void complete_exit(CPUState *cs)
{
    qatomic_set(&cs->kvm_run->immediate_exit, 1);
    run_once(cs);
}

static bool rang(const struct kvm_run *run, uint8_t *said)
{
    if (run->exit_reason == KVM_EXIT_IO && run->io.port == LANE_PORT &&
        run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 1) {
        *said = *((const uint8_t *)run + run->io.data_offset);
        return true;
    }
    if (run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
        run->mmio.phys_addr == LANE_GPA + LANE_DOORBELL && sev_lane_ring()) {
        *said = run->mmio.data[0];
        return true;
    }
    return false;
}

static const char *why_it_left(const struct kvm_run *run)
{
    switch (run->exit_reason) {
    case KVM_EXIT_SHUTDOWN:
        return "shut down";
    case KVM_EXIT_IO:
        return "used a port that is not its own";
    case KVM_EXIT_MMIO:
        return "touched memory that is not there";
    case KVM_EXIT_FAIL_ENTRY:
        return "cannot be entered";
    case KVM_EXIT_INTERNAL_ERROR:
        return "has an instruction that this KVM cannot emulate";
    default:
        return "left KVM for a reason that it has not";
    }
}

static const char *run(CPUState *cs)
{
    Error *err = NULL;
    const char *why;
    uint8_t said;
    int r;

    if (cs->vcpu_dirty) {
        if (kvm_arch_put_registers(cs, KVM_PUT_RUNTIME_STATE, &err)) {
            warn_reportf_err(err, "SEV: the lane's registers: ");
            return "cannot have its registers";
        }
        cs->vcpu_dirty = false;
    }
    r = run_once(cs);
    if (r == -EINTR || r == -EAGAIN) {
        return NULL;
    }
    if (r < 0) {
        warn_report("SEV: the lane: KVM_RUN: %s", strerror(-r));
        return "is not run by KVM";
    }
    why = rang(cs->kvm_run, &said) ? NULL : why_it_left(cs->kvm_run);
    switch (cs->kvm_run->exit_reason) {
    case KVM_EXIT_SHUTDOWN:
        apic_was_reset = true;      /* with all of the vCPU, by SVM */
        break;
    case KVM_EXIT_FAIL_ENTRY:
    case KVM_EXIT_INTERNAL_ERROR:
        break;
    default:
        complete_exit(cs);
        break;
    }
    if (!why) {
        sev_lend_ring(said);
    }
    return why;
}

/* --- Memory ----------------------------------------------------------------- */

/* There is one copy of each page. */
static void evict(RAMBlock *rb, ram_addr_t offset, size_t pages, bool code)
{
}

static void write_back(RAMBlock *rb, ram_addr_t offset)
{
}

const SevLentOps sev_lent_kvm = {
    .possible = possible,
    .in_parallel = in_parallel,
    .room = room,
    .open = sev_kvm_map_lane,
    .close = sev_kvm_unmap_lane,
    .take = take,
    .enter = enter,
    .run = run,
    .leave = leave,
    .give_back = give_back,
    .evict = evict,
    .write_back = write_back,
};
