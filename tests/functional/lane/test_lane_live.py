# SPDX-License-Identifier: GPL-2.0-or-later
"""The lane's digest of a guest that moves or is saved: what is changed on the way.

The guests are small ones (../../guest/tiny-sev.S), because each change is a load.
"""

import contextlib
import re
import struct

import softhost
from image import HEADER, PAGE
from registry import expect_error, test
from sevtiny import arrived, completes, listening, migrate
from tamper import Proxy
from test_lane import entries
from verdict import Failed, check

GUEST = dict(cpu='EPYC-v4', mem='8M')
LANE = dict(GUEST, sev=',lane=on')

FULL, FOOTER, EOF = 4, 0x7e, 0          # upstream's marks of sections
ZERO = 2                                # ... and of a page in "ram"
CPU = b'\x03cpu' + bytes(4)
REGISTER = 700                          # behind it: one of a vCPU's vectors
END = b'\x0csev-lane-end' + bytes(4)

MAGIC = b'SEVR\0\1'
LANE_RECORD = MAGIC + b'\0\x10'
END_RECORD = MAGIC + b'\0\x09'
NAMES = {4: 'SESSION', 5: 'BLOCK', 6: 'PAGES', 7: 'STATE', 8: 'BREAK', 9: 'END',
         16: 'LANE', 17: 'SEALED'}
WHERE = 0.0, 0.37, 1.0                  # of a payload: first, last, between


@contextlib.contextmanager
def saved(env, name):
    """(host, the bytes of a guest that was saved by the lane while it ran)"""
    host, path = softhost.two_hosts(env)[0], env.lab.large(name)
    origin = host.tiny(env, name, **LANE)
    with contextlib.closing(origin.start()):
        origin.soundly()
        origin.cmd('migrate-set-parameters', sev_method='lane')
        completes(origin, f'exec:cat>{path}')
    yield host, path.read_bytes()


def load(env, host, data):
    """What query-migrate says of a target that got these bytes."""
    path = env.lab.large('lane.changed')
    path.write_bytes(data)
    target = host.tiny(env, 'lane-load', incoming='defer', **GUEST)
    with contextlib.closing(target.start()):
        target.cmd('migrate-incoming', uri=f'exec:cat {path}',
                   exit_on_error=False)
        info = target.wait_migration()
        if info['status'] == 'completed':
            target.soundly()
        else:
            check(not target.ticks(), 'it counts')
        return info


# --- A byte of every kind -----------------------------------------------------

def records(data):
    """(what, place) of bytes of the first and last record of each type."""
    found = {}
    for m in re.finditer(re.escape(MAGIC), data):
        at = m.start()
        kind, length = struct.unpack_from('>HQ', data, at + 6)
        found.setdefault(NAMES[kind], []).append((at, length))
    for name, places in sorted(found.items()):
        for at, length in dict.fromkeys((places[0], places[-1])):
            yield f'header of {name}', at + 9
            for part in WHERE if length else ():
                yield f'{name} at {part}', at + 16 + int(part * (length - 1))


def sections(data):
    """(what, place) of a byte in each section of device state behind END."""
    at = data.rindex(END_RECORD) + 16 + 16 + 5
    while data[at] == FULL:
        foot = data.index(bytes([FOOTER]) + data[at + 1:at + 5], at)
        name = data[at + 6:at + 6 + data[at + 5]].decode()
        yield f'section {name}', foot - 1
        at = foot + 5
    check(data[at] == EOF, f'no end of the stream at {at}')


def table(data):
    """A byte of a shared page: of the host's tables, which "ram" carries."""
    return data.index(b'BOCHS BXPC') + 106


def shared(data):
    """(what, place) of bytes of pages that "ram" carries."""
    yield 'a shared page', table(data)
    start = data.index(b'\x03ram' + bytes(4))
    zero = next(m.start() for m in re.finditer(
        re.escape(struct.pack('>Q', ZERO | 0x20)[1:]), data[start:]))
    yield 'the offset of a zero page', start + zero + 5


