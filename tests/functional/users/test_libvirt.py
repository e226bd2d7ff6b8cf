# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU as libvirt starts it, and libvirt itself where it is installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import guest
from registry import SAID, test
from sevlib import ROOT
from verdict import Failed, Skip, check

SYSTEM = Path('/var/lib/sev-psp')
UNSET = ('-u', 'SEV_PSP_DIR', '-u', 'XDG_STATE_HOME')     # as libvirt does
REMEDY = "as root with 'install -d -m 700 -o "


def no_system_identity():
    if SYSTEM.exists() and SYSTEM.stat().st_uid == os.geteuid():
        raise Skip(f'this machine has a {SYSTEM} of this user')


def refused(env, folder, environment):
    """What a probe hears, and a guest that starts; neither makes anything."""
    vm = guest.machine(env.lab, env.name('probe'), None,
                       [*UNSET, *environment])
    vm.add_args('-machine', 'none', '-accel', 'tcg')
    guest.launch(vm)
    try:
        error = vm.qmp('query-sev-capabilities').get('error', {})
    finally:
        vm.shutdown(hard=True)
    check(error.get('class') == 'GenericError',
          f'query-sev-capabilities: {error or "it answered"}')
    done = subprocess.run(
        ['env', *UNSET, *environment, env.lab.binary,
         '-nodefaults', '-display', 'none', '-accel', 'tcg', '-object',
         'sev-guest,id=sev0', '-machine', 'q35,confidential-guest-support=sev0'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=60)
    check(done.returncode == 1, f'a guest started: {done.returncode}')
    made = [str(p) for p in folder.rglob('sev-psp')]
    check(not made, f'identities were made: {made}')
    for said in (error['desc'], done.stderr):
        check(REMEDY in said, f'no remedy in: {said}')
    SAID.append(error['desc'])
    return error['desc']


@test('identity: none is made in the HOME that libvirt gives a guest')
def guests_home(env):
    no_system_identity()
    home = env.folder / 'libvirt/qemu/domain-7-web'
    home.mkdir(parents=True)
    said = refused(env, home, [f'HOME={home}'])
    check("is removed with this process's guest" in said, said)


@test('identity: none is made for a service without HOME')
def no_home(env):
    no_system_identity()
    said = refused(env, Path('/nonexistent'), ['-u', 'HOME'])
    check('because HOME is not set' in said, said)


@test('sev-snp: what libvirt 11.3 offers is refused in words', sev=False)
def snp(env):
    """It lists SNP for every QEMU that has the object and answers for SEV."""
    done = subprocess.run(
        [env.lab.binary, '-nodefaults', '-display', 'none', '-accel', 'tcg',
         '-object', '{"qom-type":"sev-snp-guest","id":"lsec0","cbitpos":51,'
         '"reduced-phys-bits":1,"policy":196608}',
         '-machine', 'q35,confidential-guest-support=lsec0'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=60)
    check(done.returncode == 1 and 'SEV-SNP is not emulated under TCG' in
          done.stderr and 'Use a sev-guest object' in done.stderr,
          f'{done.returncode}: {done.stderr}')


@test('screendump: a PNG, which is what libvirt asks for', sev=False)
def png(env):
    vm = guest.machine(env.lab, env.name('screen'), None)
    vm.add_args('-machine', 'q35', '-accel', 'tcg', '-S', '-device', 'VGA')
    path = env.folder / 'screen.png'
    guest.launch(vm)
    try:
        said = vm.qmp('screendump', filename=str(path), format='png')
    finally:
        vm.shutdown(hard=True)
    check('return' in said, f'screendump: {said}')
    check(path.read_bytes().startswith(b'\x89PNG'), 'it is not a PNG')


def trial(env, script):
    """Run a trial of integration/libvirt; its lines end up in SAID."""
    done = subprocess.run(
        [sys.executable, '-B', ROOT / 'integration/libvirt' / script,
         '--build', env.args.build.resolve()], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    if done.returncode == 77:
        raise Skip(lines[-1].removeprefix('skip: '))
    if done.returncode:
        raise Failed('; '.join(line for line in lines
                               if not line.startswith('ok ')))
    SAID.extend(lines)


@test('libvirt: two system daemons as installed: save, restart, move, clone')
def system_daemons(env):
    trial(env, 'system.py')


@test('libvirt: two session daemons: start, move, save, reset')
def session_daemons(env):
    trial(env, 'try.py')


@test('libvirt: what the trials need and is missing is said in one line',
      sev=False)
def missing(env):
    folder = env.folder / 'bin'         # a PATH without libvirt
    folder.mkdir(parents=True, exist_ok=True)
    for script in ('try.py', 'system.py'):
        for path, code, words in (
                (os.environ['PATH'], 2, 'error: .* is missing'),
                (folder, 77, 'skip: needs the packages .*')):
            done = subprocess.run(
                [sys.executable, '-B', ROOT / 'integration/libvirt' / script,
                 '--build', '/nonexistent'], text=True, capture_output=True,
                stdin=subprocess.DEVNULL, check=False, timeout=60,
                env={**os.environ, 'PATH': str(path)})
            said = done.stdout + done.stderr
            if code == 2 and done.returncode == 77:
                continue                # libvirt is not here
            check(done.returncode == code and said.count('\n') == 1 and
                  re.match(words, said), f'{script}: {done.returncode}: {said}')
