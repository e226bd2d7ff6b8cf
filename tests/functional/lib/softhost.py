# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts with a software secure processor, and small guests on them, under TCG.

The guests are those of kvmhost.py, and two of their habits mean nothing here.
TCG knows the C-bit of each page itself, so a guest that writes to the ports
FLIP and HYPERCALL (../guest/tiny-sev.S) tells nobody anything. And the guests
run in real mode, where there are no page tables and so no C-bits: all of their
memory is private, also what they call shared. What such a guest shows is that
its memory, its vCPUs and its devices arrive, and what becomes of it when the
secure processor refuses a command. Shared pages under TCG need page tables:
test_pagemap.py, test_migrate.py and others have them, with Linux.
"""

import re

from sevtiny import HARDWARE, SevTiny, TinyHost

CBITPOS = 51

COMMAND = re.compile(r'sev_backend_cmd (\w+): SUCCESS$', re.M)
LAUNCH = ['LAUNCH_START', 'LAUNCH_UPDATE_DATA', 'LAUNCH_MEASURE',
          'LAUNCH_FINISH']
TARGET = ['RECEIVE_START', 'RECEIVE_UPDATE_DATA', 'RECEIVE_FINISH']
ORDERED = {*LAUNCH, *TARGET, 'LAUNCH_SECRET', 'SEND_START', 'SEND_UPDATE_DATA',
           'SEND_FINISH', 'SEND_CANCEL'}


class SoftHost(TinyHost):
    """One identity in a folder."""

    def tiny(self, env, stem, *args, **options):
        return SoftTiny(env, stem, self, *args, **options)


def two_hosts(env):
    """Each trusts the other."""
    hosts = env.__dict__.setdefault('soft_hosts', [])
    if not hosts:
        hosts[:] = [SoftHost(env.lab, f'soft-{name}') for name in 'ab']
        for host in hosts if env.lab.silicon else ():
            host.be_silicon(whole=True)
        hosts[0].trust(hosts[1])
        hosts[1].trust(hosts[0])
    return hosts


class SoftTiny(SevTiny):
    """One QEMU process on @host."""

    launch, target = LAUNCH, TARGET

    def __init__(self, env, stem, host, *args, **options):
        super().__init__(env, stem, host, '-trace', 'sev_backend_cmd', *args,
                         accel='tcg', cbitpos=CBITPOS, **options)

    def _set(self, name, value):
        self.cmd('qom-set', path='/objects/sev0', property=name, value=value)

    def fails(self, command, nth=1, status=HARDWARE):
        point = command.lower().replace('_', '-')
        self._set('x-fault', f'{point}:{nth}:fail={status}')

    def stalls(self, point):
        """It waits at this fault point, until it obeys() again."""
        self._set('x-fault', f'{point}:1:stall')

    def takes(self, us):
        self._set('x-psp-delay-us', us)

    def obeys(self):
        self._set('x-fault', '')
        self._set('x-psp-delay-us', 0)

    def sent(self):
        return self.migration().get('sev', {}).get('packets', 0)

    def order(self):
        names = [name for name in COMMAND.findall(self.log())
                 if name in ORDERED]
        return [name for before, name in zip([None, *names], names)
                if name != before]

    def violations(self):
        """None: TCG does what silicon does, and nobody looks on."""
        return []
