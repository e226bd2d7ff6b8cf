# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are stopped, or migrate, while their firmware runs; SMM."""

import contextlib
import re
import time

from registry import SAID, test
from shape import Shape
from verdict import BOOT_LIMIT, check

HOPS = 12                   # from power-on to well into the boot
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


def hop(env, firmware):
    """Back and forth from power-on until well into the boot."""
    shape = Shape(firmware=firmware, cpu='max', backend='ram')
    options = dict(shape=shape, smp=2, ram_file=False,
                   boot=dict(mib=8, tick=100))
    for here, there in (('a', 'b'), ('b', 'a')) if env.lab.sev else ():
        env.host(here).trust(env.host(there))
    guest, here, moved, refused = env.start('boot', **options), 'a', 0, 0
    with contextlib.ExitStack() as ends:
        ends.callback(lambda: guest.close())    # whichever it is then
        while moved < HOPS:
            there = 'b' if here == 'a' else 'a'
            target = env.start('boot', there, incoming='defer', **options)
            info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
            if info['status'] == 'completed':
                target.wait_loaded()
                guest.close()
                guest, here, moved = target, there, moved + 1
                continue
            target.close()
            check(re.search(r'vCPU \d is in SMM', info.get('error-desc', '')),
                  f'it ended: {info}')
            refused += 1
        SAID.append(f'{moved} times moved, {refused} times in SMM')
        guest.wait_text(r'^TICK 5 ', BOOT_LIMIT)
        guest.sound_ticks()


@test('smm: a guest migrates while its firmware is in and out of SMM', sev=False)
def migrated(env):
    """One that stops inside is refused, runs on, and migrates later."""
    hop(env, 'smm')


@test('migrate: again and again while the firmware runs', sev=False)
def early(env):
    hop(env, 'split')
