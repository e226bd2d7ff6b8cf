#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot SEV guests of many shapes and print a table; or one shape many times.

    matrix.py --build DIR                     every row
    matrix.py --build DIR --core              the rows that "make check" boots
    matrix.py --build DIR --filter 'pc.*max'  the rows whose name matches
    matrix.py --build DIR --repeat 50         four vCPUs, 50 boots in a row
    matrix.py --build DIR --es ...            SEV-ES guests: their rows, or boots
"""

import argparse
import contextlib
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / 'lib'))

# pylint: disable=wrong-import-position
import registry                         # noqa: E402
import rows                             # noqa: E402
from sevlib import ROOT, Lab            # noqa: E402
from verdict import BOOT_LIMIT, Failed, Skip     # noqa: E402

HUGE_PAGES = Path('/proc/sys/vm/nr_hugepages')
HUGE_WANTED = 256               # of 2 MiB: the 512 MiB of the row that has them


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--qemu', type=Path, metavar='BINARY')
    parser.add_argument('--core', action='store_true')
    parser.add_argument('--filter', default='', metavar='REGEX')
    parser.add_argument('--repeat', type=int, default=0, metavar='COUNT')
    parser.add_argument('--jobs', type=int, default=1,
                        help='guests at the same time')
    parser.add_argument('--limit', type=int, default=BOOT_LIMIT, metavar='SECONDS',
                        help='for a boot; more on a machine that is busy otherwise')
    parser.add_argument('--es', action='store_true', help='SEV-ES guests')
    parser.add_argument('--no-sev', action='store_true',
                        help='the same boots of ordinary guests')
    return parser.parse_args()


@contextlib.contextmanager
def huge_pages():
    """As many as the row needs, if this machine and user can have them."""
    before = None
    with contextlib.suppress(OSError, ValueError):
        before = int(HUGE_PAGES.read_text())
        if before < HUGE_WANTED:
            HUGE_PAGES.write_text(f'{HUGE_WANTED}\n')
    try:
        yield
    finally:
        if before is not None:
            with contextlib.suppress(OSError):
                HUGE_PAGES.write_text(f'{before}\n')


def one(lab, host, number, wanted, limit):
    """(verdict, reason, seconds) of one row."""
    began = time.monotonic()
    verdict, reason = 'ok', wanted.refused and 'refused in words'
    try:
        if wanted.shape.backend == 'hugetlb' and \
                int(HUGE_PAGES.read_text()) < HUGE_WANTED:
            raise Skip(f'no {HUGE_WANTED} huge pages to be had')
        rows.run(lab, host, f'row-{number:02d}', wanted, limit)
    except Skip as skip:
        verdict, reason = 'skip', str(skip)
    except Exception as error:          # one row's, not the table's
        verdict, reason = 'not ok', f'{type(error).__name__}: {error}'
        if isinstance(error, Failed):
            reason = str(error)
    return verdict, reason, time.monotonic() - began


def table(lab, host, wanted, args):
    """Run rows, print them in order; {verdict: count}."""
    widths = [max(len(str(cell)) for cell in column)
              for column in zip(rows.COLUMNS, *(r.cells() for r in wanted))]

    def line(cells, *rest):
        print('  '.join(str(cell).ljust(width)
                        for cell, width in zip(cells, widths)), *rest,
              sep='  ', flush=True)

    counts = {'ok': 0, 'not ok': 0, 'skip': 0}
    line(rows.COLUMNS, ' time', 'result')
    with ThreadPoolExecutor(args.jobs) as pool:
        done = [pool.submit(one, lab, host, number, row, args.limit)
                for number, row in enumerate(wanted, 1)]
        try:
            for row, future in zip(wanted, done):
                verdict, reason, seconds = future.result()
                counts[verdict] += 1
                line(row.cells(), f'{seconds:5.1f}',
                     f'{verdict} ({reason})' if reason else verdict)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return counts


def main():
    args = arguments()
    if args.repeat:
        wanted = [rows.ES_FOUR_VCPUS if args.es else rows.FOUR_VCPUS] * args.repeat
    else:
        wanted = [row for row in (rows.ES_ROWS if args.es else rows.ROWS)
                  if (row.core or not args.core)
                  and re.search(args.filter, row.name())]
    folder = args.build.resolve() / (
        ('functional-repeat' if args.repeat else 'functional-matrix')
        + ('-es' if args.es else ''))
    registry.clear(folder)
    began = time.monotonic()
    try:
        with Lab(folder, args.build.resolve(), args.qemu,
                 sev=not args.no_sev) as lab, huge_pages():
            host = lab.host('a')
            counts = table(lab, host, wanted, args)
    except Failed as error:
        sys.exit(f'error: {error}')
    if counts['not ok']:
        print(f'Screens and logs: {folder}')
    print(f'{counts["ok"]} passed, {counts["not ok"]} failed, '
          f'{counts["skip"]} skipped in {time.monotonic() - began:.0f} s')
    return 1 if counts['not ok'] or not counts['ok'] else 0


if __name__ == '__main__':
    sys.exit(main())
