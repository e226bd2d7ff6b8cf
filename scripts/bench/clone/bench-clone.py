#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clones of an SEV guest, against its cold boot and against stock templating.

One run measures, interleaved: SEV clones (a new process each, and processes
started beforehand), cold boots of the same SEV guest, and what the unpatched
base does with an ordinary guest the way Kata does it.  Times count from just
before exec, or from migrate-incoming where the process waited.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[1:1] = [str(ROOT / 'tools/sev-clone'), str(ROOT / 'integration/kata')]

TEN = ', 10 at a time'

# pylint: disable=wrong-import-position
import kinds                            # noqa: E402
from sevclone import Trouble, measuring, places, ui     # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path,
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--base', type=Path, metavar='BINARY',
                        help='the unpatched QEMU (tests/functional/'
                        'build-base.sh makes one)')
    parser.add_argument('--runs', type=int, default=30,
                        help='clones of each kind, default 30')
    parser.add_argument('--boots', type=int, default=5)
    parser.add_argument('--alive', type=int, nargs='*', default=[1, 10, 100])
    parser.add_argument('--memory', type=int, default=256, metavar='MIB')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='all figures as JSON')
    return parser.parse_args()


def end_all(folder):
    """Whatever still runs of ours, when something went wrong."""
    for proc in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            words = proc.read_bytes()
            if b'qemu' in words and str(folder).encode() in words:
                os.kill(int(proc.parent.name), signal.SIGKILL)


def one_at_a_time(all_kinds, runs):
    """{kind: [times]}; the kinds take turns, so that load hits all alike."""
    took = {kind.name: [] for kind in all_kinds}
    for kind in all_kinds:
        vm, _ = kind.clone()            # not counted: it reads the files
        kind.end(vm)
    for i in range(runs):
        for kind in all_kinds:
            vm, times = kind.clone()
            kind.end(vm)
            took[kind.name].append(times)
        note(f'one at a time {i + 1}/{runs}')
    return took


def side_by_side(kind, count):
    with concurrent.futures.ThreadPoolExecutor(count) as workers:
        began = time.time()
        made = list(workers.map(lambda _: kind.clone(), range(count)))
        whole = time.time() - began
    for vm, _ in made:
        kind.end(vm)
    return [times for _, times in made], whole


def process_pss(pid):
    rollup = Path(f'/proc/{pid}/smaps_rollup').read_text('utf-8')
    return next(int(line.split()[1]) << 10 for line in rollup.splitlines()
                if line.startswith('Pss:'))


def used_by(kind, vms):
    """What each of these costs, once they have settled.

    'pss', 'private': of the guest's memory, its shadow included.  'blocks':
    the PSS by RAM block.  'process': the PSS of all that QEMU has.
    """
    count = len(vms)
    time.sleep(measuring.SETTLE)
    process = sum(process_pss(kind.pid(vm)) for vm in vms)
    read = [measuring.by_block(kind.pid(vm), kind.ramblocks(vm)) for vm in vms]
    pss, private = ({name: sum(r[name][which] for r in read if name in r) / count
                     for name in set().union(*read)} for which in (0, 1))
    return {'count': count, 'pss': sum(pss.values()),
            'private': sum(private.values()), 'blocks': pss,
            'process': process / count}


def memory(kind, count):
    with concurrent.futures.ThreadPoolExecutor(2) as workers:
        made = list(workers.map(lambda _: kind.clone(), range(count)))
    read = used_by(kind, [vm for vm, _ in made])
    for vm, _ in made:
        kind.end(vm)
    return read


def memory_booted(sev, count):
    """The same of guests that were booted one by one."""
    with sev.booted(count) as vms:
        return used_by(sev, vms)


def note(text):
    if sys.stderr.isatty():
        sys.stderr.write(f'\r\x1b[K{text}')
        sys.stderr.flush()


def report(figures):
    rows = [['times, ms', 'n', 'RESUME p50', 'p99', 'first tick p50', 'p99']]
    for name, times in figures['times'].items():
        row = [name, len(times)]
        for key in ('resume', 'tick'):
            values = [t[key] * 1000 for t in times if key in t]
            spread = ui.spread(values) if values else None
            row += [f'{spread[p]:.1f}' if spread else '-'
                    for p in ('p50', 'p99')]
        rows.append(row)
    return ui.table(rows) + [''] + report_memory(figures)


def report_memory(figures):
    """Shares are of the guest's configured memory, as Kata publishes them.

    Kata's 72 % is the difference between guests that were booted and clones.
    """
    whole = figures['memory_mib'] << 20
    [cold] = figures['memory'][kinds.BOOT]
    rows = [['memory of each', 'alive', 'guest PSS', 'private', 'not needed',
             'with QEMU', 'saved to cold boots']]
    for name, read in figures['memory'].items():
        for m in read:
            saved = '-' if m is cold or name == kinds.STOCK else \
                f'{(cold["process"] - m["process"]) / whole:.1%}'
            rows.append([name, m['count'], ui.mib(m['pss']),
                         ui.mib(m['private']), f'{1 - m["pss"] / whole:.1%}',
                         ui.mib(m['process']), saved])
    return ui.table(rows) + [''] + report_blocks(figures) + [
        f'"saved" cannot be more than {cold["process"] / whole:.1%}: what a cold '
        'boot costs, QEMU included']


