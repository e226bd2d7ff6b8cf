#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the figures of a run: DIR/bench/plots/*.svg and *.png.

    plots.py --build DIR

Bars begin at zero; an axis that is not linear says so; a range is from the least to
the most.  A picture with words that lie on each other, or a series without a value,
is an error: nobody looks at every picture of every run.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
from pathlib import Path

import matplotlib
matplotlib.use('Agg')
# pylint: disable=wrong-import-position
from matplotlib import pyplot           # noqa: E402
from matplotlib.text import Text        # noqa: E402
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: E402

COLOURS = ('#1b6ca8', '#e08e1b', '#4f8f3a', '#9b4f96', '#b33f40', '#6b6b6b')
MARKS = 'osD^vP'
matplotlib.rcParams.update({
    'svg.hashsalt': 'sev-clone', 'font.size': 9, 'axes.titlesize': 10,
    'axes.spines.top': False, 'axes.spines.right': False, 'font.family': 'DejaVu Sans',
    'axes.grid': True, 'grid.color': '#dddddd', 'axes.axisbelow': True,
    'legend.frameon': False})


class Trouble(Exception):
    """A picture that nobody should see."""


class Figures:
    """Values by their names."""

    def __init__(self, figures):
        self.figures = figures

    def values(self, bench, what, variant, at=None):
        for one in self.figures:
            if (one['bench'], one['what'], one['variant'], one['at']) == \
                    (bench, what, variant, at):
                return one['values']
        return []

    def has(self, bench, what):
        return any(one['bench'] == bench and one['what'].startswith(what)
                   for one in self.figures)

    def line(self, bench, what, variant):
        """[(at, values)], sorted."""
        return sorted((one['at'], one['values']) for one in self.figures
                      if (one['bench'], one['what'], one['variant']) ==
                      (bench, what, variant))

    def variants(self, bench, what):
        return list(dict.fromkeys(one['variant'] for one in self.figures
                                  if (one['bench'], one['what']) == (bench, what)))


# --- Shapes ---------------------------------------------------------------------

def spread(values):
    """(median, [[down to the least], [up to the most]])"""
    middle = statistics.median(values)
    return middle, [[middle - min(values)], [max(values) - middle]]


def bars(axes, rows, series, unit):
    """Rows of bars from above; @series is {name: [values of each row]}."""
    if not series or not rows:
        raise Trouble('there is no series')
    height = 0.8 / len(series)
    longest = 0
    for number, (name, lists) in enumerate(series.items()):
        if not any(lists):
            raise Trouble(f'the series "{name}" is empty')
        for row, values in enumerate(lists):
            if not values:
                continue
            middle, around = spread(values)
            longest = max(longest, max(values))
            axes.barh(row + (number + 0.5) * height - 0.4, middle, height * 0.9,
                      xerr=around if len(values) > 1 else None,
                      color=COLOURS[number], error_kw={'lw': 1, 'capsize': 2},
                      label=name if row == min(
                          i for i, v in enumerate(lists) if v) else None)
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(unit)
    axes.grid(axis='y', visible=False)
    if len(series) > 1:
        below(axes, len(series))


def lines(axes, series, across, up, log=''):
    """Series over the x axis, each point with its range."""
    if not series:
        raise Trouble('there is no series')
    for number, (name, points) in enumerate(series.items()):
        if not points:
            raise Trouble(f'the series "{name}" is empty')
        middles = [spread(values) for _, values in points]
        axes.errorbar([at for at, _ in points], [m for m, _ in middles],
                      yerr=[[m[1][side][0] for m in middles] for side in (0, 1)],
                      color=COLOURS[number], marker=MARKS[number], ms=5, capsize=2,
                      label=name)
    for axis, words, scale, limit in (
            (axes.xaxis, across, axes.set_xscale, axes.set_xlim),
            (axes.yaxis, up, axes.set_yscale, axes.set_ylim)):
        if axis.axis_name in log:
            scale('log')
            readable(axis)
            words += ' (logarithmic)' if words else ''
        else:
            limit(0)
        axis.set_label_text(words)
    ticks = sorted({at for points in series.values() for at, _ in points})
    axes.set_xticks(ticks, [f'{at:g}' for at in ticks])
    below(axes, 2)


