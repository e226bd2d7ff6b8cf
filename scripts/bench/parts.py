# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmarks of "make bench": how each is started, and what reads its result."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import figures

BENCH = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Part:
    """Started as words + full or quick; @read makes figures of what it wrote.

    A program in C is run once for each round, after one that does not count, and its
    texts are read.  One in Python does its own rounds and writes JSON.
    """
    name: str
    words: tuple
    full: tuple
    quick: tuple
    read: Callable
    text: bool = False
    rounds: str = ''            # the option that says how many
    default: int = 5
    minutes: int = 1            # on two quiet cores, for the full one
    kvm: bool = False           # nothing of it runs without /dev/kvm


def script(path):
    return (sys.executable, str(BENCH / path), '--build', '{build}')


PARTS = (
    Part('psp', ('{build}/lib/scripts/bench/psp/bench-psp',), ('0.3',), ('0.05',),
         figures.psp, text=True, minutes=2),
    Part('lane', ('{build}/lib/scripts/bench/lane/bench-lane',
                  '{build}/lib/lane/sev-lane.bin'), ('300',), ('20',),
         figures.lane, text=True, minutes=4),
    Part('slow-chip', script('lane/bench-slow-chip.py'), ('--vcpus', '1'),
         ('--vcpus', '1', '--delays', '0,500', '--no-live', '--clones', '1'), figures.slow_chip,
         rounds='--rounds', default=3, minutes=24),
    Part('tcg', script('tcg.py'), (), ('--load', '2'), figures.tcg,
         rounds='--rounds', default=7, minutes=20),
    Part('clone', script('clone/bench-clone.py'), ('--boots', '5'),
         ('--boots', '1', '--alive', '1', '4'), figures.clone,
         rounds='--runs', default=30, minutes=10),
    Part('migration', script('migration/bench-migration.py'), (),
         ('--memory', '512', '--fill', '256', '--delay', '50'), figures.migration,
         rounds='--rounds', minutes=20),
    Part('kernel', script('kernel/bench-kernel.py'), (),
         ('--only', 'busy', '--memory', '4'), figures.kernel,
         rounds='--rounds', default=3, minutes=13, kvm=True),
)


def needs(part):
    """What this machine lacks for a benchmark, or None."""
    if part.kvm and not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return 'there is no /dev/kvm that this user may open'
    return None
