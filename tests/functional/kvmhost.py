# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts with SEV in their kernel, played by ../kvm, and guests on them.

A KvmHost is one platform with a real chip's habits: it exports a CEK without
AMD's signature, and knows no AMD certificates. A SevTiny is one QEMU process
under -accel kvm on it, with a guest of ../guest/tiny-sev.S.
"""

import contextlib
import fcntl
import os
import re
from collections import Counter

from guest import free_port
from registry import expect_error
from sevlib import Host
from tinyguest import Tiny, needs_kvm
from verdict import (MIGRATE_LIMIT, TICK_LIMIT, Failed, Skip, check,
                     wait_until)

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
CERTS = ('sev-pdh', 'sev-plat-cert', 'sev-amd-cert')
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


class KvmHost(Host):
    """One platform behind a kernel."""

    def full_chain(self):
        """Its certificates with AMD's signature, as an operator has them."""
        answer = self.platform_certs()
        return {name: answer[name] for name in CERTS}


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


class SevTiny(Tiny):
    """One QEMU process on @host.

    @kind: which guest of tiny-sev.S: linux, efi, silent, once; or tiny. @control: lines for
    the stand-in. @sev: words for the sev-guest object.
    """

    def __init__(self, env, stem, host, *args, kind='linux', control=(), sev='',
                 policy=1, smp=1, mem='16M', cpu='qemu64', machine='q35',
                 incoming=None, environment=(), launcher=(), **options):
        needs_standin(env)
        self.host = host
        self.names = [env.lab.folder / f'{env.name(stem)}.{suffix}'
                      for suffix in ('control', 'ioctls', 'violations')]
        self.control_path, self.ioctl_path, self.violation_path = self.names
        self.control(*control)
        if incoming:
            args = (*args, '-incoming', incoming)
        super().__init__(
            env, stem, '-object', f'sev-guest,id=sev0,cbitpos='
            f'{host_cbitpos(env)},reduced-phys-bits=1,policy={policy:#x}{sev}',
            '-smp', str(smp), *args, machine=f'{machine},confidential-guest-support=sev0',
            cpu=cpu, mem=mem,
            firmware=env.lab.build / 'guest/bookworm' / (
                'tiny.fd' if kind == 'tiny' else f'sev-{kind}.fd'),
            environment=[f'LD_PRELOAD={library(env)}',
                         f'SEV_PSP_DIR={host.folder}',
                         f'SEV_PSP_CONFIG_DIR={host.folder}',
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

    def work(self):
        """[(begin, end)] in seconds of each command of the firmware."""
        return [(float(end) - int(us) / 1e6, float(end)) for end, _, _, us in
                COMMAND.findall(self.ioctl_path.read_text())]

    def busy(self, since=0.0, until=float('inf')):
        """The share of the time that the mailbox was busy for this guest."""
        work = [(begin, end) for begin, end in self.work()
                if since <= end <= until]
        if len(work) < 2:
            return 0.0
        return sum(end - begin for begin, end in work) / (work[-1][1]
                                                          - work[0][0])

    # --- The guest ---

    def soundly(self, more=3, limit=TICK_LIMIT):
        """Wait for @more ticks; all must be sound, and nothing violated."""
        self.wait_ticks(len(self.ticks()) + more, limit)
        check(not self.violations(), f'violated: {self.violations()}')

    def wait_text(self, pattern, times=1, limit=TICK_LIMIT):
        wait_until(f'"{pattern}" on the screen', limit, lambda: len(
            re.findall(pattern, self.text())) >= times)

    def other_ticks(self):
        """How far the second vCPU had counted at each tick."""
        return [int(count, 16) for count in
                re.findall(r'^AP ([0-9a-f]{8})$', self.text(), re.M)]

    def told_control(self):
        """What the guest read from its MSR, each time that it changed."""
        return re.findall(r'^CONTROL *(\S+)$', self.text(), re.M)

    # --- QMP ---

    def cmd(self, command, **arguments):
        try:
            return self.vm.cmd(command, {k.replace('_', '-'): v
                                         for k, v in arguments.items()})
        except Exception as error:
            raise Failed(f'{command}: {error}') from error

    def migration(self):
        return self.cmd('query-migrate')

    def wait_migration(self, limit=MIGRATE_LIMIT):
        def probe():
            info = self.migration()
            return info if info.get('status') in ('completed', 'failed',
                                                  'cancelled') else None
        return wait_until('end of the migration', limit, probe)

    def name_target(self, host):
        """The target is @host: what the operator has of it."""
        self.cmd('migrate-set-parameters', **host.full_chain())

    def capabilities(self, **states):
        self.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name.replace('_', '-'), 'state': state}
            for name, state in states.items()])

    def wait_loaded(self, limit=MIGRATE_LIMIT):
        def probe():
            if not self.vm.is_running():
                raise Failed(f'the target ended: {self.log()[-300:]}')
            info = self.migration()
            if info.get('status') == 'failed':
                raise Failed(info.get('error-desc', 'stream refused'))
            return info.get('status') == 'completed'
        wait_until('end of the load', limit, probe)


