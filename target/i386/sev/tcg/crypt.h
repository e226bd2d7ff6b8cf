/*
 * SEV memory encryption in TCG: the calls that hooks in target/i386/ make.
 *
 * When SEV is not emulated sev_tcg_cbit is 0, and each of these is nothing
 * or one branch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_TCG_CRYPT_H
#define TARGET_I386_SEV_TCG_CRYPT_H

#include "exec/hwaddr.h"
#include "exec/mmu-access-type.h"
#include "exec/vaddr.h"

#ifndef CONFIG_USER_ONLY
#include CONFIG_DEVICES                 /* CONFIG_SEV */
#endif

#if defined(CONFIG_SEV) && defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)

/*
 * The C-bit as it stands in page-table entries and CR3 (APM vol. 2, 15.34).
 * Set once, before the first vCPU exists.
 */
extern uint64_t sev_tcg_cbit;

/*
 * After a successful walk: what tlb_set_page_with_attrs() would do, for a
 * page that the guest mapped private or shared.  Does not return when the
 * page cannot be had and the VM stops, nor when an SEV-ES guest gets #VC for
 * it; @retaddr as for tlb_fill().  False: it would get one, but this is a
 * @probe.
 */
bool sev_tcg_set_page(CPUState *cs, vaddr addr, hwaddr paddr, bool is_private,
                      int prot, MMUAccessType access, int mmu_idx,
                      vaddr page_size, bool probe, uintptr_t retaddr);

/* Third address space and CPU features of a vCPU of an SEV guest. */
void sev_tcg_cpu_realize(CPUState *cs);

/*
 * Whether -cpu host is accepted, as a name for "max": those who run SEV guests
 * (Kata) say "host" and nothing else.  Warns once.
 */
bool sev_tcg_cpu_host(void);

/* Change what CPUID leaf @index reports, if SEV has a say in it. */
void sev_tcg_cpuid(uint32_t index, uint32_t *eax, uint32_t *ebx,
                   uint32_t *ecx, uint32_t *edx);

/* MSRs an SEV guest sees.  False: not one of them. */
bool sev_tcg_rdmsr(CPUX86State *env, uint64_t *val);
bool sev_tcg_wrmsr(CPUX86State *env, uint64_t val);

/*
 * VMMCALL by an SEV guest: a hypercall, RAX has the answer.  May leave the
 * instruction, to begin it again; @retaddr is the helper's GETPC().
 */
void sev_tcg_vmmcall(CPUX86State *env, uintptr_t retaddr);

/*
 * A vCPU enters SMM: before and after it writes its state to the save area.
 * It is in SMM already, SMBASE is still what it was.
 */
void sev_tcg_smm_save(CPUX86State *env, bool is_saved);

#else

#define sev_tcg_cbit UINT64_C(0)

static inline bool sev_tcg_set_page(CPUState *cs, vaddr addr, hwaddr paddr,
                                    bool is_private, int prot,
                                    MMUAccessType access, int mmu_idx,
                                    vaddr page_size, bool probe,
                                    uintptr_t retaddr)
{
    return true;
}

static inline void sev_tcg_cpu_realize(CPUState *cs)
{
}

static inline bool sev_tcg_cpu_host(void)
{
    return false;
}

static inline void sev_tcg_cpuid(uint32_t index, uint32_t *eax, uint32_t *ebx,
                                 uint32_t *ecx, uint32_t *edx)
{
}

static inline bool sev_tcg_rdmsr(CPUX86State *env, uint64_t *val)
{
    return false;
}

static inline bool sev_tcg_wrmsr(CPUX86State *env, uint64_t val)
{
    return false;
}

static inline void sev_tcg_vmmcall(CPUX86State *env, uintptr_t retaddr)
{
}

static inline void sev_tcg_smm_save(CPUX86State *env, bool is_saved)
{
}

#endif

static inline bool sev_tcg_active(void)
{
    return unlikely(sev_tcg_cbit != 0);
}

/*
 * A page-table entry without its C-bit; *@is_private becomes the C-bit.
 * CR3 has one too, of no consequence: page walks are always private.
 */
static inline uint64_t sev_tcg_strip(uint64_t entry, bool *is_private)
{
    *is_private = entry & sev_tcg_cbit;
    return entry & ~sev_tcg_cbit;
}

#endif /* TARGET_I386_SEV_TCG_CRYPT_H */
