# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process, driven through QEMU's own Python package.

A Guest counts on its serial screen; everything the tests know of its inside
they read there.
"""

import logging
import os
import re
import socket
import threading
import time

from again import begin_migration
from shape import Shape
from shell import Shell
from verdict import (BOOT_LIMIT, MIGRATE_LIMIT, TICK_LIMIT, Failed, Skip,
                     check, wait_until)

TICK = re.compile(rb'^TICK (\d+) t=(\d+) sum=(\w+) hot=(\w+) tcp=(-?\d+)\r?$',
                  re.M)

logging.getLogger('qemu').setLevel(logging.CRITICAL)     # we report it
_launching = threading.Lock()   # QEMUMachine hands sockets over by inheritance


def machine(lab, name, host, environment=()):
    """A QEMU process to be, on @host (None: nobody asks for its identity)."""
    from qemu.machine import QEMUMachine
    words = [f'SEV_PSP_DIR={host.folder}'] if host else []
    words += environment
    return QEMUMachine(str(lab.binary), name=name, log_dir=str(lab.folder),
                       wrapper=['env', *words] if words else [])


def launch(vm):
    with _launching:
        vm.launch()


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]


class Guest:
    """One QEMU process that runs, or waits for, the test guest."""

    def __init__(self, lab, name, host=None, sev=None, policy=0x1, mem=256,
                 smp=1, net=None, boot=None, session=None, ram_file=True,
                 incoming=False, extra=(), shape=Shape(), shell=False,
                 environment=(), kernel=None, initrd=None):
        self.lab, self.name, self.host = lab, name, host
        self.shape, self.mem = shape, mem
        self.kernel = lab.build / 'guest' / kernel if kernel else lab.kernel
        self.sev = lab.sev if sev is None else sev
        self.screen = lab.folder / f'{name}.serial'
        self.screen.write_bytes(b'')
        self.ram = lab.large(f'{name}.ram') if ram_file else None
        self.variables = lab.large(f'{name}.vars')
        self.started = None
        self.came_from = None           # the Guest whose screen goes on here
        self._since = 0                 # bytes of the screen to look at
        self.vm = machine(lab, name, host, environment)
        self.shell = Shell(self) if shell else None
        self.initrd = initrd or ('tools.img' if shell else 'initrd.img')
        self.vm.add_args(*self._machine_args(policy, mem, smp, session),
                         *self._boot_args(boot or {}),
                         *self._net_args(net), *extra)
        if incoming:
            self.vm.add_args('-incoming', incoming)

    def _machine_args(self, policy, mem, smp, session):
        args, machine = self.shape.machine_args(mem, smp, self.ram)
        if self.sev:
            owner = ''.join(f',{k}={v}' for k, v in (session or {}).items())
            args += ['-object', f'sev-guest,id=sev0,cbitpos={self.shape.cbitpos},'
                     f'reduced-phys-bits=1,policy={policy:#x}{owner}'
                     + self.shape.sev]
            machine += ',confidential-guest-support=sev0'
        return ['-nodefaults', '-no-user-config', *args, '-machine', machine]

    def _boot_args(self, settings):
        # A bounce buffer of 8 MiB; left alone Linux takes 64 for SEV.
        words = {'console': 'ttyS0', 'swiotlb': 4096,
                 'seed': f'{self.lab.seed:x}', **settings}
        serial = ['-serial', f'file:{self.screen}']
        if self.shell:
            serial += self.shell.args
            # Its port alone takes 1 MiB of that; with more devices it fills up.
            words.update(shell='vport0p1', swiotlb=32768)
        return [*self.shape.firmware_args(self.lab, self.variables), *serial,
                '-kernel', str(self.kernel / 'vmlinuz'),
                '-initrd', str(self.kernel / self.initrd),
                '-append', ' '.join(k if v is None else f'{k}={v}'
                                    for k, v in words.items()),
                '-device', self.shape.rng]

    def _net_args(self, net):
        self._tap = net.tap() if net else None
        if not net:
            return []
        os.set_inheritable(self._tap, True)
        return ['-netdev', f'tap,id=net0,fd={self._tap}', '-device',
                'virtio-net-pci,netdev=net0,mac=52:54:00:73:65:76,romfile=']

    # --- The process ---

    def start(self):
        if not (self.kernel / 'vmlinuz').exists():
            raise Skip(f'no {self.kernel.name} kernel; make it with '
                       f'"tests/guest/build.sh {self.kernel.name}"')
        self.started = time.time()
        try:
            launch(self.vm)
        except Exception as error:
            said = self.log().strip().splitlines()
            reason = said[-1] if said else str(error)
            raise Failed(f'{self.name}: {reason}') from error
        finally:
            if self._tap is not None:
                os.close(self._tap)
                self._tap = None
        return self

    def close(self):
        if self._tap is not None:
            os.close(self._tap)
            self._tap = None
        if self.shell:
            self.shell.close()
        self.vm.shutdown(hard=True)
        for large in filter(None, (self.ram, self.variables)):
            large.unlink(missing_ok=True)

    def log(self):
        return (self.lab.folder / f'{self.name}.log').read_text('utf-8', 'replace')

    def cmd(self, command, **arguments):
        try:
            return self.vm.cmd(command, {k.replace('_', '-'): v
                                         for k, v in arguments.items()})
        except Exception as error:
            self.alive()
            raise Failed(f'{self.name}: {command}: {error}') from error

    def alive(self):
        if not self.vm.is_running():
            said = self.log().strip().splitlines()[-1:] or ['']
            raise Failed(f'{self.name}: QEMU ended, code '
                         f'{self.vm.exitcode()}: {said[0]}')
        return True

    def wait_off(self, limit=BOOT_LIMIT):
        """Wait until the guest has powered itself off and QEMU ended well."""
        wait_until(f'end of {self.name}', limit,
                   lambda: not self.vm.is_running())
        check(self.vm.exitcode() == 0, f'{self.name}: QEMU ended, code '
              f'{self.vm.exitcode()}')

    def wait_event(self, name, limit=TICK_LIMIT):
        check(self.vm.event_wait(name, timeout=limit),
              f'{self.name}: no event {name} within {limit} seconds')

    def cpu_seconds(self):
        """Processor time of the process so far."""
        with open(f'/proc/{self.vm.get_pid()}/stat', 'rb') as f:
            fields = f.read().rpartition(b')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    # --- The screen ---

    def text(self):
        """What the guest printed, from its first host on."""
        earlier = self.came_from.text() if self.came_from else b''
        return earlier + self.screen.read_bytes()[self._since:]

    def forget(self):
        """What was printed so far is past: the guest will count from 1."""
        self._since, self.came_from = self.screen.stat().st_size, None

    def wait_text(self, pattern, limit=BOOT_LIMIT, times=1):
        """Wait until @pattern was printed @times times; the last match."""
        compiled = re.compile(pattern.encode(), re.M)

        def probe():
            found = list(compiled.finditer(self.text()))
            return found[-1] if len(found) >= times else self.alive() and None
        return wait_until(f'"{pattern}" from {self.name}', limit, probe)

    def find_text(self, pattern):
        found = re.search(pattern.encode(), self.text())
        return found.group().decode() if found else None

    def ticks(self):
        """[(tick, guest milliseconds, sum, hot, tcp)], complete lines only."""
        return [(int(n), int(t), s.decode(), h.decode(), int(tcp))
                for n, t, s, h, tcp in TICK.findall(self.text())]

    def wait_more(self, aim, limit=TICK_LIMIT):
        """Wait until there are @aim ticks in all."""
        def probe():
            return len(self.ticks()) >= aim or self.alive() and None
        wait_until(f'{aim} ticks from {self.name}', limit, probe)

    def wait_ticks(self, more, limit=TICK_LIMIT):
        """Wait for @more new ticks; every tick so far must be sound."""
        self.wait_more(len(self.ticks()) + more, limit)
        return self.sound_ticks()

    def between(self, before, tick):
        """What the screen has between two ticks, for a message."""
        found = re.search(rb'^[^\n]*TICK %d .*?TICK %d [^\n]*'
                          % (before[0], tick[0]), self.text(), re.M | re.S)
        return repr(found.group()[:600]) if found else 'nothing to see'

    def sound_ticks(self):
        """All ticks: counted one by one, memory as it was."""
        ticks = self.ticks()
        for before, tick in zip(ticks, ticks[1:]):
            check(tick[0] == before[0] + 1, f'{self.name}: tick {tick[0]} '
                  f'came after tick {before[0]}: {self.between(before, tick)}')
        for tick in ticks:
            check(tick[2:4] == ('ok', 'ok'),
                  f'{self.name}: memory changed at tick {tick[0]}')
        return ticks

    # --- Migration ---

    def migration(self):
        return self.cmd('query-migrate')

    def wait_migration(self, limit=MIGRATE_LIMIT):
        """Wait for a migration of this guest to end, one way or the other."""
        def probe():
            info = self.migration()
            done = info.get('status') in ('completed', 'failed', 'cancelled')
            return info if done else None
        return wait_until(f'end of the migration of {self.name}', limit, probe)

    def migrate(self, uri, **capabilities):
        for name, state in capabilities.items():
            self.capability(name.replace('_', '-'), state)
        begin_migration(self, uri)
        return self.wait_migration()

    def capability(self, name, state=True):
        self.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': state}])

    def listen(self, source, exit_on_error=False):
        """Let a guest started with -incoming defer wait for @source; a port."""
        self.came_from = source
        self.cmd('migrate-incoming', uri='tcp:127.0.0.1:0',
                 exit_on_error=exit_on_error)
        return int(self.migration()['socket-address'][0]['port'])

    def wait_loaded(self, limit=MIGRATE_LIMIT):
        """Wait until an incoming stream is in; raise what query-migrate says."""
        def probe():
            info = self.alive() and self.migration()
            if info.get('status') == 'failed':
                raise Failed(info.get('error-desc', 'incoming stream refused'))
            return info.get('status') == 'completed'
        wait_until(f'end of the load of {self.name}', limit, probe, 0.01)

    def wait_resumed(self):
        """Let a clone run once it is loaded.

        Seconds from the start of QEMU to RESUME and to the first tick.
        """
        self.wait_loaded()
        if not self.cmd('query-status')['running']:
            self.cmd('cont')
        event = self.vm.event_wait('RESUME', timeout=TICK_LIMIT)
        check(event, f'{self.name} did not resume')
        stamp = event['timestamp']
        resumed = stamp['seconds'] + stamp['microseconds'] / 1e6
        return resumed - self.started, self.seconds_to_tick()

    def seconds_to_tick(self, limit=BOOT_LIMIT):
        """Seconds from the start of QEMU to its first tick, as seen now."""
        wait_until(f'tick from {self.name}', limit,
                   lambda: self.ticks() or self.alive() and None, 0.01)
        return time.time() - self.started
