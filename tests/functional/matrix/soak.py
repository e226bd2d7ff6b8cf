#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest is migrated back and forth for a long time, in random ways.

usage: soak.py [--minutes 30] [--seed HEX] [--build DIR]

Two hosts with an identity each.  The guest checks its memory at every tick,
writes and reads a disk, and holds one TCP connection; nothing of it may ever
be wrong or lost.  Each round draws the transport, capabilities, parameters,
and perhaps a fault or an event.  Exits 0 when no round ended otherwise than
with a sound guest; the counts are printed last.
"""

import argparse
import collections
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(1, str(ROOT / 'tests/functional/lib'))

# pylint: disable=wrong-import-position
import rooms                            # noqa: E402
rooms.enter()
import faults                           # noqa: E402
import pki                              # noqa: E402
import registry                         # noqa: E402
from netlab import PORT, SUBNET, NetLab  # noqa: E402
from tamper import Proxy                # noqa: E402
from verdict import Failed, check       # noqa: E402

LIMIT = 240             # seconds for one migration on a busy machine
IMPATIENCE = 40         # then the bandwidth limit goes
DISK_MIB = 16

# Inside the guest: numbered blocks to the disk and back from it, and memory
# that is written, checked, given back and taken again.
DISK = ('i=0; while :; do i=$((i+1)); at=$((i%60)); '
        'dd if=/dev/urandom of=/block bs=64k count=4 2>/dev/null; '
        'dd if=/block of=/dev/vda bs=256k seek=$at conv=fsync 2>/dev/null; '
        'echo 3 > /proc/sys/vm/drop_caches; '
        'dd if=/dev/vda bs=256k skip=$at count=1 2>/dev/null | cmp -s - /block'
        ' && echo "DISK $i ok" > /disk.new || echo "DISK $i BAD" > /disk.new; '
        'mv /disk.new /disk; grep -q BAD /disk && break; sleep 1; done')
MEMORY = ('while tools stress 2 16 1 > /stress 2>&1; do sleep 3; done')

# Steps that come many times in one migration.
MANY = re.compile(r'^(break|pages)-|-update-data$')

# What the step does itself: it fails (with a status), or its process dies.
STEP_EVENT = re.compile(r'(fail|die)\b')

SWITCHES = ('auto-converge', 'pause-before-switchover', 'events',
            'return-path', 'switchover-ack', 'late-block-activate')


class Soak:
    """The guest and what happens to it."""

    def __init__(self, env, seed, net):
        self.env, self.net, self.draw = env, net, random.Random(seed)
        self.counts, self.here = collections.Counter(), 'a'
        self.disk_blocks = 0
        env.host('a').trust(env.host('b'))
        env.host('b').trust(env.host('a'))
        self.pki = pki.make(env.folder / 'pki')
        self.disk = env.lab.large('disk.img')
        self.disk.write_bytes(bytes(DISK_MIB << 20))
        self.options = dict(
            mem=384, ram_file=False, shell=True, net=net,
            boot=dict(mib=16, tick=100, address=f'{SUBNET}.2/24',
                      peer=f'{SUBNET}.1:{PORT}'))
        drive = f'if=virtio,format=raw,file={self.disk}'
        self.extra = ('-drive', drive)
        self.guest = env.boot('soak', 'a', extra=self.extra, **self.options)
        self.guest.shell.start(f'({DISK}) &')
        self.guest.shell.start(f'({MEMORY}) &')
        time.sleep(5)

    # --- One round ---

    def plan(self):
        """What this round is, drawn at random."""
        draw = self.draw
        plan = dict(
            transport=draw.choice(('tcp', 'unix')), tls=draw.random() < 0.25,
            channels=draw.choice((1, 1, 1, 2, 3, 4)),
            bandwidth=draw.choice((24, 64, 200, 1000)) << 20,
            switches=[s for s in SWITCHES if draw.random() < 0.2],
            fault=None, event=None, row=None)
        if 'switchover-ack' in plan['switches'] and \
                'return-path' not in plan['switches']:
            plan['switches'].append('return-path')
        what = draw.random()
        if what < 0.35:
            way = 'channels' if plan['channels'] > 1 else 'line'
            plan['row'] = draw.choice([
                row[1:] for row in faults.rows('all')
                if row[0].partition(',')[0] == way])
        elif what < 0.65:
            plan['event'] = draw.choice(('cut', 'cancel', 'stop/cont'))
            plan['after'] = draw.random() ** 2 * 4
        if plan['channels'] > 1 or plan['transport'] == 'unix':
            if plan['event'] == 'cut':          # the proxy has one connection
                plan['event'] = 'cancel'
            if plan['row'] and plan['row'][2].startswith('cut'):
                plan['row'] = None
        return plan

    def configure(self, target, plan):
        for end in (self.guest, target):
            end.cmd('migrate-set-capabilities', capabilities=[
                {'capability': s, 'state': s in plan['switches']
                 or s == 'multifd' and plan['channels'] > 1}
                for s in (*SWITCHES, 'multifd')])
            end.cmd('migrate-set-parameters',
                    multifd_channels=max(plan['channels'], 1),
                    max_bandwidth=plan['bandwidth'])
        if plan['tls']:
            pki.use(self.guest, self.pki, 'client')
            pki.use(target, self.pki, 'server')

    def listen(self, target, plan):
        """(address for the source, the proxy if there is one)"""
        if plan['transport'] == 'unix':
            path = self.env.lab.large(f'{target.name}.sock')
            target.cmd('migrate-incoming', uri=f'unix:{path}',
                       exit_on_error=False)
            return f'unix:{path}', None
        port = target.listen(None)
        if plan['channels'] > 1:
            return f'tcp:127.0.0.1:{port}', None
        proxy = Proxy(port)
        return proxy.uri, proxy

    def round(self):
        plan = self.plan()
        there = 'b' if self.here == 'a' else 'a'
        before = self.guest.ticks()[-1][0]
        target = self.env.start('soak', there, incoming='defer',
                                extra=('-S', *self.extra), **self.options)
        proxy = None
        try:
            self.configure(target, plan)
            uri, proxy = self.listen(target, plan)
            status = self.migrate(target, uri, proxy, plan)
            if status == 'completed':
                target.came_from = faults.Past(self.guest)
                target.wait_loaded()
                target.cmd('cont')
                self.guest, target, self.here = target, self.guest, there
            if plan['tls']:
                pki.drop(self.guest)
        except BaseException:
            print(f'at: {plan}', flush=True)
            raise
        finally:
            target.close()
            if proxy:
                proxy.cut()
        self.sound(before)
        self.counts[status] += 1
        return plan, status

    def migrate(self, target, uri, proxy, plan):
        """Migrate, let happen what was drawn; the source's last word."""
        row, armed = plan['row'], None
        if row:
            side, point, event = row
            armed = {'source': self.guest, 'target': target}[side]
            action = event if STEP_EVENT.match(event) else 'stall=500'
            nth = self.draw.choice((1, 5, 40)) if MANY.search(point) else 1
            faults.fault(armed, f'{point}:{nth}:{action}')
        try:
            self.guest.cmd('migrate', uri=uri)
        except Failed:
            faults.fault(self.guest, '')
            return 'refused'
        began, happened = time.monotonic(), False
        while True:
            info = self.guest.migration()
            status, age = info.get('status'), time.monotonic() - began
            if status in ('completed', 'failed', 'cancelled'):
                faults.fault(self.guest, '')
                return status
            if status == 'pre-switchover':
                self.guest.vm.cmd('migrate-continue',
                                  {'state': 'pre-switchover'})
            if not happened and plan['event'] and age > plan['after']:
                happened = True
                self.happen(plan['event'], target, proxy)
            if not happened and row and not STEP_EVENT.match(row[2]) and \
                    f'x-fault: stall at {row[1]}' in armed.log():
                happened = True
                self.happen(row[2], target, proxy, row[1])
            if age > IMPATIENCE:
                self.guest.cmd('migrate-set-parameters',
                               max_bandwidth=4 << 30)
            check(age < LIMIT, f'the migration does not end: {info}')
            time.sleep(0.02)

    def happen(self, event, target, proxy, point=None):
        if event == 'kill':
            # Not if the step went on: the target may have the guest by now.
            os.kill(target.vm.get_pid(), signal.SIGSTOP)
            still = f'going on at {point}' not in self.guest.log()
            os.kill(target.vm.get_pid(),
                    signal.SIGKILL if still else signal.SIGCONT)
            self.counts['killed'] += still
        elif event == 'cut':
            proxy.cut()
        elif event == 'cancel':
            self.guest.cmd('migrate_cancel')
        else:
            faults.stop_cont(self.guest)

    # --- What must hold ---

    def sound(self, before):
        """It counts on, everything it checks is right, its line is open."""
        ticks = self.guest.wait_ticks(3, 120)
        check(ticks[-1][0] >= before + 3, 'ticks were lost')
        text = self.guest.text()
        said = self.guest.shell.must('cat /disk /stress')
        disk = re.findall(r'DISK (\d+) (\w+)', said)
        check(disk and disk[-1][1] == 'ok', f'the disk: {said}')
        self.disk_blocks = int(disk[-1][0])
        check(not re.search(r'STRESS BAD|writer \d+: BAD|tools: ', said),
              f'the guest says {said}')
        for bad in (b'BAD', b'TCP LOST', b'Kernel panic', b'BUG: unable',
                    b'BUG: Bad', b'Oops'):
            check(bad not in text, f'the guest says "{bad.decode()}"')
        peers = self.net.connections()
        check(len(peers) == 1 and peers[0]['open'] and not peers[0]['bad'],
              f'the TCP peer saw {peers}')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=Path, metavar='DIR',
                        default=Path(os.environ.get('BUILD', ROOT / 'build')))
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--seed', type=lambda text: int(text, 16),
                        default=int.from_bytes(os.urandom(4), 'little'))
    return parser.parse_args()


