/*
 * QEMU ends before its machine is ready, and somebody waits for the monitor.
 *
 * Who hands QEMU a listening socket (Kata, libvirt) keeps it and has connected
 * to it before QEMU runs.  A connection that QEMU never accepted stays open when
 * QEMU ends: Kata waits for its greeting for ever, and shows nothing of what
 * QEMU said.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_EARLY_EXIT_H
#define TARGET_I386_SEV_EARLY_EXIT_H

/*
 * From now on an exit before the machine is ready ends the connections that
 * wait for a QMP monitor.  For the first sev-guest object, before there are
 * chardevs; main thread.
 */
void sev_early_exit_init(void);

#endif /* TARGET_I386_SEV_EARLY_EXIT_H */
