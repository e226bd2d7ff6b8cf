# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest stands still for downtime-limit, whoever's secure processor is slow.

Counted are commands after the guest was stopped: each takes at least what the
stand-in makes it take, on any machine.
"""

import time

from kvmhost import two_hosts
from registry import test
from sevtiny import arrived, listening, running
from verdict import check

SOURCE_US, TARGET_US = 1000, 2500
LIMIT_MS = 200
LIMIT_S = 180               # seconds for a migration, on a busy machine
SLOW = dict(control=['not-coherent'])


def stopped_at(guest):
    """When the source stopped it, on the clock of time.monotonic()."""
    event = guest.vm.event_wait('STOP', timeout=60)
    check(event, 'no event STOP')
    wall = event['timestamp']
    return (wall['seconds'] + wall['microseconds'] / 1e6
            - time.time() + time.monotonic())


@test('downtime: packets that a slower target has not opened count')
def slow_target(env):
    one, two = two_hosts(env)
    with running(env, 'down', one, **SLOW) as guest, \
            listening(env, guest, two, **SLOW) as (target, uri):
        guest.takes(SOURCE_US)
        target.control('not-coherent', f'delay RECEIVE_UPDATE_DATA {TARGET_US}')
        guest.cmd('migrate-set-parameters', downtime_limit=LIMIT_MS)
        guest.vm.get_qmp_events()
        guest.cmd('migrate', uri=uri)
        info = guest.wait_migration(LIMIT_S)
        check(info['status'] == 'completed', f'{info}')
        stopped = stopped_at(guest)
        arrived(guest, target)
        late = sum(begin > stopped
                   for begin, _ in target.work('RECEIVE_UPDATE_DATA'))
        check(late * TARGET_US <= LIMIT_MS * 1000, f'{late} packets of '
              f'{TARGET_US} us were opened after the guest was stopped')
        sev = info['sev']
        check(sev['target-packet-time'] >= TARGET_US * 0.9,
              f'the target is not that fast: {sev}')
        check(sev['packets'] - late <= sev['target-packets'] <= sev['packets'],
              f'{late} packets were opened late: {sev}')
        check(sev['target-wait-time'] > 0, f'it waited for nothing: {sev}')
