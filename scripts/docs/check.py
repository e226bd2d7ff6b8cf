#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the commands of the documents as a reader would; one line for each block.

usage: check.py [--build DIR] [--root DIR] [--list] [FILE...]

Blocks and their marks: scripts/docs/blocks.py.  Each page has a folder of its own, which
is HOME and holds links to what the page calls vmlinuz, initrd.img, scripts, tools and
tests; PATH begins with the programs below --root, which 'make install' has put there.
QMP commands are compared with the schema of that QEMU; names in the text (targets of
make, files of this repository) with what is there.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from blocks import blocks, where

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / 'scripts/packaging'))

from features import Monitor            # pylint: disable=C0413
LIMIT = 400                 # seconds for a block; the machine may be busy
GRACE = 10                  # seconds from SIGINT to SIGKILL


def pages():
    """README.md and all documents that git has."""
    listed = subprocess.run(
        ['git', '-C', ROOT, 'ls-files', '-co', '--exclude-standard', 'README.md',
         'docs/*.md', 'docs/*.rst'], capture_output=True, text=True, check=True)
    return sorted(set(listed.stdout.split()))


def with_values(lines, words):
    """@lines, in which the WORDs of 'with' have their values."""
    for word, value in re.findall(r'(\w+)=(\$\(.*\)|\S+)', words):
        lines = [re.sub(rf'\b{word}\b', lambda _, v=value: v, line)
                 for line in lines]
    return lines


