# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts with SEV in their kernel, played by ../kvm, and guests on them.

A KvmHost is one platform with a real chip's habits: it exports a CEK without
AMD's signature, and knows no AMD certificates. A KvmTiny is one QEMU process
under -accel kvm on it, with a guest of ../guest/tiny-sev.S.
"""

import contextlib
import fcntl
import os
import re
from collections import Counter

from sevtiny import HARDWARE, SevTiny, TinyHost
from tinyguest import Tiny, needs_kvm
from verdict import TICK_LIMIT, Skip, check, wait_until

# Tells a guest of bit 17 of CPUID 0x40000001, whatever QEMU does.
FORCED = 'force-migration-control'

# What Linux and the firmware order; the rest may come at any time.
LAUNCH = ['KVM_CREATE_VM', 'INIT', 'LAUNCH_START', 'KVM_CREATE_VCPU',
          'LAUNCH_UPDATE_DATA', 'LAUNCH_MEASURE', 'LAUNCH_FINISH', 'KVM_RUN']
TARGET = ['KVM_CREATE_VM', 'INIT', 'KVM_CREATE_VCPU', 'RECEIVE_START',
          'RECEIVE_UPDATE_DATA', 'RECEIVE_FINISH', 'KVM_RUN']
ORDERED = {*LAUNCH, *TARGET, 'INIT2', 'LAUNCH_SECRET', 'SEND_START',
           'SEND_UPDATE_DATA', 'SEND_FINISH', 'SEND_CANCEL'}

KVM_CREATE_VM = 0xae01
LINE = re.compile(r'^[\d.]+ ioctl (\S+) (\d+) (-?\d+)$', re.M)
COMMAND = re.compile(r'^([\d.]+) firmware (\S+) (\d+) (\d+)$', re.M)


def needs_standin(env):
    needs_kvm()
    if not library(env).exists():
        raise Skip('this build has no stand-in for KVM (it is without KVM)')
    try:
        with open('/dev/kvm', 'rb') as kvm:
            os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    except OSError as error:
        raise Skip(f'/dev/kvm makes no VM here: {error.strerror}') from error


def library(env):
    return env.lab.build / 'obj/tests/unit/sev/sev-standin.so'


def host_cbitpos(env):
    """What this processor's CPUID says, through QEMU's refusal of another."""
    if not hasattr(env, 'host_cbitpos'):
        guest = Tiny(env, 'cbitpos', '-object', 'sev-guest,id=sev0,cbitpos=63,'
                     'reduced-phys-bits=1',
                     machine='q35,confidential-guest-support=sev0')
        with contextlib.suppress(Exception):
            guest.start()
        guest.close()
        found = re.search(r"cbitpos check failed, host '(\d+)'", guest.log())
        check(found, f'QEMU does not say where the C-bit is: {guest.log()}')
        env.host_cbitpos = int(found[1])
    return env.host_cbitpos


class KvmHost(TinyHost):
    """One platform behind a kernel."""

    def tiny(self, env, stem, *args, **options):
        return KvmTiny(env, stem, self, *args, **options)


def kvm_host(env, name):
    """The host @name of this run."""
    hosts = env.__dict__.setdefault('kvm_hosts', {})
    if name not in hosts:
        needs_standin(env)
        hosts[name] = KvmHost(env.lab, f'kvm-{name}')
        hosts[name].capabilities()
    return hosts[name]


def two_hosts(env):
    """Each trusts the other."""
    one, two = kvm_host(env, 'a'), kvm_host(env, 'b')
    one.trust(two)
    two.trust(one)
    return one, two


class KvmTiny(SevTiny):
    """One QEMU process on @host; @control: lines for the stand-in.

    @launcher: a command that starts the process, with its arguments.
    """

    def __init__(self, env, stem, host, *args, control=(), launcher=(),
                 environment=(), **options):
        needs_standin(env)
        self.names = [env.lab.folder / f'{env.name(stem)}.{suffix}'
                      for suffix in ('control', 'ioctls', 'violations')]
        self.control_path, self.ioctl_path, self.violation_path = self.names
        self.always, self.now = control, []
        init = 'INIT2' if 'legacy-vm-type=off' in options.get('sev', '') \
            else 'INIT'
        self.launch, self.target = ([init if name == 'INIT' else name
                                     for name in order]
                                    for order in (LAUNCH, TARGET))
        self.obeys()
        super().__init__(
            env, stem, host, *args, accel='kvm', cbitpos=host_cbitpos(env),
            environment=[f'LD_PRELOAD={library(env)}',
                         f'SEV_STANDIN_IDENTITY={host.folder}',
                         f'SEV_STANDIN_CONTROL={self.control_path}',
                         f'SEV_STANDIN_LOG={self.ioctl_path}',
                         f'SEV_STANDIN_VIOLATIONS={self.violation_path}',
                         *environment, *launcher], **options)

    # --- The stand-in ---

    def control(self, *lines):
        """What the stand-in does from now on."""
        new = self.control_path.with_suffix('.new')
        new.write_text(''.join(f'{line}\n' for line in lines))
        os.replace(new, self.control_path)

    def _also(self, rule):
        self.now.append(rule)
        self.control(*self.always, *self.now)

    def fails(self, command, nth=1, status=HARDWARE):
        self._also(f'fail {command} {nth} status {status}')

    def takes(self, us):
        self._also(f'delay SEND_UPDATE_DATA {us}')

    def obeys(self):
        self.now = []
        self.control(*self.always)

    def sent(self):
        return self.commands()['SEND_UPDATE_DATA']

    def order(self):
        return self.sequence(ORDERED)

    def ordered(self, *then, received=False):
        super().ordered(*then, received=received)
        # All memory is registered before anything runs.
        names = [name for name, _, _ in self.ioctls()]
        last = max(n for n, name in enumerate(names) if name == 'REG_REGION')
        check(last < names.index('KVM_RUN'), 'REG_REGION after KVM_RUN')

    def violations(self):
        if not self.violation_path.exists():
            return []
        return [line.partition(' ')[2]
                for line in self.violation_path.read_text().splitlines()]

    def ioctls(self):
        """[(name, errno, firmware status)], one after the other."""
        return [(name, int(error), int(status)) for name, error, status in
                LINE.findall(self.ioctl_path.read_text())]

    def sequence(self, among):
        """The names that are @among; what is repeated at once appears once."""
        names = [name for name, _, _ in self.ioctls() if name in among]
        return [name for before, name in zip([None, *names], names)
                if name != before]

    def commands(self):
        """How often each command reached the firmware."""
        return Counter(name for _, name, _, _ in
                       COMMAND.findall(self.ioctl_path.read_text()))

    def wait_commands(self, name, count, limit=TICK_LIMIT):
        wait_until(f'{count} times {name}', limit,
                   lambda: self.commands()[name] >= count)

    def work(self, command=None):
        """[(begin, end)] in seconds of each command of the firmware."""
        return [(float(end) - int(us) / 1e6, float(end))
                for end, name, _, us in
                COMMAND.findall(self.ioctl_path.read_text())
                if command in (None, name)]

    def busy(self, command):
        """The share of the time from its first to its last command that the
        mailbox was busy with them.
        """
        work = self.work(command)
        return (sum(end - begin for begin, end in work)
                / (work[-1][1] - work[0][0]))
