# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that somebody stops and continues while the lane seals its pages."""

import contextlib
import time

from registry import SAID, test
from test_lane import LANE, SIZE, use_lane
from verdict import Failed, check

STOPS_LEAST, STOPS = 100, 800
PAUSE = 0.004                       # seconds that it runs between two of them
SLOW, FAST = 60 << 20, 1 << 30      # bytes per second


def stop_and_go(guest):
    """Whether it goes on: one that is through is not continued any more."""
    guest.cmd('stop')
    try:
        guest.cmd('cont')
    except Failed:
        if guest.migration()['status'] == 'active':
            raise
        return False
    time.sleep(PAUSE)
    return True


@test('lane: stopped and continued while its pages are sealed, nothing is lost')
def stopped(env):
    """Pages leave the emulated cache only while no vCPU could still write to them."""
    env.host('a').trust(env.host('b'))
    guest = env.boot('lane-stops', shape=LANE, smp=2, **SIZE)
    target = env.start('lane-target', 'b', incoming='defer', smp=2, **SIZE)
    with contextlib.closing(guest), contextlib.closing(target):
        use_lane(guest)
        guest.cmd('migrate-set-parameters', max_bandwidth=SLOW, downtime_limit=1)
        guest.cmd('migrate', uri=f'tcp:127.0.0.1:{target.listen(guest)}')
        stops = 0
        while stops < STOPS and guest.migration()['status'] in ('setup', 'active') \
                and stop_and_go(guest):
            stops += 1
        guest.cmd('migrate-set-parameters', max_bandwidth=FAST,
                  downtime_limit=2000)
        info = guest.wait_migration()
        check(info['status'] == 'completed', f'{info}')
        check(info['sev']['method'] == 'lane', f'{info["sev"]}')
        check(stops > STOPS_LEAST, f'it was stopped only {stops} times')
        SAID.append(f'{stops} stops, {info["ram"]["dirty-sync-count"]} rounds')
        target.wait_loaded()
        if not target.cmd('query-status')['running']:
            target.cmd('cont')
        target.wait_ticks(4)
        guest.sound_ticks()
        target.sound_ticks()
