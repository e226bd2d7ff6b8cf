# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests, hosts and the folder they live in, for the demo and the tests.

A Lab is one folder with everything a run makes: serial screens, QEMU's logs,
RAM files, identities.  A Host is one secure processor's identity.  A Guest is
one QEMU process, driven through QEMU's own Python package.
"""

import base64
import contextlib
import os
import re
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import hunt

ROOT = Path(__file__).resolve().parents[2]

BOOT_LIMIT = 120        # seconds; each wait has a limit, none is infinite
MIGRATE_LIMIT = 120
TICK_LIMIT = 30

ACTIVE = r'Memory Encryption Features active: AMD SEV'
TICK = re.compile(rb'^TICK (\d+) t=(\d+) sum=(\w+) hot=(\w+) tcp=(-?\d+)\r?$',
                  re.M)

_launching = threading.Lock()   # QEMUMachine hands sockets over by inheritance


class Failed(Exception):
    """A check did not hold; the text is the sentence to print."""


class Skip(Exception):
    """This machine or build cannot run the test; the text says why."""


def check(condition, sentence):
    if not condition:
        raise Failed(sentence)


def wait_until(what, limit, probe, pause=0.02):
    """Call @probe until it returns something true; return that."""
    end = time.monotonic() + limit
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f'no {what} within {limit} seconds')
        time.sleep(pause)


class Lab:
    """Where a run happens, and what it runs with."""

    def __init__(self, folder, build, binary=None, firmware=None, sev=True,
                 kernel='bookworm'):
        self.folder, self.build = Path(folder), Path(build)
        self.sev = sev
        self.binary = Path(binary or self.build / 'obj/qemu-system-x86_64')
        self.kernel = self.build / 'guest' / kernel
        self.firmware = Path(firmware or self._find_firmware())
        self.seed = int.from_bytes(os.urandom(8), 'little')
        self._guests, self._large = [], []
        for needed in (self.binary, self.firmware, self.kernel / 'vmlinuz'):
            if not needed.exists():
                raise Failed(f'{needed} is missing; run "make" first')
        python = str(self.build / 'qemu/python')
        if python not in sys.path:
            sys.path.insert(0, python)
        self.folder.mkdir(parents=True, exist_ok=True)

    def _find_firmware(self):
        for place in (self.build / 'firmware/OVMF.fd',
                      Path('/usr/share/ovmf/OVMF.fd'),
                      Path('/usr/share/OVMF/OVMF.fd')):
            if place.exists():
                return place
        raise Failed('no OVMF.fd; install the package ovmf')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for guest in self._guests:
            guest.close()
        for path in self._large:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def large(self, name):
        """A file that is too big to be left behind."""
        path = self.folder / name
        self._large.append(path)
        return path

    def host(self, name):
        return Host(self, name)

    def guest(self, name, **options):
        guest = Guest(self, name, **options)
        self._guests.append(guest)
        return guest

    def needle(self):
        return hunt.needle(self.seed)


class Host:
    """One platform: the identity that all QEMU processes of a host share."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.folder = lab.folder / f'psp-{name}'
        self._capabilities = None

    def capabilities(self):
        """query-sev-capabilities; the first use of an identity makes it."""
        if self._capabilities is None:
            vm = _machine(self.lab, f'identity-{self.name}', self)
            vm.add_args('-machine', 'none', '-accel', 'tcg')
            _launch(vm)
            try:
                self._capabilities = vm.cmd('query-sev-capabilities')
            finally:
                vm.shutdown(hard=True)
        return self._capabilities

    def pdh(self):
        return base64.b64decode(self.capabilities()['pdh'])

    def trust(self, other):
        """What an operator does once: pin the other host's root here."""
        other.capabilities()
        self.capabilities()
        roots = self.folder / 'roots'
        roots.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(other.folder / 'roots/self.cert',
                    roots / f'{other.name}.cert')


def _machine(lab, name, host):
    from qemu.machine import QEMUMachine
    identity = [f'SEV_PSP_DIR={host.folder}'] if host else []
    return QEMUMachine(str(lab.binary), name=name, log_dir=str(lab.folder),
                       wrapper=['env', *identity] if identity else [])


def _launch(vm):
    with _launching:
        vm.launch()


