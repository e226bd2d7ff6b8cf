#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets against the lane, with a secure processor that takes its time.

The demo's guest is sealed as a template, a clone loads it before it runs, and the
guest migrates: by packets and by the lane, at several times a packet and with
several vCPUs.  Then as many clones as --clones says load the last template side
by side.  Prints a table; exits 1 when at the slowest chip a lane's load takes
longer than --most seconds, a guest stands still for longer than downtime-limit
and 50 ms, or each further clone costs more than 50 ms beside its CPU time.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / 'tests/functional/lib'))

import sevlib                           # noqa: E402
from shape import Shape                 # noqa: E402
from verdict import check               # noqa: E402

LANE = Shape(sev=',lane=on')
OVER_MS = 50
LIMIT = 600                 # seconds for a boot, on a busy machine


def slow(guest, us):
    guest.cmd('qom-set', path='/objects/sev0', property='x-psp-delay-us',
              value=us)


def seal(origin, path, method, us):
    """Seconds to make a template; the guest runs on."""
    slow(origin, us)
    origin.cmd('stop')
    origin.capability('sev-template')
    origin.cmd('migrate-set-parameters', sev_method=method)
    start = time.monotonic()
    info = origin.migrate(f'file:{path}')
    took = time.monotonic() - start
    check(info['status'] == 'completed', f'{info}')
    origin.capability('sev-template', False)
    slow(origin, 0)
    origin.cmd('cont')
    return took


def clone_of(lab, host, name, us, smp):
    clone = lab.guest(name, host=host, incoming='defer', ram_file=False,
                      smp=smp).start()
    slow(clone, us)
    clone.cmd('migrate-set-parameters', sev_template_open='eager')
    return clone


def load(lab, host, path, us, smp):
    """Seconds from migrate-incoming to a clone that may run; it then counts."""
    clone = clone_of(lab, host, f'clone-{path.name}', us, smp)
    with contextlib.closing(clone):
        start = time.monotonic()
        clone.cmd('migrate-incoming', uri=f'file:{path}')
        clone.wait_loaded()
        took = time.monotonic() - start
        if not clone.cmd('query-status')['running']:
            clone.cmd('cont')
        clone.wait_ticks(3)
    return took


def load_many(lab, host, path, us, smp, count):
    """(seconds until all are loaded, CPU seconds of each) of so many at a time."""
    with contextlib.ExitStack() as ends:
        clones = [clone_of(lab, host, f'many-{count}-{n}', us, smp)
                  for n in range(count)]
        for clone in clones:
            ends.enter_context(contextlib.closing(clone))
            clone.cmd('stop')           # what counts is the load
        before = sum(clone.cpu_seconds() for clone in clones)
        start = time.monotonic()
        for clone in clones:
            clone.cmd('migrate-incoming', uri=f'file:{path}')
        for clone in clones:
            clone.wait_loaded()
        took = time.monotonic() - start
        cpu = sum(clone.cpu_seconds() for clone in clones) - before
    return took, cpu / count


def move(lab, origin, host, method, us, smp):
    """(guest at its target, seconds, ms down, limit) of a live migration."""
    target = lab.guest(f'target-{method}-{us}-{host.folder.name}', host=host,
                       incoming='defer', ram_file=False, smp=smp).start()
    port = target.listen(origin)
    for end in (origin, target):
        slow(end, us)
    origin.cmd('migrate-set-parameters', sev_method=method)
    limit = origin.cmd('query-migrate-parameters')['downtime-limit']
    start = time.monotonic()
    info = origin.migrate(f'tcp:127.0.0.1:{port}')
    took = time.monotonic() - start
    check(info['status'] == 'completed', f'{info}')
    target.wait_loaded()
    target.wait_ticks(3)
    slow(target, 0)
    origin.close()
    return target, took, info['downtime'], limit


