# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are stopped, or migrate, while their firmware runs; SMM."""

import contextlib
import time

from registry import SAID, expect_error, test
from shape import Shape
from verdict import BOOT_LIMIT, Failed, check

HOPS = 12                   # from power-on to well into the boot
STOPS = 400                 # of 641 until a quiet machine has booted
STOPS_MOST = 5000           # one in ten finds it inside
PAUSE = 0.04                # seconds that the guest runs between two stops


@test('smm: a guest that is stopped at any time leaves SMM as it came')
def stopped(env):
    """Each stop writes back the whole cache, also that of a vCPU in SMM."""
    shape = Shape(firmware='smm', cpu='max', backend='ram')
    guest = env.start('smm', shape=shape, smp=2, ram_file=False,
                      boot=dict(mib=8, tick=100))
    with contextlib.closing(guest):
        stops = 0
        while not guest.find_text(r'(?m)^UP ') and stops < STOPS:
            began = time.monotonic()
            guest.cmd('stop')
            guest.cmd('cont')
            stops += 1
            # At least as long as the stop took, or a busy machine boots nothing.
            time.sleep(max(PAUSE, time.monotonic() - began))
        SAID.append(f'{stops} stops')
        guest.wait_text(r'^TICK 2 ', BOOT_LIMIT)
        check(stops > 20, f'it was stopped only {stops} times')
        guest.sound_ticks()


class Traveller:
    """A guest that goes back and forth between two hosts."""

    def __init__(self, env, firmware):
        self.env, self.here = env, 'a'
        self.options = dict(
            shape=Shape(firmware=firmware, cpu='max', backend='ram'), smp=2,
            ram_file=False, boot=dict(mib=8, tick=100))
        for here, there in (('a', 'b'), ('b', 'a')) if env.lab.sev else ():
            env.host(here).trust(env.host(there))
        self.guest = env.start('boot', **self.options)

    def close(self):
        self.guest.close()

    def move(self):
        """True when it goes on over there; False when a vCPU was in SMM."""
        there = 'b' if self.here == 'a' else 'a'
        target = self.env.start('boot', there, incoming='defer', **self.options)
        info = self.guest.migrate(f'tcp:127.0.0.1:{target.listen(self.guest)}')
        if info['status'] != 'completed':
            target.close()
            expect_error(info, r'vCPU \d is in SMM')
            return False
        target.wait_loaded()
        self.guest.close()
        self.guest, self.here = target, there
        return True

    def stop_where(self, in_smm):
        """Let it run until a stop finds a vCPU in SMM, or none."""
        for _ in range(STOPS_MOST):
            self.guest.cmd('stop')
            said = self.guest.cmd('human-monitor-command',
                                  command_line='info registers -a')
            if ('SMM=1' in said) == in_smm:
                return
            self.guest.cmd('cont')
            time.sleep(PAUSE / 10)
        raise Failed(f'{STOPS_MOST} stops, none '
                     f'{"inside" if in_smm else "outside"}')

    def boots(self):
        self.guest.wait_text(r'^TICK 5 ', BOOT_LIMIT)
        self.guest.sound_ticks()


@test('smm: a guest that was stopped inside is refused, runs on, migrates later')
def inside(env):
    with contextlib.closing(Traveller(env, 'smm')) as traveller:
        traveller.stop_where(True)
        while traveller.move():         # its state lies in a shared page, still
            traveller.guest.cmd('cont')
            traveller.stop_where(True)
        traveller.guest.cmd('cont')
        traveller.stop_where(False)
        check(traveller.move(), 'refused outside of SMM')
        traveller.guest.cmd('cont')
        traveller.boots()


def hop(env, firmware):
    """Back and forth from power-on until well into the boot."""
    with contextlib.closing(Traveller(env, firmware)) as traveller:
        moved, refused = 0, 0
        while moved < HOPS:
            if traveller.move():
                moved += 1
            else:
                refused += 1
        SAID.append(f'{moved} times moved, {refused} times in SMM')
        traveller.boots()


@test('smm: a guest migrates while its firmware is in and out of SMM', sev=False)
def migrated(env):
    """One that stops inside is refused, runs on, and migrates later."""
    hop(env, 'smm')


@test('migrate: again and again while the firmware runs', sev=False)
def early(env):
    hop(env, 'split')