def readable(axis):
    """A logarithmic axis needs more than one number to be read."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter('{x:g}')
    axis.set_minor_locator(NullLocator())


def below(axes, columns):
    """The legend, where no value can be."""
    axes.legend(loc='upper center', ncol=min(columns, 3), fontsize=8,
                bbox_to_anchor=(0.5, -0.16 * 4 / axes.figure.get_figheight()))


# --- Pictures -------------------------------------------------------------------

def packets(found):
    rows = [('packet seal', 'openssl', 32, 'OpenSSL makes the packet')]
    rows += [('packet seal', who, batch, f'packet, {who}, {batch} at once')
             for who, batches in (('nettle', (1,)), ('ipsec-mb', (1, 8, 32)))
             for batch in batches]
    rows += [(what, 'ipsec-mb', batch, f'{what}_DATA, {batch} at once')
             for what in ('SEND_UPDATE', 'RECEIVE_UPDATE') for batch in (1, 32)]
    rows = [(name, values) for what, who, batch, name in rows
            if (values := found.values('psp', what, who, batch))]
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    bars(axes, [name for name, _ in rows],
         {'a page of 4 KiB': [values for _, values in rows]},
         'nanoseconds of one core for a page; less is better')
    for who, colour in (('nettle', COLOURS[1]), ('ipsec-mb', COLOURS[4])):
        alone = [found.values('psp', f'{what} alone', who, batch)
                 for what, batch in (('CTR', 32), ('HMAC', 32))]
        if all(alone):
            axes.axvline(sum(map(statistics.median, alone)), color=colour, ls='--',
                         label=f'AES-128-CTR and HMAC-SHA256 alone, {who}')
    below(axes, 2)
    axes.set_title('Packets, and what their two primitives cost')
    return figure


def migration(found):
    modes = [name for name in found.variants('migration', 'idle: total')
             if '128 MiB/s' not in name]
    figure, both = pyplot.subplots(1, 2, figsize=(10, 4.8), sharey=True)
    for axes, what, title in zip(both, ('total', 'down'),
                                 ('From begin to end', 'The guest stands still')):
        bars(axes, modes, {load: [found.values('migration', f'{load}: {what}', mode)
                                  for mode in modes]
                           for load in ('idle', 'writing')}, 'milliseconds')
        axes.set_title(title)
    both[1].invert_yaxis()              # shared: each of the two turned it round
    return figure


def clone_times(found):
    kinds = sorted(found.variants('clone', 'tick'), key=lambda name: '10' in name)
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    for number, (what, name) in enumerate((('resume', 'to RESUME'),
                                           ('tick', "to the guest's first tick"))):
        points = [(row, spread(values)) for row, kind in enumerate(kinds)
                  if (values := found.values('clone', what, kind))]
        axes.errorbar([middle for _, (middle, _) in points],
                      [row + 0.2 * number - 0.1 for row, _ in points],
                      xerr=[[around[side][0] for _, (_, around) in points]
                            for side in (0, 1)], fmt=MARKS[number], capsize=2,
                      color=COLOURS[number], label=name)
    axes.set_xscale('log')
    readable(axes.xaxis)
    axes.set_xlabel('milliseconds (logarithmic): median, least and most')
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_title('How long a clone takes')
    below(axes, 2)
    return figure


def clone_memory(found):
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    lines(axes, {kind: found.line('clone', 'memory: pss', kind)
                 for kind in found.variants('clone', 'memory: pss')},
          'guests alive', "MiB of the guest's memory for each (PSS)", log='xy')
    axes.set_title('What a clone costs in memory')
    return figure


def boots(found):
    variants = [v for v in ('base', 'off', 'on') if found.values(
        'tcg', 'boot to poweroff, 1 vCPU: processor', v)]
    names = {'base': 'unpatched QEMU', 'off': 'this one, SEV off', 'on': 'SEV on'}
    rows = [(word, f'boot to poweroff, {word}: processor')
            for word in ('1 vCPU', '4 vCPUs')]
    figure, axes = pyplot.subplots(figsize=(8, 3.6))
    bars(axes, [word for word, _ in rows],
         {names[v]: [found.values('tcg', what, v) for _, what in rows]
          for v in variants}, 'seconds of processor time, boot to poweroff')
    axes.set_title('A boot under TCG')
    return figure


def lane(found):
    names = found.variants('lane', 'seal')
    figure, axes = pyplot.subplots(figsize=(8, 4.4))
    bars(axes, names, {what: [found.values('lane', what, name) for name in names]
                       for what in ('seal', 'open')},
         'nanoseconds for a page of 4 KiB; less is better')
    axes.set_title('The lane: AES-256-GCM by page')
    return figure


def slow_chip(found):
    figure, both = pyplot.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for axes, what, title in zip(both, ('seal', 'load'),
                                 ('A template is sealed', 'A clone is loaded')):
        lines(axes, {method: [(at / 1e3, values) for at, values in
                              found.line('slow-chip', what, method)]
                     for method in ('packets', 'lane')},
              'milliseconds that the secure processor takes for a packet',
              'seconds' if what == 'seal' else '', log='y')
        axes.set_title(title)
    return figure


def kernel_down(found):
    variants = found.variants('kernel', 'down')
    series = {name: found.line('kernel', 'down', name) for name in variants[:6]}
    figure, axes = pyplot.subplots(figsize=(8, 4.8))
    lines(axes, series, 'downtime-limit in ms', 'ms from STOP to RESUME', log='xy')
    limits = sorted({at for points in series.values() for at, _ in points})
    axes.plot(limits, limits, color='#999999', ls=':', label='the limit')
    axes.set_title('How long the guest stands still, 2.5 ms a packet')
    below(axes, 3)
    return figure


# What has to be measured for each: a benchmark, and how its figures' names begin
PICTURES = {'packets': ('psp', 'packet seal', packets), 'lane': ('lane', 'seal', lane),
            'lane-by-delay': ('slow-chip', 'seal', slow_chip),
            'boots': ('tcg', 'boot', boots), 'clone-times': ('clone', 'tick', clone_times),
            'clone-memory': ('clone', 'memory', clone_memory),
            'migration': ('migration', 'idle: total', migration),
            'kernel-downtime': ('kernel', 'down', kernel_down)}


# --- Looking at them --------------------------------------------------------------

def beyond(axes):
    """Labels of ticks outside of the axis' limits: they are there, and not drawn."""
    for labels, limits, side in (
            (axes.get_xticklabels(which='both'), axes.get_xlim(), 0),
            (axes.get_yticklabels(which='both'), axes.get_ylim(), 1)):
        for label in labels:
            if not min(limits) <= label.get_position()[side] <= max(limits):
                yield label


