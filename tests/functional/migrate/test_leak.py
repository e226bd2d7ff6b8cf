# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations that fail leave nothing behind in the source."""

import contextlib
import os
import re
import socket
import time
from pathlib import Path

import faults
from registry import SAID, test
from verdict import Failed, check, wait_until

# Where a migration goes, the fault that ends it, where the session was then.
WAYS = (
    ('exec:cat > /dev/full', ''),
    ('deaf', 'hello-write'),
    ('deaf', 'certs-wait'),
    ('exec:cat > /dev/null', 'send-start:fail=7'),
    ('exec:cat > /dev/null', 'session-write'),
    ('exec:cat > /dev/null', 'send-update-data:2000'),
    ('exec:cat > /dev/null', 'state-write'),
    ('exec:cat > /dev/null', 'device-state'),
    ('exec:exit 1', ''),
)
WARM = 3 * len(WAYS)            # attempts until everything was needed once
GROWTH_MIB = 24


class Deaf:
    """A target that accepts connections and never says a word."""

    def __enter__(self):
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=4096)
        self.uri = f'tcp:127.0.0.1:{self._listener.getsockname()[1]}'
        return self

    def __exit__(self, *_):
        self._listener.close()


def usage(guest):
    """(open files, threads, resident MiB) of a QEMU process."""
    process = Path(f'/proc/{guest.vm.get_pid()}')
    status = dict(line.split(':', 1) for line in
                  (process / 'status').read_text().splitlines() if ':' in line)
    return (len(os.listdir(process / 'fd')), int(status['Threads']),
            int(status['VmRSS'].split()[0]) // 1024)


def settled(guest):
    """The last migration is cleaned up, its threads are gone."""
    # A thread pool's idle threads go after some seconds; look for the lowest.
    seen = []
    for _ in range(12):
        seen.append(usage(guest))
        time.sleep(1)
    return tuple(min(column) for column in zip(*seen))


def attempt(guest, number, deaf):
    where, point = WAYS[number % len(WAYS)]
    if point:
        faults.fault(guest, point)

    def started():
        try:
            guest.cmd('migrate', uri=deaf.uri if where == 'deaf' else where)
        except Failed as error:
            # The one before may not be cleaned up yet.
            check(re.search('cleaned up|in progress|yank', str(error)),
                  str(error))
            return None
        return True
    wait_until('start of a migration', 30, started)
    info = guest.wait_migration()
    check(info['status'] == 'failed', f'{where}, {point}: {info}')
    sev = guest.cmd('query-sev')
    check(sev['handle'] == guest.handle, f'{where}, {point}: {sev}')


def fail_often(env, attempts):
    guest = env.boot('leak', ram_file=False, mem=160,
                     boot=dict(mib=8, tick=100))
    with contextlib.closing(guest), Deaf() as deaf:
        guest.handle = guest.cmd('query-sev')['handle']
        guest.cmd('migrate-set-parameters', max_bandwidth=4 << 30)
        for number in range(attempts):
            if number == WARM:
                before = settled(guest)
            attempt(guest, number, deaf)
        after = settled(guest)
        guest.wait_ticks(3)
        wait_until('state "running"', 10, lambda: guest.cmd('query-sev')[
            'state'] == 'running')
        SAID.append(f'{attempts} failed migrations: files, threads, MiB '
                    f'{before} -> {after}')
        check(after[0] <= before[0] and after[1] <= before[1] and
              after[2] <= before[2] + GROWTH_MIB,
              f'files, threads, MiB were {before}, are {after}')
        with env.target(mem=160, ram_file=False,
                        boot=dict(mib=8, tick=100)) as target:
            info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
            check(info['status'] == 'completed', f'and then: {info}')
            target.wait_ticks(2)


@test('leak: 50 migrations fail, and leave nothing behind')
def fifty(env):
    fail_often(env, 50)


@test('leak: 200 migrations fail, and leave nothing behind', slow=True)
def two_hundred(env):
    fail_often(env, 200)
