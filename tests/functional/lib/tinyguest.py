# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest of 64 KiB that is its own firmware (tests/guest/tiny.S)."""

import os
import re

from guest import launch
from verdict import TICK_LIMIT, Failed, Skip, check, wait_until

TICK = re.compile(r'^TICK ([0-9a-f]{8}) (ok|BAD) (ok|BAD)$', re.M)


def needs_kvm():
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        raise Skip('this host has no /dev/kvm, or not for this user')


class Tiny:
    """One QEMU process; @binary: which QEMU; @environment: NAME=VALUE words."""

    def __init__(self, env, stem, *args, binary=None, machine='q35', cpu='qemu64',
                 firmware=None, environment=(), mem='64M', accel='kvm'):
        from qemu.machine import QEMUMachine
        name = env.name(stem)
        self.screen = env.lab.folder / f'{name}.serial'
        self.screen.write_bytes(b'')
        firmware = firmware or env.lab.build / 'guest/bookworm/tiny.fd'
        self.log_path = env.lab.folder / f'{name}.log'
        self.vm = QEMUMachine(str(binary or env.lab.binary), name=name,
                              log_dir=str(env.lab.folder),
                              wrapper=['env', *environment])
        self.vm.add_args('-nodefaults', '-no-user-config', '-machine', machine,
                         '-accel', accel, '-cpu', cpu, '-m', mem,
                         '-bios', str(firmware),
                         '-serial', f'file:{self.screen}', *args)

    def start(self):
        launch(self.vm)
        return self

    def close(self):
        self.vm.shutdown(hard=True)

    def log(self):
        return self.log_path.read_text('utf-8', 'replace')

    def text(self):
        return self.screen.read_text('ascii', 'replace')

    def ticks(self):
        return TICK.findall(self.text())

    def wait_ticks(self, count, limit=TICK_LIMIT):
        """Wait until it counted to @count on this screen; all must be sound."""
        def probe():
            if not self.vm.is_running():
                raise Failed(f'QEMU ended: {self.log()[-300:]}')
            return len(self.ticks()) >= count
        wait_until(f'tick {count}', limit, probe)
        check(all(tick[1:] == ('ok', 'ok') for tick in self.ticks()),
              f'memory changed: {self.ticks()[-1]}')

    def told(self):
        """What it says of its processor and of its declarations."""
        return re.findall(r'^(?:CPUID|DECLARED) .*$', self.text(), re.M)

    def leaf(self, number):
        """Its CPUID leaf: EAX, EBX, ECX, EDX."""
        found = re.search(rf'^CPUID {number:08x} (.*)$', self.text(), re.M)
        check(found, f'it printed no leaf {number:#x}')
        return tuple(int(word, 16) for word in found[1].split())

    def said(self, word):
        """The number behind @word, at the start of a line."""
        found = re.search(rf'^{word} ([0-9a-f]+)$', self.text(), re.M)
        return int(found[1], 16) if found else None
