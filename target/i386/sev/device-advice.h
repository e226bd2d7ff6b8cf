/*
 * Devices whose drivers give private memory to QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SEV_DEVICE_ADVICE_H
#define SEV_DEVICE_ADVICE_H

/*
 * From now on QEMU warns, once for each kind of device, when an SEV guest gets
 * one that cannot work as it does for other guests: on the command line, by
 * default, or by hot-plug.  Nothing is refused, because another driver than
 * Linux' may do better.  Main thread, before devices are made.
 */
void sev_device_advice_init(void);

#endif
