#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the functional tests: real guests under TCG, one line per test."""

import argparse
import contextlib
import fcntl
import os
import re
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / 'tests/functional/lib'))

# pylint: disable=wrong-import-position
import registry                         # noqa: E402
import rooms                            # noqa: E402
import workers                          # noqa: E402
from verdict import Failed              # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')),
                        help='the build directory')
    parser.add_argument('--qemu', type=Path, metavar='BINARY',
                        help='another QEMU than the one built there')
    parser.add_argument('--base', type=Path, metavar='BINARY',
                        help='the unpatched base, for the comparison')
    parser.add_argument('--firmware', type=Path, metavar='FILE')
    parser.add_argument('--kernel', default='bookworm', metavar='SUITE')
    parser.add_argument('--filter', default='', metavar='REGEX',
                        help='run the tests whose name matches')
    parser.add_argument('--all', action='store_true',
                        help='the slow ones too')
    parser.add_argument('--no-sev', action='store_true',
                        help='the tests that also hold for ordinary guests')
    parser.add_argument('--silicon', action='store_true',
                        help='with chips that export what real ones do')
    parser.add_argument('--verbose', action='store_true',
                        help='show the sentence of each refusal')
    parser.add_argument('--jobs', type=int, default=1, metavar='N',
                        help='run tests of N modules at a time')
    parser.add_argument('--list', action='store_true')
    return parser.parse_args()


def interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def chosen(args):
    for entry in registry.TESTS:
        if re.search(args.filter, entry['name']):
            if args.all or args.filter or not entry['slow']:
                yield entry


def show(entry, env, verbose):
    """Run one test and print its lines at once; returns the verdict."""
    began = time.monotonic()
    verdict, reason = registry.run_one(entry, env)
    seconds = time.monotonic() - began
    shown = f'skip ({reason})' if verdict == 'skip' else verdict
    text = [f'{shown} {entry["name"]} ({seconds:.1f} s)']
    said, registry.SAID[:] = list(registry.SAID), []
    text += [f'    "{sentence}"' for sentence in said if verbose]
    if verdict == 'not ok':
        lines = reason.strip().splitlines() or ['no reason']
        text += [f'    {line}' for line in lines[:1] + lines[1:][-1:]]
    sys.stdout.write('\n'.join(text) + '\n')
    sys.stdout.flush()
    return verdict


def work(args, folder, tests):
    """Run tests with guests of their own below @folder; counts the verdicts."""
    counts = {'ok': 0, 'not ok': 0, 'skip': 0}
    with contextlib.closing(registry.Env(args, folder)) as env:
        try:
            for entry in tests:
                counts[show(entry, env, args.verbose)] += 1
        except KeyboardInterrupt as signalled:
            # Told twice, by a terminal and by run.py: it still ends its guests.
            for number in signal.SIGINT, signal.SIGTERM:
                signal.signal(number, signal.SIG_IGN)
            counts['not ok'] += 1
            print(f'not ok interrupted {signalled}'.rstrip(), flush=True)
    return counts


def run(args, folder, tests):
    """Run them all in @folder; the exit code."""
    registry.clear(folder)
    try:
        done = workers.run(lambda number, turn: work(
            args, folder / str(number) if number else folder, turn),
            tests, args.jobs)
    except Failed as error:
        sys.exit(f'error: {error}')
    ok, bad, skipped = (sum(counts[verdict] for counts in done if counts)
                        for verdict in ('ok', 'not ok', 'skip'))
    if None in done:
        print('not ok a worker ended badly')
        bad += 1
    if bad:
        print(f'Screens and logs: {folder}')
    print(f'{ok} passed, {bad} failed, {skipped} skipped')
    return 1 if bad or not ok else 0


@contextlib.contextmanager
def alone(folder):
    """No other run.py works in @folder, and so clears it, before this one is over."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + '.lock'), 'w', encoding='utf-8') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f'error: another run.py works in {folder}: wait for it, or say '
                     '--build with another folder')
        yield


def main():
    args = arguments()
    rooms.load()
    tests = list(chosen(args))
    if args.list:
        for entry in tests:
            print(entry['name'])
        return 0
    signal.signal(signal.SIGTERM, interrupted)
    folder = args.build.resolve() / 'functional'
    with alone(folder):
        return run(args, folder, tests)


if __name__ == '__main__':
    sys.exit(main())
