# SPDX-License-Identifier: GPL-2.0-or-later
"""The lane's digest of a guest that moves: what is changed on the way."""

import contextlib
import struct

from image import HEADER, PAGE
from registry import SAID, expect_error, test
from shape import Shape
from tamper import Proxy
from test_lane import SIZE, counts_on, entries, loaded, refused, use_lane
from verdict import check

LANE = Shape(sev=',lane=on')

# Upstream's marks of a section, and a byte behind them that is loaded as it is.
CPU = b'\x03cpu' + bytes(4)             # a vCPU's state
DEVICE = CPU, 700                       # ... in its vector registers
END = b'\x0csev-lane-end' + bytes(4)
FULL, FOOTER, EOF = 4, 0x7e, 0
ZERO = 2                                # of a page in "ram"
RECORD = b'SEVR\0\1\0\x10', 16 + 8 + 5  # LANE: the program's sum, a claim


def acpi(data):
    """A byte of a shared page: of the host's tables, which "ram" carries."""
    return data.index(b'BXPC') + 100


def record(data):
    return data.index(RECORD[0]) + RECORD[1]


def device(data):
    return data.rindex(DEVICE[0]) + DEVICE[1]


def changed(where):
    def edit(data):
        data[where(data)] ^= 1
        return data
    return edit


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
    again[DEVICE[1]] ^= 1
    _, last = section(data, END)
    check(data[last] == EOF, 'the digest is not the last section')
    data[last:last] = again
    return data


def no_digest(data):
    start, end = section(data, END)
    del data[start:end]
    return data


def zeros_over_sealed(data):
    """Upstream's "ram" says that a page that came sealed is zero."""
    start = data.index(b'\x03ram' + bytes(4))      # the section's name
    foot = bytes([FOOTER]) + data[start - 4:start]
    name = data.index(struct.pack('>Q', 3) + b'ram')    # its BLOCK record's end
    number, = struct.unpack_from('>Q', data, name - 16)
    offset = next(at for (block, at), places in entries(data).items()
                  if block == number and len(places) == 1)
    # The last thing before the last footer is "end of this section", 8 bytes.
    last = data.rindex(foot, 0, data.rindex(b'SEVR\0\1\0\x09')) - 8
    data[last:last] = struct.pack('>QB3sB', offset | ZERO, 3, b'ram', 0)
    return data


def exchanged(data):
    """Two pages with their nonces and tags, each in the other's place."""
    a, b = [places[0][0] + 8 for places in entries(data).values()
            if len(places) == 1][50:52]
    n = HEADER + PAGE
    data[a:a + n], data[b:b + n] = data[b:b + n], data[a:a + n]
    return data


EDITS = (
    ('two pages exchanged', exchanged,
     r'page 0x[0-9a-f]+ of RAM block \S+: the lane finds it changed'),
    ('a shared page', changed(acpi), r'shared pages were changed'),
    ('device state', changed(device), r'records or device state were changed'),
    ("the program's sum", changed(record),
     r'records or device state were changed'),
    ('a second state of a vCPU', repeated,
     r"behind the lane's digest comes a section of type 4"),
    ('no digest', no_digest, r"the lane's digest is not at its end"),
    ('zeros over a sealed page', zeros_over_sealed,
     r'shared pages were changed'),
)


@test('lane: a saved guest, changed where nothing but its digest tells')
def saved(env):
    path, other = env.lab.large('lane.live'), env.lab.large('lane.live2')
    with env.booted(shape=LANE, keep=False, **SIZE) as origin:
        use_lane(origin)
        info = origin.migrate(f'exec:cat>{path}')
        check(info['status'] == 'completed', f'{info}')
    data = path.read_bytes()
    for what, edit, words in EDITS:
        other.write_bytes(edit(bytearray(data)))
        try:
            refused(env, f'exec:cat {other}', words)
        except Exception as error:
            raise AssertionError(f'{what}: {error}') from error
    with loaded(env, f'exec:cat {path}') as clone:
        counts_on(clone, 0)


# --- On a line, and the guest goes on where it was -----------------------------

class OnTheWay:
    """An edit for a Proxy: the byte that @where finds in what passes."""

    def __init__(self, where):
        self._where, self._at, self.done = where, None, False

    def __call__(self, offset, data):
        if self._at is None:
            with contextlib.suppress(ValueError):
                self._at = offset + self._where(bytes(data))
        if self._at is not None and 0 <= self._at - offset < len(data):
            data[self._at - offset] ^= 1
            self.done = True
        return data


LINES = (
    ('a shared page', acpi, r'shared pages were changed'),
    ('device state', device, r'records or device state were changed'),
    ("the program's sum", record, r'records or device state were changed'),
)


@test('lane: changed on the line, refused, and the guest goes on at its source')
def line(env):
    env.host('a').trust(env.host('b'))
    env.host('b').trust(env.host('a'))
    with env.booted(shape=LANE, keep=False, **SIZE) as guest:
        use_lane(guest)
        for what, where, words in LINES:
            edit = OnTheWay(where)
            target = env.start('lane-line', 'b', incoming='defer', **SIZE)
            with contextlib.closing(target):
                proxy = Proxy(target.listen(guest), edit)
                info = guest.migrate(proxy.uri)
                check(edit.done, f'{what} did not pass')
                expect_error(info, words)
                expect_error(target.wait_migration(), words)
                check(not target.ticks(), f'{what}: it counts')
            guest.wait_ticks(2)
            SAID.append(info['error-desc'])
        target = env.start('lane-line', 'b', incoming='defer', **SIZE)
        with contextlib.closing(target):
            before = guest.ticks()[-1]
            info = guest.migrate(f'tcp:127.0.0.1:{target.listen(guest)}')
            check(info['status'] == 'completed', f'{info}')
            target.wait_loaded()
            check(target.wait_ticks(2)[0][0] > before[0], 'it went back')