def rows(lab, options, smp):
    hosts = lab.host(f'a{smp}'), lab.host(f'b{smp}')
    hosts[0].trust(hosts[1])
    hosts[1].trust(hosts[0])
    here = 0
    origin = lab.guest(f'origin-{smp}', host=hosts[0], shape=LANE,
                       smp=smp).start()
    origin.wait_text(r'^TICK 3 ', LIMIT)
    for us in options.delays:
        for method in ('packets', 'lane'):
            if method == 'packets' and us > options.packets_most:
                continue
            path = lab.large(f'{method}-{us}-{smp}')
            row = dict(us=us, smp=smp, method=method)
            row['seal'] = seal(origin, path, method, us)
            row['load'] = load(lab, hosts[here], path, us, smp)
            if method == 'lane' and us == max(options.delays):
                row['many'] = [load_many(lab, hosts[here], path, us, smp, count)
                               for count in (1, options.clones)
                               if options.clones > 1]
            path.unlink()
            # A guest that moves by packets leaves its lane behind.
            if not options.no_live and method == 'lane':
                here = 1 - here
                origin, row['live'], row['down'], row['limit'] = move(
                    lab, origin, hosts[here], method, us, smp)
            yield row
    origin.close()


def show(row):
    line = f'{row["us"]:11}  {row["smp"]:5}  {row["method"]:8}' \
        f'{row["seal"]:6.2f} s  {row["load"]:6.2f} s'
    if 'live' in row:
        line += f'  {row["live"]:6.2f} s  {row["down"]:4} of {row["limit"]} ms'
    print(line, flush=True)


def further(row, count):
    """What a further clone costs beside its CPU time, in seconds."""
    (alone, _), (together, cpu) = row['many']
    each = (together - alone) / (count - 1)
    print(f'{count} clones at a time, {row["smp"]} vCPUs: {together:.2f} s, one '
          f'alone {alone:.2f} s; each further one {each:.3f} s, and its CPU '
          f'time is {cpu:.3f} s', flush=True)
    return each - cpu


def missed(row, options):
    """What of a lane's row is worse than it shall be, in words."""
    if row['method'] != 'lane' or row['us'] != max(options.delays):
        return
    if row['load'] > options.most:
        yield f'the load took {row["load"]:.2f} s, not {options.most:g} s'
    if 'live' in row and row['down'] > row['limit'] + OVER_MS:
        yield f'it stood still for {row["down"]} ms'
    if row.get('many') and further(row, options.clones) > OVER_MS / 1000:
        yield f'a further clone costs more than {OVER_MS} ms and its CPU time'


def numbers(text):
    return [int(word) for word in text.split(',')]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, required=True)
    parser.add_argument('--delays', default=[0, 500, 2500], type=numbers,
                        metavar='US,...')
    parser.add_argument('--vcpus', default=[1, 2], type=numbers, metavar='N,...')
    parser.add_argument('--packets-most', type=int, default=2500, metavar='US',
                        help='no packets at slower chips than this')
    parser.add_argument('--clones', type=int, default=10, metavar='N',
                        help='so many at a time, at the slowest chip')
    parser.add_argument('--no-live', action='store_true')
    parser.add_argument('--most', type=float, default=2.0, metavar='SECONDS')
    parser.add_argument('--rounds', type=int, default=1, metavar='N')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='every row as JSON')
    options = parser.parse_args()
    wrong, found = [], []
    print('us a packet  vCPUs  method   seal      load      live      down')
    for smp in [smp for smp in options.vcpus for _ in range(options.rounds)]:
        with tempfile.TemporaryDirectory() as folder, \
                sevlib.Lab(Path(folder) / 'lab', options.build.resolve()) as lab:
            for row in rows(lab, options, smp):
                show(row)
                found.append(row)
                wrong += [f'{smp} vCPUs: {words}'
                          for words in missed(row, options)]
    if options.output:
        options.output.write_text(json.dumps({'rows': found}, indent=1) + '\n')
    for words in wrong:
        print(words, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