def report_blocks(figures):
    """Where the memory of the most clones is: blocks of 64 KiB each and more."""
    rows = [['RAM block', 'alive', 'PSS each']]
    for name, read in figures['memory'].items():
        most = read[-1]
        for block, pss in sorted(most['blocks'].items(), key=lambda b: -b[1]):
            if pss >= 64 << 10:
                rows.append([f'{name}: {block}', most['count'], ui.mib(pss)])
    return ui.table(rows)


def ratios(figures):
    def p50(name, key):
        times = figures['times'].get(name)
        return times and ui.spread([t[key] for t in times])['p50']
    lines = []
    for name, other, key, aim in (
            (kinds.SEV, kinds.STOCK, 'resume', 1.3),
            (kinds.SEV, kinds.STOCK, 'tick', 1.3),
            (kinds.SEV + TEN, kinds.STOCK + TEN, 'tick', 1.3),
            (kinds.KATA, kinds.STOCK, 'tick', 1.3),
            (kinds.SEV, kinds.BOOT, 'tick', 0.02)):
        if p50(name, key) and p50(other, key):
            found = p50(name, key) / p50(other, key)
            lines.append(f'{name} / {other}, p50 to {key}: {found:.3f} '
                         f'(aim: at most {aim}{met(found <= aim)})')
    found = p50(kinds.WAITING, 'resume') * 1000
    lines.append(f'{kinds.WAITING}, p50 to resume: {found:.1f} ms (aim: at most '
                 f'12{met(found <= 12)})')
    most = figures['memory'][kinds.SEV][-1]
    found = most['pss'] / (1 << 20)
    lines.append(f'{most["count"]} SEV clones: {found:.1f} MiB of guest memory '
                 f'each (aim: at most 16{met(found <= 16)})')
    return lines


def met(good):
    return '' if good else ', MISSED'


def measure(options, all_kinds, boot, idle):
    figures = {'memory_mib': options.memory, 'load_before': os.getloadavg(),
               'cpus': os.cpu_count(), 'times': {}, 'memory': {}}
    figures['times'][kinds.BOOT] = [boot.boot() for _ in range(options.boots)]
    figures['times'].update(one_at_a_time(all_kinds, options.runs))
    for kind in all_kinds:
        if kind.fresh:
            times, whole = side_by_side(kind, 10)
            figures['times'][kind.name + TEN] = times
            figures[f'{kind.name}{TEN}, seconds'] = whole
    figures['memory'][kinds.BOOT] = [memory_booted(boot, options.boots)]
    for kind in idle:
        figures['memory'][kind.name] = []
        for count in options.alive:
            note(f'{kind.name}: {count} alive')
            figures['memory'][kind.name].append(memory(kind, count))
    figures['load_after'] = os.getloadavg()
    return figures


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ['BUILD'] = str(options.build)
    os.environ.setdefault('SEV_PSP_DIR', str(options.build / 'bench/psp'))
    # The templates lie in memory, as the stock way's must.
    scratch = Path(tempfile.mkdtemp(prefix='clone.', dir='/dev/shm'))
    os.environ['SEV_CLONE_HOME'] = str(scratch / 'home')
    os.environ['SEV_CLONE_RUN'] = str(scratch / 'run')
    try:
        with contextlib.ExitStack() as stack:
            base = options.base or options.build / 'base/obj/qemu-system-x86_64'
            if not base.exists():
                print('no unpatched base: tests/functional/build-base.sh makes '
                      'it, --base names it', file=sys.stderr)
            made = []
            for tick in (kinds.FAST, kinds.IDLE):
                made.append([kinds.Sev(places.qemu(), options.memory, tick)])
                made[-1].append(kinds.KataSev(places.qemu(), scratch,
                                              options.memory, tick))
                if base.exists():
                    made[-1].append(kinds.Stock(base, scratch, options.memory,
                                                tick))
                for kind in made[-1]:
                    stack.callback(kind.close)
            fast, idle = made
            fast.insert(1, kinds.Waiting(fast[0]))
            figures = measure(options, fast, fast[0], idle)
    finally:
        end_all(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
    note('')
    print('\n'.join(report(figures) + [''] + ratios(figures)))
    print(f'load {figures["load_before"][0]:.1f} before, '
          f'{figures["load_after"][0]:.1f} after; {figures["cpus"]} CPUs')
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1), 'utf-8')


if __name__ == '__main__':
    try:
        main()
    except Trouble as error:
        sys.exit(f'error: {error}')
