#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets against the lane, with a secure processor that takes its time.

The demo's guest is sealed as a template, a clone loads it before it runs, and the
guest migrates: by packets and by the lane, at several times a packet.  Prints a
table; exits 1 when a lane's load takes longer than --most seconds at the
slowest chip.
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


def load(lab, host, path, us):
    """Seconds from migrate-incoming to a clone that may run; it then counts."""
    clone = lab.guest(f'clone-{path.name}', host=host, incoming='defer',
                      ram_file=False).start()
    with contextlib.closing(clone):
        slow(clone, us)
        clone.cmd('migrate-set-parameters', sev_template_open='eager')
        start = time.monotonic()
        clone.cmd('migrate-incoming', uri=f'file:{path}')
        clone.wait_loaded()
        took = time.monotonic() - start
        if not clone.cmd('query-status')['running']:
            clone.cmd('cont')
        clone.wait_ticks(3)
    return took


def move(lab, origin, host, method, us):
    """(guest at its target, seconds, milliseconds down) of a live migration."""
    target = lab.guest(f'target-{method}-{us}-{host.folder.name}', host=host,
                       incoming='defer', ram_file=False).start()
    port = target.listen(origin)
    for end in (origin, target):
        slow(end, us)
    origin.cmd('migrate-set-parameters', sev_method=method)
    start = time.monotonic()
    info = origin.migrate(f'tcp:127.0.0.1:{port}')
    took = time.monotonic() - start
    check(info['status'] == 'completed', f'{info}')
    target.wait_loaded()
    target.wait_ticks(3)
    slow(target, 0)
    origin.close()
    return target, took, info['downtime']


def measure(lab, delays, packets_most, live):
    hosts = lab.host('a'), lab.host('b')
    hosts[0].trust(hosts[1])
    hosts[1].trust(hosts[0])
    here = 0
    origin = lab.guest('origin', host=hosts[0], shape=LANE).start()
    origin.wait_text(r'^TICK 3 ', LIMIT)
    for us in delays:
        for method in ('packets', 'lane'):
            if method == 'packets' and us > packets_most:
                continue
            path = lab.large(f'{method}-{us}')
            sealed = seal(origin, path, method, us)
            row = dict(us=us, method=method, seal=sealed,
                       load=load(lab, hosts[here], path, us))
            path.unlink()
            # A guest that moves by packets leaves its lane behind.
            if live and method == 'lane':
                here = 1 - here
                origin, took, down = move(lab, origin, hosts[here], method, us)
                row |= dict(live=took, down=down)
            yield row


def show(row):
    line = (f'{row["us"]:11}  {row["method"]:8} {row["seal"]:6.2f} s  '
            f'{row["load"]:6.2f} s')
    if 'live' in row:
        line += f'  {row["live"]:6.2f} s  {row["down"]:4} ms'
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, required=True)
    parser.add_argument('--delays', default='0,500,2500', metavar='US,...')
    parser.add_argument('--packets-most', type=int, default=2500, metavar='US',
                        help='no packets at slower chips than this')
    parser.add_argument('--no-live', action='store_true')
    parser.add_argument('--most', type=float, default=2.0, metavar='SECONDS')
    parser.add_argument('--rounds', type=int, default=1, metavar='N')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='every row as JSON')
    options = parser.parse_args()
    delays = [int(us) for us in options.delays.split(',')]
    rows = []
    print('us a packet  method   seal      load      live      down')
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder, \
                sevlib.Lab(Path(folder) / 'lab', options.build.resolve()) as lab:
            for row in measure(lab, delays, options.packets_most,
                               not options.no_live):
                show(row)
                rows.append(row)
    if options.output:
        options.output.write_text(json.dumps({'rows': rows}, indent=1) + '\n')
    worst = max(row['load'] for row in rows
                if row['method'] == 'lane' and row['us'] == max(delays))
    if worst > options.most:
        print(f'the lane\'s load took {worst:.2f} s, more than '
              f'{options.most:g} s', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