@test('lane: a byte of every kind in the stream of a saved guest')
def bytes_of_a_stream(env):
    with saved(env, 'lane-bytes') as (host, data):
        for what, at in (*records(data), *sections(data), *shared(data)):
            changed = bytearray(data)
            changed[at] ^= 1
            try:
                info = load(env, host, changed)
            except Failed as error:
                raise Failed(f'{what}, byte {at}: {error}') from error
            check(info['status'] == 'failed', f'{what}, byte {at}: unnoticed')
        check(load(env, host, data)['status'] == 'completed', 'not as it was')


# --- By somebody who knows the format -----------------------------------------

def program(data):
    """A byte of LANE that nothing checks but the digest: a claim."""
    return data.index(LANE_RECORD) + 16 + 8 + 5


def register(data):
    return data.rindex(CPU) + REGISTER


def changed(where):
    def edit(data):
        data[where(data)] ^= 1
        return data
    return edit


def exchanged(data):
    """Two pages with their nonces and tags, each in the other's place."""
    a, b = [places[0][0] + 8 for places in entries(data).values()
            if len(places) == 1][:2]
    n = HEADER + PAGE
    data[a:a + n], data[b:b + n] = data[b:b + n], data[a:a + n]
    return data


def section(data, mark):
    """(start, end) of the section of device state with this name."""
    name = data.rindex(mark)
    start = name - 5
    check(data[start] == FULL, f'no section at {start}')
    foot = bytes([FOOTER]) + data[start + 1:start + 5]
    return start, data.index(foot, name) + 5


def repeated(data):
    """The vCPU's state once more, behind the digest, with another register."""
    start, end = section(data, CPU)
    again = bytearray(data[start:end])
    again[REGISTER] ^= 1
    _, last = section(data, END)
    check(data[last] == EOF, 'the digest is not the last section')
    data[last:last] = again
    return data


def early(data):
    """The vCPU's state once more, before "ram"; upstream loads that, too."""
    start, end = section(data, CPU)
    first = data.index(b'\x03ram' + bytes(4)) - 5
    data[first:first] = data[start:end]
    return data


def no_digest(data):
    start, end = section(data, END)
    del data[start:end]
    return data


def zeros_over_sealed(data):
    """Upstream's "ram" says that a page that came sealed is zero."""
    start = data.index(b'\x03ram' + bytes(4))      # the section's name
    foot = bytes([FOOTER]) + data[start - 4:start]
    (block, offset), _ = next(
        found for found in entries(data).items() if len(found[1]) == 1)
    record = [m.start() for m in re.finditer(
        re.escape(MAGIC + b'\0\5'), data)][block]
    length, = struct.unpack_from('>Q', data, record + 32)
    name = data[record + 40:record + 40 + length]
    # The last thing before the last footer is "end of this section", 8 bytes.
    last = data.rindex(foot, 0, data.rindex(END_RECORD)) - 8
    data[last:last] = struct.pack('>QB', offset | ZERO, length) + name + b'\0'
    return data


OTHER_PAGE = r'page 0x[0-9a-f]+ of RAM block \S+: the lane finds it changed'
OTHER_SHARED = r'shared pages were changed'
OTHER_STATE = r'records or device state were changed'
EDITS = (
    ('two pages exchanged', exchanged, OTHER_PAGE),
    ('a shared page', changed(table), OTHER_SHARED),
    ('zeros over a sealed page', zeros_over_sealed, OTHER_SHARED),
    ('device state', changed(register), OTHER_STATE),
    ("the program's sum", changed(program), OTHER_STATE),
    ('a second state of a vCPU', repeated,
     r"behind the lane's digest comes a section of type 4"),
    ('a state of a vCPU before END', early,
     r'section "cpu" came before END, where the lane.s digest does not'),
    ('no digest', no_digest, r"the lane's digest is not at its end"),
)


