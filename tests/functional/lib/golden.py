#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Golden streams: a guest of 16 MiB, as QEMU once wrote it.

tests/data/sev/golden/NAME has a stream and a template (gzip), the identity they
are sealed to, and what the analyser says about the stream.  The guest is
firmware.bin; it prints '+' as long as its memory is right.

usage: golden.py --build DIR NAME              make a new set
       golden.py --build DIR --template NAME   make the template of a set anew,
                                               as long as it was never released
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / 'tests/data/sev/golden'
ANALYZE = ROOT / 'scripts/analyze-sev-stream.py'
MACHINE = 'pc-q35-10.0'         # a versioned one: QEMU keeps it
LIMIT = 120

# pylint: disable=wrong-import-position
import guest                            # noqa: E402
from verdict import Failed, check, wait_until   # noqa: E402


class Tiny:
    """A QEMU with the tiny guest, or waiting for it."""

    def __init__(self, lab, name, host, incoming=False, machine=MACHINE,
                 cpu='EPYC-v4', mem=16, policy=0x1, extra=(), environment=(),
                 firmware=GOLDEN / 'firmware.bin', sev=True):
        self.lab, self.name, self.mem = lab, name, mem
        self.screen = lab.folder / f'{name}.serial'
        self.screen.write_bytes(b'')
        self.vm = guest.machine(lab, name, host, environment)
        self.vm.add_args(
            '-nodefaults', '-no-user-config', '-accel', 'tcg',
            '-cpu', cpu, '-m', str(mem), '-machine', machine, *(
                ['-machine', 'confidential-guest-support=sev0',
                 '-object', f'sev-guest,id=sev0,policy={policy:#x}']
                if sev else []),
            '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={firmware}',
            '-serial', f'file:{self.screen}', *extra)
        if incoming:
            self.vm.add_args('-incoming', 'defer')

    def __enter__(self):
        guest.launch(self.vm)
        return self

    def __exit__(self, *_):
        self.vm.shutdown(hard=True)

    def log(self):
        path = self.lab.folder / f'{self.name}.log'
        return path.read_text('utf-8', 'replace')

    def cmd(self, command, **arguments):
        try:
            return self.vm.cmd(command, {k.replace('_', '-'): v
                                         for k, v in arguments.items()})
        except Exception as error:
            raise Failed(f'{self.name}: {command}: {error}') from error

    def wait_sound(self, marks=20):
        """@marks more of them, all good."""
        aim = len(self.screen.read_bytes()) + marks
        wait_until(f'{marks} marks from {self.name}', LIMIT,
                   lambda: len(self.screen.read_bytes()) >= aim)
        said = set(self.screen.read_bytes())
        check(said == set(b'+'), f'{self.name} printed {bytes(said)}')

    def wait_migration(self):
        def probe():
            info = self.cmd('query-migrate')
            return info if info.get('status') in ('completed', 'failed') \
                else None
        return wait_until(f'the migration of {self.name}', LIMIT, probe)

    def load(self, path):
        self.cmd('migrate-incoming', uri=f'file:{path}', exit_on_error=False)
        return self.wait_migration()


def identity(lab, name):
    """A host with the identity of a golden set; git keeps no modes."""
    host = lab.host(f'golden-{name}')
    shutil.rmtree(host.folder, ignore_errors=True)
    shutil.copytree(GOLDEN / name / 'identity', host.folder)
    for path in (host.folder, *host.folder.rglob('*')):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return host


def unpacked(lab, name, what):
    path = lab.large(f'golden-{name}-{what}')
    with gzip.open(GOLDEN / name / f'{what}.gz') as packed:
        path.write_bytes(packed.read())
    return path


def analysis(path):
    """What the analyser prints, and whether it finds the stream whole."""
    done = subprocess.run([sys.executable, ANALYZE, path], text=True,
                          capture_output=True, timeout=LIMIT, check=False)
    return done.stdout, done.returncode


def template_of(source, path):
    """Make a template of a guest, which is stopped then."""
    source.wait_sound()
    source.cmd('stop')
    source.cmd('migrate-set-capabilities', capabilities=[
        {'capability': 'sev-template', 'state': True}])
    source.cmd('migrate', uri=f'file:{path}')
    info = source.wait_migration()
    check(info['status'] == 'completed', f'template: {info}')


def keep(folder, path):
    data = gzip.compress(path.read_bytes(), 9, mtime=0)
    (folder / f'{path.name}.gz').write_bytes(data)


def template_again(lab, name):
    path = lab.large('template')
    with Tiny(lab, 'golden-source', identity(lab, name)) as source:
        template_of(source, path)
    keep(GOLDEN / name, path)


def make(lab, name):
    folder = GOLDEN / name
    host = lab.host(f'golden-{name}')
    stream, template = lab.large('stream'), lab.large('template')
    with Tiny(lab, 'golden-source', host) as source:
        template_of(source, template)
        source.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'sev-template', 'state': False}])
        source.cmd('cont')
        source.wait_sound()
        source.cmd('stop')
        source.cmd('migrate', uri=f'file:{stream}')
        info = source.wait_migration()
        check(info['status'] == 'completed', f'stream: {info}')
    folder.mkdir()
    for what in (stream, template):
        keep(folder, what)
    shutil.copytree(host.folder, folder / 'identity',
                    ignore=shutil.ignore_patterns('lock'))
    text, code = analysis(stream)
    check(not code, f'the analyser says: {text[-300:]}')
    (folder / 'records.txt').write_text(text)


def main():
    from sevlib import Lab
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, default=Path(
        os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--template', action='store_true',
                        help='only the template of a set that is there')
    parser.add_argument('name')
    args = parser.parse_args()
    with Lab(args.build.resolve() / 'golden', args.build.resolve()) as lab:
        (template_again if args.template else make)(lab, args.name)


if __name__ == '__main__':
    main()
