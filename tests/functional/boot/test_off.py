# SPDX-License-Identifier: GPL-2.0-or-later
"""With SEV off, nothing is different from the unpatched base."""

import hashlib

from golden import Tiny
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

BOOTS = 5


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


def base_binary(env):
    base = env.args.base or env.lab.build / 'base/obj/qemu-system-x86_64'
    if not base.exists():
        raise Skip('no unpatched base; make it with '
                   '"tests/functional/build-base.sh"')
    return base


@test('SEV off: the stream is byte for byte the base\'s', sev=False)
def same_stream(env):
    base = base_binary(env)
    for number, machine in enumerate(MACHINES):
        ours = stream(env, env.lab.binary, f'ours-{number}', machine)
        theirs = stream(env, base, f'base-{number}', machine)
        check(len(ours) > 10000, f'a stream of {len(ours)} bytes')
        check(ours == theirs, f'{" ".join(machine)}: '
              f'{hashlib.sha256(ours).hexdigest()[:16]}, the base '
              f'{hashlib.sha256(theirs).hexdigest()[:16]}')


@test('SEV off: a guest of a guest (SVM) runs', sev=False)
def nested(env):
    firmware = env.lab.build / 'guest/bookworm/nested.fd'
    with Tiny(env.lab, env.name('nested'), None, firmware=firmware,
              sev=False) as guest:
        wait_until('the exit code', 60,
                   lambda: guest.screen.read_bytes().endswith(b'\n'))
        said = guest.screen.read_text('ascii')
    # 0x81: it got as far as its VMMCALL.
    check(said == 'in 00000081\n', f'it printed {said!r}')


@test('SEV off: an ordinary guest boots as fast as on the base', sev=False,
      slow=True)
def same_speed(env):
    """Interleaved, so that whatever else the machine does hits both."""
    times = {env.lab.binary: [], base_binary(env): []}
    ours, base = times
    try:
        for turn in range(BOOTS):
            for binary in times:
                env.lab.binary = binary
                guest = env.start(f'speed-{turn}', sev=False, ram_file=False)
                guest.wait_text(r'^UP ')
                times[binary].append(guest.cpu_seconds())
                guest.close()
    finally:
        env.lab.binary = ours
    ratio = min(times[ours]) / min(times[base])
    check(ratio < 1.10, f'{ratio:.2f} times the base\'s CPU time to userspace: '
          f'{min(times[ours]):.2f} s, {min(times[base]):.2f} s')
