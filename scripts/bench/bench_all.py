#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run every benchmark, one after the other, and keep what they say.

    bench_all.py --build DIR              all, as "make bench" does
    bench_all.py --build DIR --quick      few rounds of small guests, to see that it works
    bench_all.py --build DIR --only psp,clone --rounds 3
                                          these; of the others, the last run's are kept
    bench_all.py --build DIR --check      compare the last run with the baseline
    bench_all.py --build DIR --accept     the last run becomes the baseline, and its plots
                                          those that the documents show

DIR/bench has results.json (the machine, the versions, every value), results.csv
(medians with the least and the most), a log of each benchmark, and plots.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import figures
import ratios
from parts import PARTS, needs

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name('baseline.json')
IMAGES = ROOT / 'docs/images'
FORMAT = 1
MISSED = 1              # exit code of a benchmark whose aim was missed


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--only', default='', metavar='NAME,...',
                        help=', '.join(part.name for part in PARTS))
    parser.add_argument('--rounds', type=int, metavar='N', help='of each')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--accept', action='store_true')
    return parser.parse_args()


# --- The machine ----------------------------------------------------------------

def said(*words):
    """The first line that a program prints, or None when it is not there."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return (done.stdout.splitlines() or [None])[0]


def machine():
    cpu = re.search(r'^model name\s*: (.*)', Path('/proc/cpuinfo').read_text(), re.M)
    memory = re.search(r'^MemTotal: +(\d+)', Path('/proc/meminfo').read_text(), re.M)
    return {'cpu': cpu and cpu[1], 'cpus': os.cpu_count(),
            'memory_mib': int(memory[1]) >> 10, 'linux': platform.release(),
            'kvm': os.access('/dev/kvm', os.R_OK | os.W_OK),
            'virtual': said('systemd-detect-virt')}


def commit():
    return said('git', '-C', ROOT, 'describe', '--always', '--dirty')


def stamp():
    return datetime.datetime.now().astimezone().isoformat(timespec='seconds')


def versions(build):
    return {'ours': said(build / 'obj/qemu-system-x86_64', '--version'),
            'base': said(build / 'base/obj/qemu-system-x86_64', '--version'),
            'commit': commit(), 'compiler': said('cc', '--version'),
            'openssl': said('openssl', 'version')}


# --- Running --------------------------------------------------------------------

class Failed(Exception):
    """A benchmark that did not come to its end."""


class Screen:
    """One line for each benchmark, and on a terminal what the running one says."""

    def __init__(self, count):
        self.count, self.number, self.live = count, 0, sys.stdout.isatty()

    def begin(self, part):
        self.number += 1
        self.title = f'[{self.number}/{self.count}] {part.name:10}'
        self.began = time.monotonic()
        print(f'{self.title} about {part.minutes} min when nothing else runs',
              end='' if self.live else '\n', flush=True)

    def leave_out(self, part, lacks):
        self.number += 1
        print(f'[{self.number}/{self.count}] {part.name:10} left out: {lacks}',
              flush=True)

    def note(self, text):
        if self.live:
            spent = time.monotonic() - self.began
            print(f'\r\033[K{self.title} {spent:5.0f} s  {text[:60]}', end='',
                  flush=True)

    def end(self, text):
        spent = time.monotonic() - self.began
        print(f'{chr(13) + chr(27) + "[K" if self.live else ""}{self.title} '
              f'{spent:5.0f} s  {text}', flush=True)


def listen(words, log, screen):
    """(exit code, what it printed); every line goes to @log, too."""
    heard = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                          stderr=subprocess.STDOUT, errors='replace') as child:
        for line in child.stdout:
            heard.append(line)
            log.write(line)
            log.flush()
            screen.note(line.replace('\033[K', '').strip())
    return child.returncode, ''.join(heard)


def run_text(part, words, rounds, log, screen):
    """The texts of all rounds but a first one, which warms the machine up."""
    texts = []
    for number in range(rounds + 1):
        log.write(f'--- round {number} of {rounds}\n')
        code, text = listen(words, log, screen)
        if code:
            raise Failed(f'exit code {code}')
        texts.append(text)
    return texts[1:], False


def run_json(part, words, rounds, log, screen):
    output = Path(log.name).with_suffix('.json')
    output.unlink(missing_ok=True)
    words = [*words, part.rounds, str(rounds), '--output', str(output)]
    code, text = listen(words, log, screen)
    if code not in (0, MISSED) or not output.exists():
        last = (text.strip().splitlines() or ['nothing'])[-1]
        raise Failed(f'exit code {code}, it said "{last[:200]}"')
    return json.loads(output.read_text('utf-8')), bool(code)


def run(part, args, folder, screen):
    """What "results.json" has of one benchmark."""
    build = args.build.resolve()
    words = [word.format(build=build)
             for word in part.words + (part.quick if args.quick else part.full)]
    rounds = args.rounds or (2 if args.quick else part.default)
    found = {'began': stamp(), 'commit': commit(), 'rounds': rounds,
             'load_before': os.getloadavg()[0]}
    began = time.monotonic()
    with open(folder / f'{part.name}.log', 'w', encoding='utf-8') as log:
        raw, missed = (run_text if part.text else run_json)(part, words, rounds, log,
                                                            screen)
    found |= {'seconds': round(time.monotonic() - began, 1), 'aims_missed': missed,
              'load_after': os.getloadavg()[0],
              'figures': figures.merged(part.read(raw))}
    if not found['figures']:
        raise Failed('it came to its end without a figure')
    return found


def kept(results, folder):
    """What an earlier run left, when it was as thorough and on this machine.

    Each ratio is of one benchmark, so benchmarks of different hours may lie side by
    side; each says when it ran, and of which commit.
    """
    try:
        before = json.loads((folder / 'results.json').read_text('utf-8'))
    except (FileNotFoundError, ValueError):
        return {}
    same = all(before.get(key) == results[key] for key in ('format', 'quick')) and \
        all(before['machine'].get(key) == results['machine'][key]
            for key in ('cpu', 'cpus', 'kvm'))
    return before['parts'] if same else {}


def run_all(args, folder):
    """(results, whether all came to their end)"""
    wanted = [part for part in PARTS
              if not args.only or part.name in args.only.split(',')]
    unknown = set(filter(None, args.only.split(','))) - {p.name for p in PARTS}
    if unknown:
        sys.exit(f'error: there is no benchmark "{min(unknown)}"; there are: '
                 + ', '.join(part.name for part in PARTS))
    screen, good = Screen(len(wanted)), True
    results = {'format': FORMAT, 'quick': args.quick, 'machine': machine(),
               'versions': versions(args.build.resolve()), 'began': stamp(),
               'parts': {}}
    if args.only:
        results['parts'] = kept(results, folder)
    for part in wanted:
        results['parts'].pop(part.name, None)
        lacks = needs(part)
        if lacks:
            screen.leave_out(part, lacks)
            continue
        screen.begin(part)
        try:
            found = run(part, args, folder, screen)
        except Failed as error:
            screen.end(f'FAILED: {error}; see {folder / part.name}.log')
            good = False
            continue
        results['parts'][part.name] = found
        screen.end(f'{len(found["figures"])} figures, load '
                   f'{found["load_before"]:.1f} to {found["load_after"]:.1f}'
                   + (', an aim was MISSED' if found['aims_missed'] else ''))
        write(results, folder)
    write(results, folder)      # also when nothing new came to its end
    return results, good


# --- Results --------------------------------------------------------------------

def figures_of(results):
    return [one for part in results['parts'].values() for one in part['figures']]


def write(results, folder):
    """After each benchmark, so that a run that is broken off leaves what it has."""
    results['ratios'] = ratios.all_of(figures_of(results))
    (folder / 'results.json').write_text(json.dumps(results, indent=1) + '\n', 'utf-8')
    with open(folder / 'results.csv', 'w', encoding='utf-8', newline='') as file:
        out = csv.writer(file)
        out.writerow(('bench', 'what', 'variant', 'at', 'unit', 'rounds', 'median',
                      'least', 'most'))
        for one in figures_of(results):
            values = one['values']
            out.writerow((one['bench'], one['what'], one['variant'],
                          '' if one['at'] is None else one['at'], one['unit'],
                          len(values), *(f'{value:.6g}' for value in (
                              statistics.median(values), min(values), max(values)))))


def last(folder):
    try:
        results = json.loads((folder / 'results.json').read_text('utf-8'))
    except FileNotFoundError:
        sys.exit(f'error: {folder} has no results.json; run "make bench" first')
    if results.get('format') != FORMAT:
        sys.exit(f'error: {folder}/results.json has format '
                 f'{results.get("format")}, not {FORMAT}; run "make bench" again')
    return results


def show_ratios(found):
    print(f'\n{"ratio":94} {"median":>7} {"least":>7} {"most":>7}')
    for name, one in found.items():
        print(f'{name:94} {one["median"]:7.3f} {one["least"]:7.3f} {one["most"]:7.3f}')


def check(results, baseline=BASELINE):
    """Whether nothing became worse than the baseline, by more than the noise."""
    if results['quick']:
        sys.exit('error: the last run was a quick one, which says nothing of speed; '
                 'run "make bench" without QUICK')
    try:
        then = json.loads(baseline.read_text('utf-8'))
    except FileNotFoundError:
        sys.exit(f'error: there is no baseline ({baseline.name}); "make bench-check '
                 'ACCEPT=1" makes one of the last run')
    for what in ('cpu', 'cpus'):
        if results['machine'][what] != then['machine'][what]:
            print(f'note: {what} is {results["machine"][what]}, the baseline\'s was '
                  f'{then["machine"][what]}')
    now = results['ratios']
    for name in then['ratios']:
        if name not in now:
            print(f'not measured: {name}')
    moved = ratios.moved(now, then['ratios'])
    for name, before, after, change, noise in moved:
        print(f'{"WORSE" if change > 0 else "better"}: {name}: {before:.3f}, now '
              f'{after:.3f} ({change:+.1%}; noise {noise:.1%})')
    compared = len(set(now) & set(then['ratios']))
    print(f'{compared} ratios compared, {len(moved)} moved by more than their noise')
    return bool(compared) and not any(change > 0 for *_, change, _ in moved)


def show_in_documents(folder):
    """The plots that documents show are those of the baseline's run."""
    for plot in sorted((folder / 'plots').glob('*.svg')):
        lines = plot.read_text('utf-8').splitlines()
        (IMAGES / f'bench-{plot.name}').write_text(
            ''.join(f'{line.rstrip()}\n' for line in lines), 'utf-8')


