# SPDX-License-Identifier: GPL-2.0-or-later
"""What nobody asked for: strangers, targets that hang, devices that leave."""

import contextlib
import os
import signal
import socket
import struct
import time
from uuid import UUID

from registry import test
from test_multifd import channels
from verdict import check, wait_until

MAIN = b'QEVM'                  # how a main channel begins
# How multifd's begins: magic, version, UUID, number
CHANNEL = struct.Struct('>II16sB39x')
LOOK = 0.5                      # seconds for a connection to be looked at


def connect(port):
    return socket.create_connection(('127.0.0.1', port), timeout=30)


def ended(target):
    """The target failed to load, in words, and did not crash."""
    info = target.wait_migration()
    check(info['status'] == 'failed', f'it ended: {info}')
    check(target.cmd('query-status')['status'] == 'inmigrate', 'it runs')


@test('strangers: a second main channel is not taken', sev=False)
def second_main(env):
    with env.target() as target:
        channels(2, target)
        port = target.listen(None)
        uuid = UUID(target.cmd('query-uuid')['UUID']).bytes
        with contextlib.ExitStack() as lines:
            for _ in range(2):
                line = lines.enter_context(connect(port))
                line.sendall(MAIN)
                time.sleep(LOOK)
            for channel in range(2):
                lines.enter_context(connect(port)).sendall(
                    CHANNEL.pack(0x11223344, 1, uuid, channel))
                time.sleep(LOOK)
        ended(target)


@test('strangers: a device is ejected while the guest migrates')
def ejected(env):
    slot = ('-global', 'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off',
            '-device', 'pcie-root-port,id=port1,chassis=1,slot=1')
    card = ('-device', 'virtio-net-pci,id=card,bus=port1')
    source = env.boot('eject', shell=True, extra=(*slot, *card))
    with env.target(shell=True, extra=(*slot, *card)) as target:
        source.cmd('migrate-set-parameters', max_bandwidth=4 << 20)
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{target.listen(source)}')
        wait_until('first packets', 30, lambda: source.migration().get(
            'sev', {}).get('packets', 0) > 100)
        source.shell.must('echo 0 > /sys/bus/pci/slots/1/power')
        source.wait_event('DEVICE_DELETED', 30)
        source.cmd('migrate-set-parameters', max_bandwidth=1 << 30)
        info = source.wait_migration()
        check(info['status'] == 'completed', f'it ended: {info}')
        target.wait_ticks(5)
    source.close()


@test('strangers: called off while the target does not read any more')
def stalled(env):
    with env.booted() as source:
        for _ in range(3):
            with env.target() as target:
                source.cmd('migrate-set-parameters', max_bandwidth=64 << 20)
                source.cmd('migrate',
                           uri=f'tcp:127.0.0.1:{target.listen(source)}')
                wait_until('first packets', 30, lambda: source.migration().get(
                    'sev', {}).get('packets', 0) > 100)
                os.kill(target.vm.get_pid(), signal.SIGSTOP)
                time.sleep(1)
                source.cmd('migrate_cancel')
                info = source.wait_migration()
                os.kill(target.vm.get_pid(), signal.SIGCONT)
                check(info['status'] == 'cancelled', f'it ended: {info}')
        source.cmd('migrate-set-parameters', max_bandwidth=1 << 30)
