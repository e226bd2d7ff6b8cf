# SPDX-License-Identifier: GPL-2.0-or-later
"""With SEV off, nothing is different from the unpatched base."""

import hashlib

from registry import test
from verdict import Skip, check, wait_until

# A machine that has not run: the stream then depends on the binary alone.
STILL = ['-S', '-nodefaults', '-no-user-config', '-accel', 'tcg',
         '-display', 'none', '-vga', 'none', '-m', '64M',
         '-rtc', 'base=2020-01-01,clock=vm', '-seed', '1',
         '-uuid', '00000000-0000-0000-0000-000000000001']
MACHINES = (['-machine', 'q35', '-cpu', 'EPYC-v4'],
            ['-machine', 'pc', '-cpu', 'qemu64', '-smp', '2'],
            ['-machine', 'q35', '-cpu', 'max', '-device', 'virtio-rng-pci',
             '-device', 'virtio-net-pci,romfile='])


def stream(env, binary, name, machine):
    """The bytes this binary writes for a machine that never ran."""
    from qemu.machine import QEMUMachine
    path = env.lab.large(f'{name}.stream')
    with QEMUMachine(str(binary), [*STILL, *machine], name=name,
                     log_dir=str(env.folder)) as vm:
        vm.launch()
        vm.cmd('migrate', uri=f'file:{path}')
        wait_until(f'stream of {binary}', 30, lambda: vm.cmd(
            'query-migrate').get('status') == 'completed')
    data = path.read_bytes()
    path.unlink()
    return data


@test('SEV off: the stream is byte for byte the base\'s', sev=False)
def same_stream(env):
    base = env.args.base or env.lab.build / 'base/obj/qemu-system-x86_64'
    if not base.exists():
        raise Skip('no unpatched base; make it with '
                   '"tests/functional/build-base.sh"')
    for number, machine in enumerate(MACHINES):
        ours = stream(env, env.lab.binary, f'ours-{number}', machine)
        theirs = stream(env, base, f'base-{number}', machine)
        check(len(ours) > 10000, f'a stream of {len(ours)} bytes')
        check(ours == theirs, f'{" ".join(machine)}: '
              f'{hashlib.sha256(ours).hexdigest()[:16]}, the base '
              f'{hashlib.sha256(theirs).hexdigest()[:16]}')
