# SPDX-License-Identifier: GPL-2.0-or-later
"""What Kata's "path" names: the arguments that qemu-kata gives to QEMU."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from registry import test
from sevlib import ROOT
from verdict import check

sys.path.insert(1, str(ROOT / 'integration/kata'))
import player                           # noqa: E402
import process                          # noqa: E402

CASES = ('ordinary-4.1.0', 'sev-by-machine-4.1.0', 'sev-3.18.0',
         'sev-4.1.0-snp-host')


@contextlib.contextmanager
def parrot(words='"$@"'):
    """qemu-kata beside a "QEMU" that prints its arguments, one a line."""
    with tempfile.TemporaryDirectory(prefix='kata.') as folder:
        program = Path(folder, 'parrot')
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {words}\n', 'utf-8')
        program.chmod(0o755)
        path = process.installed(Path(folder, 'bin'), program, player.WRAPPER)

        def ask(*arguments, **environ):
            return subprocess.run(
                [path, *arguments], check=True, text=True, env=environ,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ).stdout.splitlines()
        yield ask


@test('kata: qemu-kata gives QEMU what the recorded runs had', sev=False)
def wrapper(_env):
    with parrot() as ask:
        for case in CASES:
            for role in ('template', 'clone'):
                said = player.recorded(case, role)
                whole = (player.LINES / f'{case}.{role}').read_text('utf-8')
                want = whole.replace('host,pmu=off', 'max,pmu=off')
                check(ask(*said) == want.splitlines(),
                      f'{case}.{role}: QEMU is given {ask(*said)}')


@test('kata: qemu-kata does not touch what is given', sev=False)
def given(_env):
    machine = ['-machine', 'q35,accel=kvm,accel=tcg,'
               'confidential-guest-support=sev']
    with parrot() as ask:
        hardware = [word.replace(',accel=tcg', '')
                    for word in player.recorded(CASES[-1], 'clone')]
        check(ask(*hardware) == hardware, 'arguments under KVM are changed')
        for kept in (['-object', 'sev-guest,policy=0x1,id=sev', '-bios', 'f'],
                     ['-object', '{"id":"sev","qom-type":"sev-guest"}',
                      '-drive', 'file=f,if=pflash']):
            said = [*machine, *kept, '-cpu', 'EPYC-v4', '']
            check(ask(*said) == said, f'{kept} is changed')
        flash = 'if=pflash,format=raw,readonly=on,file='
        said = ask(*machine, QEMU_KATA_CODE='/a b/c', QEMU_KATA_VARS='v')
        check(said == ['-object', 'sev-guest,id=sev', '-drive',
                       f'{flash}/a b/c', '-drive', f'{flash}v', *machine],
              f'with firmware of our own QEMU is given {said}')


@test('kata: one identity, whoever starts qemu-kata', sev=False)
def identity(_env):
    system = Path('/var/lib/sev-psp')
    own = system.exists() and system.stat().st_uid == os.geteuid()
    with parrot('"$SEV_PSP_DIR"') as ask:
        said = player.recorded(CASES[1], 'clone')
        want = '' if own else '/var/lib/sev-psp-kata'
        for environ in ({}, {'HOME': '/root'}, {'HOME': '/nowhere'}):
            check(ask(*said, **environ) == [want],
                  f'with {environ} the folder is {ask(*said, **environ)}')
        check(ask(*said, SEV_PSP_DIR='/a') == ['/a'], 'SEV_PSP_DIR is lost')
        check(ask(*player.recorded(CASES[0], 'clone')) == [''],
              'an ordinary guest is given an identity')