@test('lane: a saved guest, changed where nothing but its digest tells')
def edited(env):
    with saved(env, 'lane-edits') as (host, data):
        for what, edit, words in EDITS:
            try:
                expect_error(load(env, host, edit(bytearray(data))), words)
            except Failed as error:
                raise Failed(f'{what}: {error}') from error


# --- On a line, and the guest goes on where it was -----------------------------

class OnTheWay:
    """An edit for a Proxy: the byte that @where finds in what passes."""

    def __init__(self, where):
        self._where, self._at, self.done = where, None, False
        self._tail = b''        # of what passed: a mark may come in two parts

    def __call__(self, offset, data):
        if self._at is None:
            seen = self._tail + bytes(data)
            with contextlib.suppress(ValueError):
                self._at = offset - len(self._tail) + self._where(seen)
            self._tail = seen[-64:]
        if self._at is not None and 0 <= self._at - offset < len(data):
            data[self._at - offset] ^= 1
            self.done = True
        return data


LINES = (
    ('a shared page', table, OTHER_SHARED),
    ('device state', register, OTHER_STATE),
    ("the program's sum", program, OTHER_STATE),
)


@test('lane: changed on the line, refused, and the guest goes on at its source')
def line(env):
    one, two = softhost.two_hosts(env)
    source = one.tiny(env, 'lane-line', **LANE)
    with contextlib.closing(source.start()):
        source.soundly()
        source.cmd('migrate-set-parameters', sev_method='lane')
        for what, where, words in LINES:
            with listening(env, source, two, **GUEST) as (target, uri):
                edit = OnTheWay(where)
                proxy = Proxy(int(uri.rpartition(':')[2]), edit)
                info = migrate(source, proxy.uri)
                check(edit.done, f'{what} did not pass')
                expect_error(info, words)
                expect_error(target.wait_migration(), words)
                check(not target.ticks(), f'{what}: it counts')
            source.soundly()
        with listening(env, source, two, **GUEST) as (target, uri):
            completes(source, uri)
            arrived(source, target)


# --- Which method, and why ----------------------------------------------------

def printed(guest):
    return guest.cmd('human-monitor-command', command_line='info migrate')


def tells(guest, method, words):
    info = guest.cmd('query-sev-lane')
    check(info['method'] == method and re.search(words, info['method-reason']),
          f'{info}')
    return info


@test('lane: what auto chose and why is told, also of a migration that failed')
def auto(env):
    host = softhost.two_hosts(env)[0]
    for options in GUEST, LANE:
        guest = host.tiny(env, 'lane-auto', '-global',
                          'migration.multifd-flush-after-each-section=on',
                          **options)
        with contextlib.closing(guest.start()):
            guest.soundly()
            guest.cmd('migrate-set-parameters', sev_method='auto')
            if options is GUEST:
                info = completes(guest, 'exec:cat>/dev/null')['sev']
                check(info['method'] == 'packets' and 'this guest has no lane'
                      in info['method-reason'], f'{info}')
                check('no lane' in tells(guest, 'packets', 'no lane')['unusable'],
                      'it is usable')
                check('sev method: packets: packets, because' in printed(guest),
                      printed(guest))
                continue
            guest.takes(2500)
            guest.cmd('qom-set', path='/objects/sev0', property='x-fault',
                      value='lane-write')
            expect_error(migrate(guest, 'exec:cat>/dev/null'), 'lane-write')
            info = tells(guest, 'lane', r'^lane, because a packet takes')
            check(info['page-time'] < info['packet-time'], f'{info}')
            guest.obeys()
            guest.capabilities(multifd=True)
            migrate(guest, 'tcp:127.0.0.1:1')
            tells(guest, 'packets', r"unset 'multifd'")
            check('sev method' not in printed(guest), 'nothing was sent')