def shown(figure):
    """(words, box) of every text in the picture."""
    renderer = figure.canvas.get_renderer()
    hidden = {label for axes in figure.axes for label in beyond(axes)}
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text not in hidden:
            box = text.get_window_extent(renderer)
            if box.width > 1 and box.height > 1:
                yield text.get_text(), box


def look(figure):
    """Raise Trouble when words lie on words, or outside of the picture."""
    figure.canvas.draw()
    edge = figure.bbox
    words = list(shown(figure))
    for text, box in words:
        if box.x0 < edge.x0 - 1 or box.x1 > edge.x1 + 1 or \
                box.y0 < edge.y0 - 1 or box.y1 > edge.y1 + 1:
            raise Trouble(f'"{text}" is outside of the picture')
    for (one, box), (other, across) in itertools.combinations(words, 2):
        # Words that touch cannot be read either.
        if box.padded(1).overlaps(across.padded(1)):
            raise Trouble(f'"{one}" lies on "{other}"')


def draw(results, folder):
    """{name: why not}, or '' for those that were drawn."""
    found = Figures([one for part in results['parts'].values()
                     for one in part['figures']])
    folder.mkdir(parents=True, exist_ok=True)
    done = {}
    for name, (bench, what, picture) in PICTURES.items():
        for old in folder.glob(f'{name}.???'):
            old.unlink()
        if not found.has(bench, what):
            done[name] = f'{bench} did not measure it'
            continue
        try:
            figure = picture(found)
            figure.tight_layout()
            look(figure)
            figure.savefig(folder / f'{name}.svg', metadata={'Date': None})
            figure.savefig(folder / f'{name}.png', dpi=110)
            done[name] = ''
        except Trouble as error:
            done[name] = f'FAILED: {error}'
        pyplot.close('all')
    return done


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, default=os.environ.get('BUILD', 'build'))
    folder = parser.parse_args().build.resolve() / 'bench'
    results = json.loads((folder / 'results.json').read_text('utf-8'))
    done = draw(results, folder / 'plots')
    for name, why in done.items():
        print(f'  plot       {name}: {why}' if why else
              f'  plot       {folder}/plots/{name}.svg, .png')
    return 1 if any(why.startswith('FAILED') for why in done.values()) else 0


if __name__ == '__main__':
    sys.exit(main())
