/*
 * MSR_KVM_MIGRATION_CONTROL, by which a guest says that it may be migrated.
 *
 * Linux: Documentation/virt/kvm/x86/msr.rst.  A guest may write the MSR when
 * CPUID 0x40000001 EAX has bit 17.  KVM has no code for it and leaves it to
 * user space.  Bit 0 is 0 at reset; Linux sets it when it reports its page
 * status, and clears it for ever when it takes a CPU offline.  Firmware that
 * Debian ships never writes it.  The value is therefore kept, migrated and
 * shown (x-query-sev-page-map), and nothing depends on it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_MIGRATION_CONTROL_H
#define TARGET_I386_SEV_MIGRATION_CONTROL_H

/* The MSR of this VM: there is one for all vCPUs.  Any thread. */
uint64_t sev_migration_control(void);

/*
 * The guest writes @value.  False: it has bits that do not exist, and nothing
 * was written.  The guest gets #GP then under KVM; TCG ignores such writes, as
 * it does for any MSR that it does not know.  Any vCPU thread.
 */
bool sev_migration_control_write(uint64_t value);

/* Migrate the value, and clear it at every reset.  BQL held, once. */
void sev_migration_control_init(void);

#endif /* TARGET_I386_SEV_MIGRATION_CONTROL_H */
