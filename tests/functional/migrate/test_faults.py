# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration fails at every step, in every way; the guest runs on.

faults.py has the matrix; make check-faults runs all of it and prints it.
"""

import faults
import faultsteps
from registry import SAID, test
from verdict import check


def run_rows(env, which):
    """Run rows; every one is tried, the error names those that failed."""
    failed = []
    for result in faults.run(env, faults.rows(which)):
        line = (f'{result.way}: {result.point}, {result.event}: '
                f'{result.source}; '
                f'{result.said}; {result.target}')
        SAID.append(line)
        if not result.good:
            failed.append(line)
    check(not failed, f'{len(failed)} rows: ' + '; '.join(failed))


@test('faults: every point has its rows')
def points(env):
    with env.booted() as guest:
        said = set(faults.points(guest))
    known = faultsteps.points()
    check(said == known, f'points without a row, or rows without a point: '
          f'{sorted(said ^ known)}')


@test('faults: the core of the matrix')
def core(env):
    run_rows(env, 'core')


@test('faults: every step, every event', slow=True)
def every(env):
    run_rows(env, 'all')
