#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the failure matrix and print what the guests came to.

usage: faultmatrix.py [--build DIR] [--qemu BINARY] [--core] [--filter REGEX]

One line per row: step, what happens there, where the guest is afterwards,
whether a second migration succeeds, what the source and the target say.  Last
come the numbers of rows by where the guest is; the whole table is kept in
BUILD/faults/table.md.  Exits 0 only if every row ended as it must.
"""

import argparse
import collections
import contextlib
import os
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(1, str(ROOT / 'tests/functional/lib'))

# pylint: disable=wrong-import-position
import rooms                            # noqa: E402
rooms.enter()
import faults                           # noqa: E402
import registry                         # noqa: E402

HEAD = ('way', 'step', 'fault', 'the guest', 'then', 'the source says',
        'the target')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--qemu', type=Path, metavar='BINARY',
                        help='another QEMU than the one built there')
    parser.add_argument('--core', action='store_true',
                        help='the rows that "make check" runs')
    parser.add_argument('--filter', default='', metavar='REGEX',
                        help='rows whose "way side point event" matches')
    return parser.parse_args()


def short(text, most=110):
    """A sentence without what differs from run to run."""
    text = re.sub(r'[0-9a-f]{64}', 'FINGERPRINT', text)
    text = re.sub(r'\b0x[0-9a-f]{4,}\b', '0x...', text)
    text = re.sub(r'127\.0\.0\.1:\d+', 'ADDRESS', text)
    text = re.sub(r'\b\d{3,} (PAGES|BREAK)', r'N \1', text)
    text = re.sub(r'after \d+ of \d+ bytes', 'after N of M bytes', text)
    return text if len(text) <= most else text[:most - 3] + '...'


def cells(result):
    return [result.way, f'{result.side} {result.point}', result.event,
            result.source,
            result.second and 'again: ' + result.second,
            short(result.said), short(result.target)]


def summary(results):
    """How many rows ended in which way, the most frequent first."""
    ends = collections.Counter(
        (r.source, r.second and 'again: ' + r.second) for r in results)
    for (guest, then), count in ends.most_common():
        yield f'{count:>5} rows: the guest {guest}' + (then and f', {then}')


def document(results, path):
    """The whole table of a run."""
    path.write_text('\n'.join([
        '# What a migration that fails leaves behind', '',
        'Made by `make check-faults`.  Each row was run: a fault',
        'point of `target/i386/sev/test/fault.h` was reached, then the event',
        'happened.  "Runs on": the guest counts on where it was, its memory as',
        'it was, and then migrated to a fresh target.  "Moved": it counts on',
        'at the target.', '',
        '| ' + ' | '.join(HEAD) + ' |', '|---' * len(HEAD) + '|',
        *('| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells(r))
          + ' |' for r in results), '']), 'utf-8')


def main():
    args = arguments()
    folder = args.build.resolve() / 'faults'
    registry.clear(folder)
    wanted = [row for row in faults.rows('core' if args.core else 'all')
              if re.search(args.filter, ' '.join(row))]
    args.firmware = None
    args.no_sev, args.kernel = False, 'bookworm'
    env = registry.Env(args, folder)
    began, results, bad = time.monotonic(), [], 0
    print(' | '.join(HEAD))
    with contextlib.closing(env):
        for result in faults.run(env, wanted):
            bad += not result.good
            results.append(result)
            print(('ok      ' if result.good else 'not ok  ')
                  + ' | '.join(cells(result)), flush=True)
    print(f'{len(results)} rows, {bad} failed; '
          f'{time.monotonic() - began:.0f} s; logs in {folder}')
    print('\n'.join(summary(results)))
    document(results, folder / 'table.md')
    return 1 if bad or not results else 0


if __name__ == '__main__':
    sys.exit(main())
