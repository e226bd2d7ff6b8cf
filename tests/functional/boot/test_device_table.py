# SPDX-License-Identifier: GPL-2.0-or-later
"""Each device that people have, with an SEV guest (devicerows.py)."""

import contextlib
import time

import devicerows
from registry import test
from verdict import check

HANG = 60               # seconds of nothing
_made = {}


def fixture(env):
    if env not in _made:
        _made[env] = devicerows.Fixture(env)
        _made[env].start()
    return _made[env]


def register(name, probe):
    @test(f'device table: {name}', sev=name == 'virtio-balloon-pci',
          slow=True)
    def works(env):
        probe(fixture(env))


def register_screen(device, driver):
    @test(f'device table: {device}', sev=False, slow=True)
    def shows(env):
        devicerows.Screen(env, device).look(driver)


def register_hang(name, words, initrd, warning, last):
    @test(f'device table: {name} hangs, and QEMU has said why', slow=True)
    def hangs(env):
        guest = env.lab.guest(env.name(name), host=env.host('a'), extra=words,
                              kernel='trixie-generic', initrd=initrd, mem=512)
        with contextlib.closing(guest):
            guest.start()
            check(f'SEV: device {warning}' in guest.log(),
                  f'no warning: {guest.log()[-300:]}')
            guest.wait_text(last, 200)
            time.sleep(HANG)
            check(not guest.find_text('TICK'), 'it does not hang any more: the '
                  'warning and sev-devices.rst are to be changed')
            check(guest.vm.is_running(), 'QEMU has ended')


for _name, _probe in devicerows.probes().items():
    register(_name, _probe)
for _row in devicerows.SCREENS.items():
    register_screen(*_row)
for _row in devicerows.HANGS:
    register_hang(*_row)
