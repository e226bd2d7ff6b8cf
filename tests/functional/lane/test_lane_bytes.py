# SPDX-License-Identifier: GPL-2.0-or-later
"""A byte of every kind of a stream that the lane sealed: none goes unnoticed.

The guest is a small one (../../guest/tiny-sev.S), because each byte is a load.
"""

import contextlib
import re
import struct

import softhost
from registry import test
from verdict import Failed, check

GUEST = dict(cpu='EPYC-v4', mem='8M', sev=',lane=on')
MAGIC = b'SEVR\0\1'
NAMES = {4: 'SESSION', 5: 'BLOCK', 6: 'PAGES', 7: 'STATE', 8: 'BREAK', 9: 'END',
         16: 'LANE', 17: 'SEALED'}
FULL, FOOTER = 4, 0x7e
# Of the payload: first, last, and between.
WHERE = 0.0, 0.37, 1.0


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
    at = data.rindex(MAGIC + b'\0\x09') + 16 + 16 + 5
    while data[at] == FULL:
        foot = data.index(bytes([FOOTER]) + data[at + 1:at + 5], at)
        name = data[at + 6:at + 6 + data[at + 5]].decode()
        yield f'section {name}', foot - 1
        at = foot + 5
    check(data[at] == 0, f'no end of the stream at {at}')


def shared(data):
    """(what, place) of bytes of pages that upstream's "ram" carries."""
    start = data.index(b'\x03ram' + bytes(4))
    at = data.index(b'BXPC', start)
    yield 'a shared page', at + 40
    zero = next(m.start() for m in re.finditer(
        re.escape(struct.pack('>Q', 0x22)[1:]), data[start:at]))
    yield 'the offset of a zero page', start + zero + 5


def load(env, host, path):
    """Must fail, and nothing runs; what it said."""
    target = host.tiny(env, 'lane-byte', incoming='defer', **dict(GUEST, sev=''))
    with contextlib.closing(target.start()):
        target.cmd('migrate-incoming', uri=f'exec:cat {path}',
                   exit_on_error=False)
        info = target.wait_migration()
        if info['status'] == 'completed':
            target.soundly()
        else:
            check(not target.ticks(), 'it counts')
        return info


@test('lane: a byte of every kind in the stream of a saved guest')
def bytes_of_a_stream(env):
    host = softhost.two_hosts(env)[0]
    path, other = env.lab.large('lane.bytes'), env.lab.large('lane.bytes2')
    origin = host.tiny(env, 'lane-bytes', **GUEST)
    with contextlib.closing(origin.start()):
        origin.soundly()
        origin.cmd('migrate-set-parameters', sev_method='lane')
        origin.cmd('migrate', uri=f'exec:cat>{path}')
        info = origin.wait_migration()
        check(info['status'] == 'completed', f'{info}')
    data = path.read_bytes()
    for what, at in (*records(data), *sections(data), *shared(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        other.write_bytes(changed)
        try:
            info = load(env, host, other)
        except Failed as error:
            raise Failed(f'{what}, byte {at}: {error}') from error
        check(info['status'] == 'failed', f'{what}, byte {at}, goes unnoticed')
    check(load(env, host, path)['status'] == 'completed', 'nothing was changed')