class Guest:
    """One QEMU process that runs, or waits for, the test guest."""

    def __init__(self, lab, name, host=None, sev=None, policy=0x1, mem=256,
                 smp=1, net=None, boot=None, session=None, ram_file=True,
                 incoming=False, extra=()):
        self.lab, self.name, self.host = lab, name, host
        self.sev = lab.sev if sev is None else sev
        self.screen = lab.folder / f'{name}.serial'
        self.screen.write_bytes(b'')
        self.ram = lab.large(f'{name}.ram') if ram_file else None
        self.started = None
        self.came_from = None           # the Guest whose screen goes on here
        self.vm = _machine(lab, name, host)
        self.vm.add_args(*self._machine_args(policy, mem, smp, session),
                         *self._boot_args(boot or {}),
                         *self._net_args(net), *extra)
        if incoming:
            self.vm.add_args('-incoming', incoming)

    def _machine_args(self, policy, mem, smp, session):
        ram = (f'memory-backend-file,id=ram,size={mem}M,share=on,'
               f'mem-path={self.ram}' if self.ram else
               f'memory-backend-ram,id=ram,size={mem}M')
        machine = 'q35,memory-backend=ram'
        args = ['-nodefaults', '-no-user-config', '-accel', 'tcg',
                '-cpu', 'EPYC-v4', '-m', f'{mem}M', '-smp', str(smp),
                '-object', ram]
        if self.sev:
            owner = ''.join(f',{k}={v}' for k, v in (session or {}).items())
            args += ['-object', 'sev-guest,id=sev0,cbitpos=51,'
                     f'reduced-phys-bits=1,policy={policy:#x}{owner}']
            machine += ',confidential-guest-support=sev0'
        return args + ['-machine', machine]

    def _boot_args(self, settings):
        words = {'console': 'ttyS0', 'seed': f'{self.lab.seed:x}', **settings}
        return ['-bios', str(self.lab.firmware),
                '-kernel', str(self.lab.kernel / 'vmlinuz'),
                '-initrd', str(self.lab.kernel / 'initrd.img'),
                '-append', ' '.join(f'{k}={v}' for k, v in words.items()),
                '-serial', f'file:{self.screen}',
                '-device', 'virtio-rng-pci']

    def _net_args(self, net):
        self._tap = net.tap() if net else None
        if not net:
            return []
        os.set_inheritable(self._tap, True)
        return ['-netdev', f'tap,id=net0,fd={self._tap}', '-device',
                'virtio-net-pci,netdev=net0,mac=52:54:00:73:65:76,romfile=']

    # --- The process ---

    def start(self):
        self.started = time.time()
        try:
            _launch(self.vm)
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
        self.vm.shutdown(hard=True)

    def log(self):
        return (self.lab.folder / f'{self.name}.log').read_text('utf-8', 'replace')

    def cmd(self, command, **arguments):
        return self.vm.cmd(command, {k.replace('_', '-'): v
                                     for k, v in arguments.items()})

    def alive(self):
        if not self.vm.is_running():
            raise Failed(f'{self.name}: QEMU ended, code {self.vm.exitcode()}')
        return True

    # --- The screen ---

    def text(self):
        """What the guest printed, from its first host on."""
        earlier = self.came_from.text() if self.came_from else b''
        return earlier + self.screen.read_bytes()

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

    def wait_ticks(self, more, limit=TICK_LIMIT):
        """Wait for @more new ticks; every tick so far must be sound."""
        aim = len(self.ticks()) + more

        def probe():
            return len(self.ticks()) >= aim or self.alive() and None
        wait_until(f'{more} more ticks from {self.name}', limit, probe)
        return self.sound_ticks()

    def sound_ticks(self):
        """All ticks: counted one by one, memory as it was."""
        ticks = self.ticks()
        for before, tick in zip(ticks, ticks[1:]):
            check(tick[0] == before[0] + 1, f'{self.name}: tick {tick[0]} '
                  f'came after tick {before[0]}')
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
        self.cmd('migrate', uri=uri)
        return self.wait_migration()

    def capability(self, name, state=True):
        self.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': state}])

    def listen(self, source):
        """Let a guest started with -incoming defer wait for @source; a port."""
        self.came_from = source
        port = free_port()
        self.cmd('migrate-incoming', uri=f'tcp:127.0.0.1:{port}',
                 exit_on_error=False)
        return port

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


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]
