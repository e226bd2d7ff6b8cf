# SPDX-License-Identifier: GPL-2.0-or-later
"""What an operator sees of a migration: progress, statistics, advice."""

import contextlib
import re

from delayline import DelayLine
from registry import test
from verdict import MIGRATE_LIMIT, check, wait_until


def begun(source):
    """query-migrate, once packets were made."""
    info = source.migration()
    return info if info.get('sev', {}).get('packets', 0) > 2000 else None


def slow_down(guest, us):
    guest.cmd('qom-set', path='/objects/sev0', property='x-psp-delay-us',
              value=us)


@test('observe: progress counts private pages, and HMP shows the packets')
def progress(env):
    with env.booted() as source, env.target() as target:
        port = target.listen(source)
        source.cmd('migrate-set-parameters', max_bandwidth=16 << 20)
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
        first = wait_until('2000 packets', MIGRATE_LIMIT,
                           lambda: begun(source))
        later = wait_until('2000 packets more', MIGRATE_LIMIT, lambda: (
            lambda info: info['sev']['packets'] >
            first['sev']['packets'] + 2000 and info)(source.migration()))
        said = source.cmd('human-monitor-command',
                          command_line='info migrate')
        source.cmd('migrate_cancel')
        source.wait_migration()
        source.cmd('migrate-set-parameters', max_bandwidth=1 << 30)
    for info in (first, later):
        ram = info['ram']
        check(ram['total'] >= 256 << 20 and
              0 < ram['remaining'] < ram['total'], f'progress: {ram}')
    check(later['ram']['transferred'] > first['ram']['transferred'] and
          later['ram']['remaining'] < first['ram']['remaining'],
          f'no progress from {first["ram"]} to {later["ram"]}')
    check(re.search(r'sev packets: \d+ \(\d+ kbytes', said),
          f'info migrate says: {said}')
    check(later['sev']['firmware-downtime'] > 0,
          f'no firmware-downtime in {later["sev"]}')


@test('observe: advice when downtime-limit cannot be met, and it is not touched')
def advice(env):
    words = 'downtime-limit is 1 ms: the migration will not end'
    # 64 pages are written every 5 ms, 25 packets made in that time.
    with contextlib.closing(env.boot('hurried', boot=dict(tick=5))) as source, \
            env.target() as target:
        before = source.log().count(words)
        port = target.listen(source)
        slow_down(source, 400)
        source.cmd('migrate-set-parameters', downtime_limit=1,
                   max_bandwidth=1 << 30)
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
        wait_until('advice', MIGRATE_LIMIT, lambda:
                   source.log().count(words) > before or
                   source.migration()['status'] == 'completed')
        info = source.migration()
        check(info['status'] == 'active', f'it ended without advice: {info}')
        limit = source.cmd('query-migrate-parameters')['downtime-limit']
        check(limit == 1, f'downtime-limit became {limit}')
        slow_down(source, 0)
        source.cmd('migrate-set-parameters', downtime_limit=5000)
        info = source.wait_migration()
        check(info['status'] == 'completed', f'it ended: {info}')
        check(source.log().count(words) == before + 1, 'it was said twice')
        target.wait_ticks(5)


@test('observe: a line whose trips alone exceed the limit is named, and crossed')
def long_line(env):
    with contextlib.closing(env.boot('distant')) as source, \
            env.target() as target:
        with DelayLine(target.listen(source), 0.12) as line:
            source.cmd('migrate', uri=line.uri)
            info = source.wait_migration()
        check(info['status'] == 'completed', f'it ended: {info}')
        target.wait_ticks(5)
        words = re.findall(r'downtime-limit is 300 ms: three trips over this '
                           r'line take (\d+) ms', source.log())
        check(len(words) == 1 and int(words[0]) >= 360,
              f'the log says: {source.log()[-800:]}')