def accept(folder, results):
    if results['quick']:
        sys.exit('error: a quick run is no baseline')
    lacking = [part.name for part in PARTS
               if part.name not in results['parts'] and not needs(part)]
    if lacking:
        sys.exit('error: the last run has nothing of ' + ', '.join(lacking)
                 + '; a baseline is of all benchmarks that this machine can run')
    ran = {name: {key: part[key] for key in ('began', 'commit', 'rounds')}
           for name, part in results['parts'].items()}
    BASELINE.write_text(json.dumps(
        {key: results[key] for key in ('format', 'began', 'machine', 'versions',
                                       'ratios')} | {'ran': ran}, indent=1) + '\n',
        'utf-8')
    show_in_documents(folder)
    print(f'{BASELINE.name} has {len(results["ratios"])} ratios of {results["began"]}')


def main():
    args = arguments()
    folder = args.build.resolve() / 'bench'
    folder.mkdir(parents=True, exist_ok=True)
    if args.accept:
        return accept(folder, last(folder))
    if args.check:
        return 0 if check(last(folder)) else 1
    results, good = run_all(args, folder)
    if not results['parts']:
        return 1
    show_ratios(results['ratios'])
    print(f'\n{folder}/results.json, results.csv')
    plots = subprocess.run([sys.executable, str(ROOT / 'scripts/bench/plots.py'),
                            '--build', str(args.build)], check=False)
    return 0 if good and not plots.returncode else 1


if __name__ == '__main__':
    sys.exit(main())