@contextlib.contextmanager
def running(*arguments, ticks=3, **options):
    """A guest that counts."""
    guest = SevTiny(*arguments, **options)
    with contextlib.closing(guest.start()):
        guest.soundly(ticks)
        yield guest


@contextlib.contextmanager
def waiting(env, source, host, stem='target', **options):
    """(a QEMU on @host that waits, the URI that leads to it through a pipe)."""
    fifo = env.lab.folder / f'{env.name(stem)}.fifo'
    os.mkfifo(fifo, 0o600)
    target = SevTiny(env, stem, host, incoming=f'exec:cat {fifo}', **options)
    try:
        target.start()
        source.name_target(host)
        yield target, f'exec:cat > {fifo}'
    finally:
        target.close()
        fifo.unlink(missing_ok=True)


@contextlib.contextmanager
def listening(env, source, host, stem='target', multifd=0, **options):
    """(a QEMU on @host that listens, its URI); @multifd: how many channels."""
    target = SevTiny(env, stem, host, incoming='defer', **options)
    with contextlib.closing(target.start()):
        for guest in (source, target) if multifd else ():
            guest.capabilities(multifd=True)
            guest.cmd('migrate-set-parameters', multifd_channels=multifd)
        source.name_target(host)
        uri = f'tcp:127.0.0.1:{free_port()}'
        target.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        yield target, uri


def migrate(source, uri):
    """Migrate, and wait; what query-migrate says."""
    source.cmd('migrate', uri=uri)
    return source.wait_migration()


def ordered(guest):
    """The ioctls whose order matters, each once where it is repeated."""
    return guest.sequence(ORDERED)


def registered_first(guest):
    """All memory is registered before anything runs."""
    names = [name for name, _, _ in guest.ioctls()]
    last = max(n for n, name in enumerate(names) if name == 'REG_REGION')
    check(last < names.index('KVM_RUN'), 'REG_REGION after KVM_RUN')


def refused(guest, pattern):
    """A migration must not even begin, or fail, with this sentence."""
    try:
        info = migrate(guest, 'exec:cat > /dev/null')
    except Failed as error:
        info = {'status': 'failed', 'error-desc': str(error)}
    expect_error(info, pattern)


def arrived(source, target):
    """The guest goes on where it was, with its memory, and nothing violated."""
    target.soundly()
    check(target.ticks()[0][0] > source.ticks()[-1][0], 'it went back')
    check(not source.violations(), f'source: {source.violations()}')
    others = source.other_ticks()
    check(not others or target.other_ticks()[-1] > others[-1],
          f'the other vCPU is at {target.other_ticks()}, was at {others[-1:]}')


def ended(guest, limit=TICK_LIMIT):
    """What a QEMU says that must end by itself."""
    with contextlib.closing(guest):
        with contextlib.suppress(Exception):
            guest.start()
        wait_until('end of QEMU', limit, lambda: not guest.vm.is_running())
        check(guest.vm.exitcode() == 1, f'it ended with {guest.vm.exitcode()}')
        return guest.log()