def main():
    args = arguments()
    folder = args.build.resolve() / 'soak'
    registry.clear(folder)
    args.qemu = args.firmware = None
    args.no_sev, args.kernel = False, 'bookworm'
    env = registry.Env(args, folder)
    began, rounds, lost = time.monotonic(), 0, ''
    print(f'seed {args.seed:x}, {args.minutes:g} minutes', flush=True)
    drawn, soak = collections.Counter(), None
    try:
        with NetLab(env.lab.seed) as net:
            soak = Soak(env, args.seed, net)
            while time.monotonic() - began < args.minutes * 60:
                plan, status = soak.round()
                rounds += 1
                event = plan['row'][2] if plan['row'] else plan['event']
                drawn[event or 'undisturbed'] += 1
                drawn['multifd'] += plan['channels'] > 1
                drawn['TLS'] += plan['tls']
                where = ' at ' + plan['row'][1] if plan['row'] else ''
                print(f'{time.monotonic() - began:7.1f} s  round {rounds}: '
                      f'{plan["transport"]}{" TLS" if plan["tls"] else ""}, '
                      f'{plan["channels"]} channels, '
                      f'{event or "undisturbed"}{where}: {status}',
                      flush=True)
            ticks = soak.guest.ticks()[-1]
            peer = net.connections()[0]
    except (Failed, KeyboardInterrupt) as error:
        lost = f'{type(error).__name__}: {error}'
    finally:
        env.close()
    print(f'{rounds} rounds in {(time.monotonic() - began) / 60:.1f} minutes: '
          + ', '.join(f'{n} {what}' for what, n in
                      sorted((soak.counts if soak else {}).items()) if n))
    print('drawn: ' + ', '.join(f'{n} {w}' for w, n in sorted(drawn.items())))
    if lost:
        print(f'LOST: {lost}; seed {args.seed:x}, logs in {folder}')
        return 1
    print(f'{ticks[0]} ticks, {peer["records"]} TCP records, '
          f'{soak.disk_blocks} disk blocks; '
          '0 corruptions, 0 lost guests')
    return 0


if __name__ == '__main__':
    sys.exit(main())
