# SPDX-License-Identifier: GPL-2.0-or-later
"""What each benchmark wrote, as one list of figures.

A figure is {'bench', 'what', 'variant', 'at', 'unit', 'values'}: what was measured of
whom, where on the x axis if there is one, and the value of each round.
"""

import re

MIB = 1 << 20


def figure(bench, what, variant, unit, values, at=None):
    return {'bench': bench, 'what': what, 'variant': str(variant), 'at': at,
            'unit': unit, 'values': [float(value) for value in values]}


def merged(figures):
    """Rounds of the same thing are one figure, in the order of their first."""
    found = {}
    for one in figures:
        key = tuple(one[k] for k in ('bench', 'what', 'variant', 'at', 'unit'))
        if key in found:
            found[key]['values'] += one['values']
        else:
            found[key] = dict(one, values=list(one['values']))
    return list(found.values())


# --- Programs in C: tables of text, one for each round --------------------------

PSP_ROW = re.compile(r'^(\S.{15}) (\S+) +(\d+) +(\d+) +([\d.]+) +[\d.]+ +([\d.]+) ')
LANE_ROW = re.compile(r'^(\S.{31}) +(\d+) ns +[\d.]+ GB/s +[\d.]+x +(\d+) ns')


def psp(rounds):
    """Nanoseconds of one core for a page; other work on the machine costs none."""
    for text in rounds:
        for row in filter(None, map(PSP_ROW.match, text.splitlines())):
            what, who, threads, batch, rate, spent = row.groups()
            if threads == '1':
                yield figure('psp', what.strip(), who, 'ns a page', [spent],
                             int(batch))
            yield figure('psp', f'{what.strip()}, clock, threads {threads}', who,
                         'packets/s', [rate], int(batch))


def lane(rounds):
    """The best batch of each round; rows that are computed from others are left out."""
    for text in rounds:
        for row in filter(None, map(LANE_ROW.match, text.splitlines())):
            name, seal, opened = row.groups()
            yield figure('lane', 'seal', name.strip(), 'ns a page', [seal])
            yield figure('lane', 'open', name.strip(), 'ns a page', [opened])


# --- Benchmarks in Python: JSON -------------------------------------------------

def slow_chip(found):
    for row in found['rows']:
        for what, unit in (('seal', 's'), ('load', 's'), ('live', 's'),
                           ('down', 'ms')):
            if what in row:
                yield figure('slow-chip', what, row['method'], unit, [row[what]],
                             row['us'])


def clone(found):
    for name, times in found['times'].items():
        for what in ('resume', 'tick'):
            values = [time[what] * 1e3 for time in times if what in time]
            if values:
                yield figure('clone', what, name, 'ms', values)
    for name, reads in found['memory'].items():
        for read in reads:
            for what in ('pss', 'process'):
                yield figure('clone', f'memory: {what}', name, 'MiB',
                             [read[what] / MIB], read['count'])


def migration(found):
    for load, modes in found.items():
        for name, hops in modes.items():
            for what, unit, value in (
                    ('total', 'ms', lambda hop: hop['total'] * 1e3),
                    ('down', 'ms', lambda hop: hop['gap'] * 1e3),
                    ('processor', 'us a page',
                     lambda hop: hop['cpu'] * 1e6 / max(hop['pages'], 1)),
                    ('sent', 'MB', lambda hop: hop['sent'] / 1e6)):
                yield figure('migration', f'{load}: {what}', name, unit,
                             map(value, hops))


def kernel(found):
    for row in found.get('busy', ()):
        yield figure('kernel', 'busy', row['line'], '%', [row['busy'] * 100])
        yield figure('kernel', 'total', row['line'], 's', [row['seconds']])
    for row in found.get('cancel', ()):
        yield figure('kernel', 'cancel', row['line'], 'ms', row['all_ms'])
    for row in found.get('downtime', ()):
        name = f'target {row["slower"]} x' + \
            (f', line {row["line"]} x' if row['line'] else '')
        if row['all_gaps_ms']:
            yield figure('kernel', 'down', name, 'ms', row['all_gaps_ms'],
                         row['limit_ms'])


def tcg(found):
    for variant, results in found['results'].items():
        for what, values in results.items():
            unit = 'MiB' if what.startswith('memory') else 's'
            yield figure('tcg', what, variant, unit, values)
