# SPDX-License-Identifier: GPL-2.0-or-later
"""Who has the guest at the end of a move: one of the two, whatever happens.

The guests are tiny firmware (golden.py) that prints '+' as long as its memory
is right.  Targets are started without -S: they run by themselves when they may.
"""

import contextlib
import os
import re
import signal
import time

from delayline import DelayLine
from golden import Tiny
from guest import free_port
from liar import ACK, GO, PAGES, record, records
from registry import expect_error, test
from tamper import Proxy
from verdict import check, wait_until
from watch import Watch

LATE = 0.08                     # seconds, one way; twice that to begin with
DONE = ('completed', 'failed', 'cancelled')
PAUSED = r'did not say that it gave the guest up, so it is paused'
NAMES = iter(range(1000))


def tiny(env, stem, host, **options):
    return Tiny(env.lab, f'{stem}-{next(NAMES)}', env.host(host), **options)


def listen(target):
    port = free_port()
    target.cmd('migrate-incoming', uri=f'tcp:127.0.0.1:{port}',
               exit_on_error=False)
    return port


def status(guest):
    return guest.cmd('query-migrate').get('status')


def ended(guest):
    def probe():
        info = guest.cmd('query-migrate')
        return info if info.get('status') in DONE else None
    return wait_until(f'end of the migration of {guest.name}', 60, probe)


def runs(guest):
    return guest.cmd('query-status')['running']


def prints(guest, seconds=0.3):
    """Does it print, and is its memory right?"""
    before = len(guest.screen.read_bytes())
    time.sleep(seconds)
    said = guest.screen.read_bytes()
    check(set(said) <= set(b'+'), f'{guest.name} printed {set(said)}')
    return len(said) > before


@contextlib.contextmanager
def pair(env):
    env.host('a').trust(env.host('b'))
    with tiny(env, 'source', 'a') as source, \
            tiny(env, 'target', 'b', incoming=True) as target:
        source.wait_sound()
        yield source, target


def one_of_them(source, target):
    """Exactly one runs; the other one says so, or has ended."""
    there = target.vm.is_running() and prints(target)
    here = source.vm.is_running() and prints(source)
    check(here != there, f'source runs: {here}, target runs: {there}')
    return 'source' if here else 'target'


def cancelled_after(env, seconds, late):
    """(where the guest is, what became of migrate_cancel)"""
    with pair(env) as (source, target), \
            DelayLine(listen(target), late) as line, \
            Watch(source, target):
        source.cmd('migrate', uri=line.uri)
        wait_until('the end of the stream', 30,
                   lambda: status(source) in ('device', *DONE), 0.002)
        time.sleep(seconds)
        try:
            source.cmd('migrate_cancel')
            said = 'taken'
        except Exception as error:
            said = str(error)
            check('too late to cancel' in said, said)
        info = ended(source)
        time.sleep(3 * late + 0.3)      # what is on its way arrives
        where = one_of_them(source, target)
        check((where == 'target') == (info['status'] == 'completed'),
              f'the {where} runs, the source says {info}')
        if where == 'source':
            check(not runs(target), 'the target runs')
            # It can go once more.
            with tiny(env, 'target', 'b', incoming=True) as other:
                source.cmd('migrate', uri=f'tcp:127.0.0.1:{listen(other)}')
                check(ended(source)['status'] == 'completed', 'it is stuck')
                other.wait_sound()
        return where, said


@test('hand-over: cancelled at any moment of the end, with a delay, without -S')
def cancelled(env):
    late, first = LATE, ('target', '')
    while first[0] == 'target' and late < 2:        # a busy machine is slow
        late *= 2
        first = cancelled_after(env, 0, late)
    seen = [first] + [cancelled_after(env, n * late / 2, late)
                      for n in (2, 3, 4, 5, 20)]
    places = [where for where, _ in seen]
    check(places[0] == 'source' and places[-1] == 'target',
          f'the moments missed the end: {seen}')


def stall(source, point):
    source.cmd('qom-set', path='/objects/sev0', property='x-fault',
               value=f'{point}:stall=30000')


def stalled(env, source, point):
    """Wait until @source is there."""
    log = env.lab.folder / f'{source.name}.log'
    wait_until(f'stall at {point}', 30, lambda:
               f'stall at {point}'.encode() in log.read_bytes(), 0.005)


def go_on(source):
    source.cmd('qom-set', path='/objects/sev0', property='x-fault', value='')