class Sandbox:
    """What the commands of one page find."""

    def __init__(self, build, root, folder):
        self.folder = Path(folder)
        guest = build / 'guest/bookworm'
        for name, target in {
                'vmlinuz': guest / 'vmlinuz', 'initrd.img': guest / 'initrd.img',
                **{part: ROOT / part for part in ('scripts', 'tools', 'tests')},
        }.items():
            (self.folder / name).symlink_to(target)
        (self.folder / 'run').mkdir(mode=0o700)
        lane = sorted(root.glob('**/sev-lane.bin'))
        self.env = {
            'HOME': str(folder), 'XDG_RUNTIME_DIR': str(self.folder / 'run'),
            'PATH': f'{root}/usr/bin:{os.environ["PATH"]}',
            'LANG': 'C.UTF-8', 'SOURCE': str(ROOT), 'BUILD': str(build),
            'LANE': str(lane[0]) if lane else '/none',
            'SEV_PSP_DIR': str(self.folder / 'platform'),
            'SEV_CLONE_QEMU': f'{root}/usr/bin/qemu-system-x86_64'}

    def run(self, block):
        """None, or why the block failed."""
        lines = with_values(block.lines, block.marks.get('with', ''))
        first = block.marks.get('first', 'true')
        script = f'set -e\n{first}\n' + '\n'.join(lines) + '\n'
        until = block.marks.get('until')
        log = self.folder / '.said'
        with open(log, 'wb') as out:
            child = subprocess.Popen(
                ['bash', '-c', script], cwd=self.folder, env=self.env,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True)
            try:
                return self.verdict(block, child, log, until)
            finally:
                self.end(child)

    @staticmethod
    def verdict(block, child, log, until):
        stop = time.monotonic() + LIMIT
        while time.monotonic() < stop:
            code = child.poll()
            said = log.read_text('utf-8', 'replace')
            if until and until in said:
                return None
            if code is not None:
                if until:
                    return f'it ended without "{until}": {tail(said)}'
                wanted = int(block.marks.get('exit', 0))
                return None if code == wanted else \
                    f'exit code {code} instead of {wanted}: {tail(said)}'
            time.sleep(0.2)
        return f'not done after {LIMIT} s: {tail(said)}'

    def close(self):
        """Ends the clones that the page left, and removes all of its files."""
        def clone(*words):
            return subprocess.run(['sev-clone', *words], env=self.env,
                                  cwd=self.folder, capture_output=True,
                                  text=True, check=False).stdout
        for template in json.loads(clone('list', '--json') or '[]'):
            clone('stop', template['name'])
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def end(child):
        """Ends what the block left in its session, politely at first."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            stop = time.monotonic() + GRACE
            while child.poll() is None and time.monotonic() < stop:
                try:
                    os.killpg(child.pid, number)
                except ProcessLookupError:
                    break
                time.sleep(0.5)


def tail(said):
    lines = [line for line in said.replace('\r', '').split('\n') if line.strip()]
    return ' / '.join(lines[-2:])[-300:]


# --- QMP ---------------------------------------------------------------------


def schema(qemu):
    """{command: names of its arguments}, as this QEMU says."""
    monitor = Monitor(qemu)
    types = {entry['name']: entry for entry in monitor.cmd('query-qmp-schema')}
    monitor.close()
    return {name: {member['name'] for member in
                   types[entry['arg-type']].get('members', ())}
            for name, entry in types.items() if entry['meta-type'] == 'command'}


def qmp_complaints(block, commands):
    """What is wrong with the commands of @block."""
    text = '\n'.join(re.sub(r'\s# .*', '', line) for line in block.lines)
    for name, words in re.findall(r'^([\w-]+)((?:.|\n(?=[ \t]))*)', text, re.M):
        words = words.strip()
        if name not in commands:
            yield f'QMP has no command "{name}"'
        elif words[:1] in ('{', '['):
            try:
                given = json.loads(words)
            except ValueError as error:
                yield f'{name}: {error}'
                continue
            names = set(given) if isinstance(given, dict) else set()
            for extra in sorted(names - commands[name]):
                yield f'{name} has no argument "{extra}"'


# --- Names in the text -------------------------------------------------------


def name_complaints(page, text, targets):
    """Targets of make, and files of this repository, that are not there."""
    for number, line in enumerate(text.splitlines(), 1):
        for span in re.findall(r'`+([^`]+)`+', line):
            for name in re.findall(r'(?<![\w/-])(?<!sev-clone )make ([a-z][\w-]*)', span):
                if name not in targets:
                    yield f'{page}:{number}: there is no "make {name}"'
            for name in re.findall(r'^(?:scripts|tools|tests|integration|docs)/[\w./-]+',
                                   span):
                if not (ROOT / name).exists() and not list(ROOT.glob(
                        name + '*')):
                    yield f'{page}:{number}: there is no {name}'


def make_targets():
    text = (ROOT / 'Makefile').read_text('utf-8')
    return set(re.findall(r'^([\w-]+):', text, re.M))


# -----------------------------------------------------------------------------


def check(page, args, commands):
    """Runs one page; returns how many of its blocks failed."""
    failed, text = 0, (ROOT / page).read_text('utf-8')
    for problem in name_complaints(page, text, make_targets()):
        print(f'not ok {problem}', flush=True)
        failed += 1
    sandbox = Sandbox(args.build, args.root,
                      tempfile.mkdtemp(prefix='check-docs-'))
    try:
        for block in blocks(page, text):
            why = block.marks.get('not run')
            name = f'{where(block)} {block.first().split("  ")[0]}'
            if block.language == 'text':
                continue
            if why:
                print(f'skip   {name} # {why}', flush=True)
                continue
            began = time.monotonic()
            problem = '; '.join(qmp_complaints(block, commands)) \
                if block.language == 'qmp' else sandbox.run(block)
            failed += bool(problem)
            spent = time.monotonic() - began
            print(f'not ok {name}: {problem}' if problem else
                  f'ok     {name} ({spent:.0f} s)', flush=True)
    finally:
        sandbox.close()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--build', type=Path,
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--root', type=Path, help='where it was installed')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('pages', nargs='*', metavar='FILE')
    args = parser.parse_args()
    args.build = args.build.absolute()
    args.root = args.root or args.build / 'check-docs'
    wanted = args.pages or pages()
    if args.list:
        for page in wanted:
            for block in blocks(page, (ROOT / page).read_text('utf-8')):
                print(f'{where(block)} {block.language} {shlex.quote(block.first())}')
        return 0
    commands = schema(args.root / 'usr/bin/qemu-system-x86_64')
    failed = sum(check(page, args, commands) for page in wanted)
    print('every block does what its page says' if not failed else
          f'{failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
