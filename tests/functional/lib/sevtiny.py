# SPDX-License-Identifier: GPL-2.0-or-later
"""Small SEV guests (../guest/tiny-sev.S), whoever answers their commands.

A TinyHost is one platform, a SevTiny one QEMU process on it. What only one
backend has is in kvmhost.py (Linux, played by ../kvm) and softhost.py (the
software secure processor, under TCG).
"""

import contextlib
import os
import re

from again import begin_migration
from registry import expect_error
from sevlib import Host
from tinyguest import Tiny
from verdict import MIGRATE_LIMIT, TICK_LIMIT, Failed, check, wait_until

CERTS = ('sev-pdh', 'sev-plat-cert', 'sev-amd-cert')

HARDWARE = 19           # SEV_RET_HWSEV_RET_PLATFORM: any command may say it


class TinyHost(Host):
    """One platform, and what runs on it."""

    def full_chain(self):
        """Its certificates with AMD's signature, as an operator has them."""
        answer = self.platform_certs()
        return {name: answer[name] for name in CERTS}

    def tiny(self, env, stem, *args, **options):
        """A SevTiny on this host, not started yet."""
        raise NotImplementedError


class SevTiny(Tiny):
    """One QEMU process. @kind: which guest of tiny-sev.S: linux, efi ...

    @sev: words for the sev-guest object.
    """

    launch, target = [], []     # order() of a guest that begins, or arrives

    def __init__(self, env, stem, host, *args, accel, cbitpos, kind='linux',
                 sev='', policy=1, smp=1, mem='16M', cpu='qemu64', machine='q35',
                 incoming=None, environment=(), **options):
        self.host = host
        if incoming:
            args = (*args, '-incoming', incoming)
        super().__init__(
            env, stem, '-object', f'sev-guest,id=sev0,cbitpos={cbitpos},'
            f'reduced-phys-bits=1,policy={policy:#x}{sev}',
            '-smp', str(smp), *args, accel=accel, cpu=cpu, mem=mem,
            machine=f'{machine},confidential-guest-support=sev0',
            firmware=env.lab.build / 'guest/bookworm' / (
                'tiny.fd' if kind == 'tiny' else f'sev-{kind}.fd'),
            environment=[f'SEV_PSP_DIR={host.folder}',
                         f'SEV_PSP_CONFIG_DIR={host.folder}', *environment],
            **options)

    # --- The secure processor ---

    def fails(self, command, nth=1, status=HARDWARE):
        """The @nth @command from now on is refused, with this status."""
        raise NotImplementedError

    def takes(self, us):
        """A page that is sent keeps the secure processor for @us microseconds."""
        raise NotImplementedError

    def obeys(self):
        """Nothing fails, or takes longer than it must, from now on."""
        raise NotImplementedError

    def sent(self):
        """How many packets it has made."""
        raise NotImplementedError

    def order(self):
        """The commands whose order matters; one that is repeated once."""
        raise NotImplementedError

    def violations(self):
        """What silicon would have punished; [] where nobody looks."""
        raise NotImplementedError

    def wait_sent(self, more, limit=TICK_LIMIT):
        aim = self.sent() + more
        wait_until(f'{aim} packets', limit, lambda: self.sent() >= aim)

    def ordered(self, *then, received=False):
        """It was launched, or @received, in the right order, then @then."""
        wanted = [*(self.target if received else self.launch), *then]
        check(self.order() == wanted,
              f'order: {self.order()}, should be {wanted}')

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

    def other_passes(self, last):
        """The second vCPU, if @last is not [], is further than that at last.

        It may wait for its turn while the first one is through many ticks.
        """
        if last:
            wait_until(f'the other vCPU to pass {last[0]}', TICK_LIMIT,
                       lambda: self.other_ticks()[-1:] > last)

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

    def listen(self):
        """Wait for a source, at a port that nobody else has; the port."""
        self.cmd('migrate-incoming', uri='tcp:127.0.0.1:0',
                 exit_on_error=False)
        return int(self.migration()['socket-address'][0]['port'])

    def wait_loaded(self, limit=MIGRATE_LIMIT):
        def probe():
            if not self.vm.is_running():
                raise Failed(f'the target ended: {self.log()[-300:]}')
            info = self.migration()
            if info.get('status') == 'failed':
                raise Failed(info.get('error-desc', 'stream refused'))
            return info.get('status') == 'completed'
        wait_until('end of the load', limit, probe)


# --- Two ends -----------------------------------------------------------------


@contextlib.contextmanager
def running(env, stem, host, *args, ticks=3, **options):
    """A guest that counts."""
    guest = host.tiny(env, stem, *args, **options)
    with contextlib.closing(guest.start()):
        guest.soundly(ticks)
        yield guest


@contextlib.contextmanager
def waiting(env, source, host, stem='target', **options):
    """(a QEMU on @host that waits, the URI that leads to it through a pipe)."""
    fifo = env.lab.folder / f'{env.name(stem)}.fifo'
    os.mkfifo(fifo, 0o600)
    target = host.tiny(env, stem, incoming=f'exec:cat {fifo}', **options)
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
    target = host.tiny(env, stem, incoming='defer', **options)
    with contextlib.closing(target.start()):
        for guest in (source, target) if multifd else ():
            guest.capabilities(multifd=True)
            guest.cmd('migrate-set-parameters', multifd_channels=multifd)
        source.name_target(host)
        yield target, f'tcp:127.0.0.1:{target.listen()}'


def migrate(source, uri):
    """Migrate, and wait; what query-migrate says."""
    begin_migration(source, uri)
    return source.wait_migration()


def completes(source, uri):
    info = migrate(source, uri)
    check(info['status'] == 'completed', f'{info}')
    return info


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
    target.other_passes(source.other_ticks()[-1:])


def ended(guest):
    """What a QEMU says that must end by itself."""
    with contextlib.closing(guest):
        with contextlib.suppress(Exception):
            guest.start()
        return last_words(guest)


def last_words(guest, limit=TICK_LIMIT):
    wait_until('end of QEMU', limit, lambda: not guest.vm.is_running())
    check(guest.vm.exitcode() == 1, f'it ended with {guest.vm.exitcode()}')
    return guest.log()