def refused(guest, command):
    """What it says."""
    try:
        guest.cmd(command)
    except Exception as error:
        return str(error)
    return ''


@test('hand-over: a cancel that is too late is refused in words')
def too_late(env):
    with pair(env) as (source, target):
        stall(source, 'shut-read')
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{listen(target)}')
        stalled(env, source, 'shut-read')
        said = refused(source, 'migrate_cancel')
        check('too late to cancel' in said, f'it says "{said}"')
        go_on(source)
        check(ended(source)['status'] == 'completed', 'it did not complete')
        check(one_of_them(source, target) == 'target', 'it is not there')


def cut_at(pattern, by_source):
    """A look that cuts the line when an end says @pattern."""
    def look(is_source, data):
        return is_source == by_source and pattern in data
    return look


def sentence(target):
    info = ended(target)
    check(info['status'] == 'completed' and
          re.search(PAUSED, info.get('error-desc', '')), f'it says {info}')
    check(target.cmd('query-status')['status'] == 'paused', 'it is not paused')


@test('hand-over: the acknowledgement is lost: the guest runs on at the source')
def ack_lost(env):
    with pair(env) as (source, target), \
            DelayLine(listen(target), 0.05, cut_at(
                record(ACK)[:8], False)) as line:
        source.cmd('migrate', uri=line.uri)
        expect_error(ended(source), r'while its acknowledgement was awaited')
        sentence(target)
        check(one_of_them(source, target) == 'source', 'it is not there')


@test('hand-over: GO is lost: the guest waits at the target for "cont"')
def go_lost(env):
    with pair(env) as (source, target), \
            DelayLine(listen(target), 0.05, cut_at(
                record(GO)[:8], True)) as line:
        source.cmd('migrate', uri=line.uri)
        check(ended(source)['status'] == 'completed', 'the source took it back')
        sentence(target)
        check(not prints(source) and not prints(target), 'somebody runs')
        said = refused(source, 'cont')
        check('migrated away' in said, f'cont at the source: {said}')
        target.cmd('cont')
        target.wait_sound()


@test('hand-over: the source dies when all is sent: the guest waits for "cont"')
def source_dies(env):
    with pair(env) as (source, target):
        stall(source, 'ack-check')
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{listen(target)}')
        stalled(env, source, 'ack-check')
        os.kill(source.vm.get_pid(), signal.SIGKILL)
        sentence(target)
        target.cmd('cont')
        target.wait_sound()


@test('hand-over: a target that is told nothing does not wait for ever', slow=True)
def silence(env):
    with pair(env) as (source, target):
        source.cmd('qom-set', path='/objects/sev0', property='x-fault',
                   value='ack-check:stall=60000')
        source.cmd('migrate', uri=f'tcp:127.0.0.1:{listen(target)}')
        sentence(target)
        go_on(source)
        ended(source)
        check(not prints(target), 'it runs')


def exchange(offset, data):
    """Two packets of a PAGES record change places; upstream would not see it."""
    for at, kind, whole in records(bytes(data)):
        if kind == PAGES and len(whole) > 32 + 2 * 4156:
            one, two = at + 32, at + 32 + 4156
            data[one:one + 8], data[two:two + 8] = \
                bytes(data[two:two + 8]), bytes(data[one:one + 8])
    return data


@test('hand-over: two packets that were exchanged on the way are noticed')
def exchanged(env):
    with pair(env) as (source, target):
        line = Proxy(listen(target), exchange)
        source.cmd('migrate', uri=line.uri)
        expect_error(ended(source), 'acknowledges another stream')
        check(one_of_them(source, target) == 'source', 'it is not there')
        sentence(target)


def without_handover(offset, data):
    """HELLO as it was before a source waited for an acknowledgement."""
    at = bytes(data).find(b'SEVR\x00\x01\x00\x01')
    if at < 0:
        return data
    end = at + 16 + int.from_bytes(data[at + 8:at + 16], 'big')
    length = (end - at - 16 - 8).to_bytes(8, 'big')
    return bytes(data[:at + 8]) + length + bytes(data[at + 16:end - 8]) + \
        bytes(data[end:])


@test('hand-over: a source that would not wait for it is refused')
def of_before(env):
    with pair(env) as (source, target):
        line = Proxy(listen(target), without_handover)
        source.cmd('migrate', uri=line.uri)
        expect_error(ended(source), r'hands its guest over in way 0')
        check(one_of_them(source, target) == 'source', 'it is not there')
