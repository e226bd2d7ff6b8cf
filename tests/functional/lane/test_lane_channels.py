# SPDX-License-Identifier: GPL-2.0-or-later
"""The lane with multifd: sealed pages on the main channel, the others beside it."""

import contextlib

import softhost
from registry import expect_error, test
from sevtiny import arrived, completes, listening, migrate
from tamper import Lines
from test_lane import LANE, SIZE, use_lane
from test_lane_live import GUEST, OTHER_SHARED, OnTheWay, table
from test_lane_live import LANE as TINY_LANE
from test_multifd import CARD
from verdict import MIGRATE_LIMIT, check, wait_until

CHANNELS = 2
FLUSH = 'sev_lane_flush'
# A driver that is bound makes pages for its queue shared; when it goes they are soon
# somebody's private ones.
REBINDS = r'''
cd /sys/bus/virtio/drivers/virtio_net; name=$(ls -d virtio*)
while :; do
    echo $name > unbind; sort /proc/slabinfo | tail -1; usleep 200000
    echo $name > bind; usleep 200000
done'''


def switched(*guests):
    for guest in guests:
        guest.capability('multifd')
        guest.cmd('migrate-set-parameters', multifd_channels=CHANNELS)


@test('lane: with two channels of multifd, there and back')
def there_and_back(env):
    env.host('a').trust(env.host('b'))
    env.host('b').trust(env.host('a'))
    guest = env.boot('lane-channels', shape=LANE, smp=2, **SIZE)
    for host in 'b', 'a':
        target = env.start('lane-target', host, incoming='defer', smp=2, **SIZE)
        with contextlib.closing(guest):
            switched(guest, target)
            before = guest.ticks()[-1]
            use_lane(guest)
            info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
            check(info['status'] == 'completed', f'{info}')
            check(info['sev']['method'] == 'lane', f'{info["sev"]}')
            check(info['ram']['multifd-bytes'] > 1 << 20,
                  f'channels carried {info["ram"]["multifd-bytes"]} bytes')
            target.wait_loaded()
            guest.between(before, guest.ticks()[-1])
        guest = target
        guest.wait_ticks(4)
    guest.close()


@test('lane: a page that went sealed goes shared on another channel, behind it')
def flipped(env):
    env.host('a').trust(env.host('b'))
    guest = env.boot('lane-flips', shape=LANE, smp=2, shell=True, **SIZE,
                     extra=('-trace', FLUSH, *CARD))
    target = env.start('lane-target', 'b', incoming='defer', smp=2, shell=True,
                       **SIZE, extra=CARD)
    with contextlib.closing(guest), contextlib.closing(target):
        switched(guest, target)
        use_lane(guest)
        # Rounds until it was seen a few times; then what is left may go.
        guest.cmd('migrate-set-parameters', max_bandwidth=8 << 20,
                  downtime_limit=1)
        guest.shell.start(f'({REBINDS}) > /dev/null 2>&1 &')
        guest.cmd('migrate', uri=f'tcp:127.0.0.1:{target.listen(guest)}')
        wait_until('pages that change sides', MIGRATE_LIMIT,
                   lambda: guest.log().count(FLUSH) > 1)
        guest.cmd('migrate-set-parameters', max_bandwidth=1 << 30,
                  downtime_limit=2000)
        info = guest.wait_migration()
        check(info['status'] == 'completed', f'{info}')
        target.wait_loaded()
        target.wait_ticks(4)


@test('lane: changed on a channel, refused, and the guest goes on at its source')
def changed(env):
    one, two = softhost.two_hosts(env)
    source = one.tiny(env, 'lane-channel', **TINY_LANE)
    with contextlib.closing(source.start()):
        source.soundly()
        source.cmd('migrate-set-parameters', sev_method='lane')
        with listening(env, source, two, multifd=CHANNELS, **GUEST) as (target,
                                                                       uri):
            edits = {}

            def edit(number, offset, data):
                edits.setdefault(number, OnTheWay(table))
                return edits[number](offset, data) if number else data
            lines = Lines(int(uri.rpartition(':')[2]), edit)
            info = migrate(source, f'tcp:127.0.0.1:{lines.port}')
            lines.stop()
            check(any(each.done for each in edits.values()),
                  'no shared page passed on a channel')
            expect_error(info, OTHER_SHARED)
            expect_error(target.wait_migration(), OTHER_SHARED)
            check(not target.ticks(), 'it counts')
        source.soundly()
        with listening(env, source, two, multifd=CHANNELS, **GUEST) as (target,
                                                                       uri):
            completes(source, uri)
            arrived(source, target)
