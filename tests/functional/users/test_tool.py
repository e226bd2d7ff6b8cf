# SPDX-License-Identifier: GPL-2.0-or-later
"""What sev-psp computes is what QEMU's guests have."""

import os
import subprocess
from pathlib import Path

from registry import test
from verdict import Failed, Skip, check

POLICY = '0x1'
# A firmware with a table of hashes; Debian has it from forky on.
AMDSEV = os.environ.get('SEV_OVMF_AMDSEV', '/usr/share/ovmf/OVMF.amdsev.fd')


def sev_psp(env, *words, host=None):
    """Run the tool on a host's identity, A's if none is given."""
    tool = env.lab.build / 'lib/tools/sev-psp/sev-psp'
    if not tool.exists():
        raise Skip('sev-psp is not built; "make check-lib" builds it')
    done = subprocess.run(
        [tool, '--dir', (host or env.host('a')).folder, *words], text=True,
        capture_output=True, timeout=60, check=False)
    if done.returncode not in (0, 3):
        raise Failed(f'sev-psp {words[0]} said: {done.stderr.strip()}')
    return done


def measured_as_computed(env, name, options, words):
    """Launch a guest with an owner's session; sev-psp knows its measurement."""
    folder = env.lab.folder / f'launch-{name}'
    env.host('a').pdh()
    sev_psp(env, 'session', '--policy', POLICY, '--out', str(folder))
    session = {'dh-cert-file': folder / 'dh-cert.base64',
               'session-file': folder / 'session.base64', **options}
    guest = env.lab.guest(name, host=env.host('a'), policy=int(POLICY, 0),
                          session=session, extra=('-S',))
    guest.start()
    try:
        found = guest.cmd('query-sev-launch-measure')['data']
    finally:
        guest.close()
    words = (*words(guest), '--policy', POLICY, '--tik', str(folder / 'tik'),
             '--firmware', str(env.lab.firmware), '--measurement')
    done = sev_psp(env, 'measure', *words, found)
    check(done.returncode == 0, f'sev-psp measure: {done.stdout.strip()}')
    other = ('A' if found[0] != 'A' else 'B') + found[1:]
    check(sev_psp(env, 'measure', *words, other).returncode == 3,
          'sev-psp measure takes another measurement for right')


@test('sev-psp: measure equals what a launched guest has')
def measure(env):
    measured_as_computed(env, 'tool', {}, lambda guest: ())


@test('sev-psp: measure with a lane')
def measure_lane(env):
    image = env.lab.build / 'obj/qemu-bundle'
    image = next(image.rglob('sev-lane.bin'))
    measured_as_computed(env, 'tool-lane', {'lane': 'on'}, lambda guest: (
        '--lane', str(image), '--cbitpos', '51'))


@test('sev-psp: measure with kernel-hashes')
def measure_kernel_hashes(env):
    if not Path(AMDSEV).exists():
        raise Skip('no OVMF.amdsev.fd (package ovmf-amdsev, not in Debian 12);'
                   ' SEV_OVMF_AMDSEV=FILE names one')

    def words(guest):
        args = guest.vm.args
        return ('--kernel', args[args.index('-kernel') + 1],
                '--initrd', args[args.index('-initrd') + 1],
                '--cmdline', args[args.index('-append') + 1])

    firmware, env.lab.firmware = env.lab.firmware, Path(AMDSEV)
    try:
        measured_as_computed(env, 'tool-hashes', {'kernel-hashes': 'on'},
                             words)
    finally:
        env.lab.firmware = firmware
