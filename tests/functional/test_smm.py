# SPDX-License-Identifier: GPL-2.0-or-later
"""A vCPU's state in SMM lies in a page of which the guest uses the rest."""

import contextlib
import time

from registry import test
from shape import Shape
from verdict import BOOT_LIMIT, check

PAUSE = 0.04                # seconds that the guest runs between two stops


@test('smm: a guest that is stopped at any time leaves SMM as it came')
def stopped(env):
    """Each stop writes back the whole cache, also that of a vCPU in SMM."""
    shape = Shape(firmware='smm', cpu='max', backend='ram')
    guest = env.start('smm', shape=shape, smp=2, ram_file=False,
                      boot=dict(mib=8, tick=100))
    with contextlib.closing(guest):
        end, stops = time.monotonic() + 100, 0
        while not guest.find_text(r'(?m)^TICK 2 ') and time.monotonic() < end:
            guest.cmd('stop')
            guest.cmd('cont')
            stops += 1
            time.sleep(PAUSE)
        check(guest.find_text(r'(?m)^TICK 2 '),
              f'lost in firmware: {guest.text()[-200:]}')
        check(stops > 20, f'it was stopped only {stops} times')
        guest.sound_ticks()
