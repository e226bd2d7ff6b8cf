#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a recorded migration stream or a template: what SEV put into it.

Prints every record (pages in short), then totals and what is wrong, if
anything is: a record that does not decode or comes out of order, a page
outside its block, an IV used twice, a packet that is no ciphertext.

The exit code is 0 only if the stream is whole.  Format: see
docs/interop/sev-record.rst; this reader shares no code with the writer.

It looks at so many packets, records and bytes and no more, whatever the file
says, and prints no byte of it that a terminal would act upon.
"""

import argparse
import hashlib
import json
import mmap
import os
import re
import struct
import sys
import zlib

MAGIC = b'SEVR'
VERSION = 1
HEADER = struct.Struct('>4sHHQ')
PAGE, PACKET_HEADER = 4096, struct.Struct('<I16s32s')
RUN = struct.Struct('>QQ')

# Payload fields in order: a number, a blob, a text (a blob of ASCII).
NUMBERS = ('policy', 'api-major', 'api-minor', 'build')
LAYOUT = {
    1: ('HELLO', [*NUMBERS, 'fingerprint:text']),
    2: ('CERTS', ['pdh:blob', 'plat:blob', 'amd:blob']),
    3: ('MANIFEST', ['layout', *NUMBERS, 'page-size', 'blocks', 'ram-bytes',
                     'fingerprint:text', 'measurement:text', 'machine:text',
                     'method', 'vcpus', 'cpu:text', 'chip:text',
                     'ram-layout:text']),
    4: ('SESSION', ['policy', 'handle', *NUMBERS[1:], 'measurement:text',
                    'target:text', 'pdh:blob', 'session:blob']),
    5: ('BLOCK', ['number', 'length', 'name:text']),
    6: ('PAGES', ['block', 'count']),
    7: ('STATE', ['block', 'offset', 'length', 'count']),
    8: ('BREAK', []),
    9: ('END', ['packets', 'private-pages']),
    10: ('IMAGE', ['block', 'method', 'layout', 'pages', 'headers']),
    11: ('HEADERS', ['block', 'offset', 'count']),
    12: ('DIGEST', ['digest:blob']),
    13: ('SHARED', ['pages', 'sum']),
    15: ('GO', []),
    16: ('LANE', ['program:blob', 'count']),
    17: ('SEALED', []),
    18: ('VCPUS', ['ghcb', 'count']),
    19: ('VMSA', ['number']),
}
ZERO = bytes(PAGE)
MAPPED, IN_PLACE = 2, 3
IMAGE_ALIGN = 64 * 1024
PAYLOAD_MAX = 16 + 64 * (8 + PACKET_HEADER.size + PAGE)

LANE_MAX = 16
VCPUS_MAX = 4096
PACKETS_MAX = 1 << 21           # 8 GiB of private pages: 400 MB of memory
RECORDS_MAX = RUNS_MAX = 1 << 20
BLOCKS_MAX = 4096
GAP_MAX = 256 << 20             # without a record
HOLES_MAX = 64 << 20            # in all that is not an image
WRONG_MAX = 20                  # of one kind or another; the rest is counted

# What may follow what; None is the beginning.
FOLLOWS = {
    None: ('HELLO', 'MANIFEST', 'SESSION'),
    'HELLO': ('SESSION', 'BREAK'),
    'MANIFEST': ('SESSION', 'BREAK'),
    'SESSION': ('VCPUS', 'BLOCK', 'BREAK'),
    'VCPUS': ('BLOCK', 'BREAK'),
    'BLOCK': ('BLOCK', 'LANE', 'IMAGE', 'BREAK', 'PAGES', 'STATE'),
    'LANE': ('IMAGE', 'BREAK'),
    'IMAGE': ('IMAGE', 'BREAK'),
    'PAGES': ('PAGES', 'HEADERS', 'BREAK', 'STATE', 'END'),
    'HEADERS': ('HEADERS', 'STATE'),
    'SEALED': ('GO',),
    'BREAK': ('SESSION', 'BLOCK', 'PAGES', 'HEADERS', 'BREAK', 'STATE', 'END'),
    'STATE': ('STATE', 'DIGEST', 'SHARED', 'VMSA', 'END', 'BREAK'),
    'DIGEST': ('SHARED', 'VMSA', 'END'),
    'SHARED': ('VMSA', 'END'),
    'VMSA': ('VMSA', 'END'),
    'END': ('GO', 'SEALED'),        # the lane's comes last of all
    'GO': (),
}


class Wrong(Exception):
    """The stream breaks a rule; the text says where and which."""


class Cursor:
    """A payload, read front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if self.at + length > len(self.data):
            raise Wrong(f'needs {length} bytes at {self.at}, '
                        f'has {len(self.data) - self.at}')
        self.at += length
        return self.data[self.at - length:self.at]

    def number(self):
        return int.from_bytes(self.take(8), 'big')

    def blob(self):
        return self.take(self.number())

    def field(self, kind):
        if kind == 'text':
            text = self.blob().decode('ascii')
            if not text.isprintable():
                raise Wrong(f'a text that cannot be printed: {ascii(text)}')
            return text
        return self.blob() if kind == 'blob' else self.number()


def find_magic(view, start):
    """Where the next one is, or -1.

    Not by mmap's find(): Debian 12's Python looks a byte behind the map.
    """
    found = re.compile(re.escape(MAGIC)).search(view, start, start + GAP_MAX)
    return found.start() if found else -1


def data_in(fd, start, end):
    """(start, end) of the parts that are no holes."""
    while start < end:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError:                 # nothing but a hole from here on
            return
        if start < end:
            hole = os.lseek(fd, start, os.SEEK_HOLE)
            yield start, min(hole, end)
            start = hole


class Holes:
    """How much of what was searched for records are holes; not much may be."""

    def __init__(self, fd):
        self.fd, self.found = fd, 0

    def count(self, start, end):
        self.found += end - start
        self.found -= sum(b - a for a, b in data_in(self.fd, start, end))
        if self.found > HOLES_MAX:
            raise Wrong(f'holes of more than {HOLES_MAX >> 20} MiB where '
                        'records are to be')


def records(view, fd, behind):
    """(offset, type, payload) of every record; other bytes are QEMU's own.

    @behind(end) is where to go on after the record that ends at @end: an image
    of RAM is full of bytes that look like anything.
    """
    holes, start, at = Holes(fd), 0, find_magic(view, 0)
    while at >= 0:
        holes.count(start, at)
        start = at
        if len(view) - at < HEADER.size:
            return
        _, version, kind, length = HEADER.unpack_from(view, at)
        if version == VERSION and kind in LAYOUT and length <= PAYLOAD_MAX:
            end = at + HEADER.size + length
            if end > len(view):
                raise Wrong(f'{LAYOUT[kind][0]} at {at} is cut short')
            yield at, kind, view[at + HEADER.size:end]
            start = behind(end)
            at = find_magic(view, start)
        else:                           # four bytes of a page that look alike
            at = find_magic(view, at + 1)


class Analysis:
    """The rules of a stream, and what was seen."""

    def __init__(self, view, fd, packets_max=PACKETS_MAX):
        self.view, self.fd, self.packets_max = view, fd, packets_max
        self.images, self.layout = {}, 'stream'
        self.places = {}                # record: [(offset, payload length)]
        self.last, self.blocks, self.ivs = None, {}, set()
        self.counts, self.wrong, self.unsaid = {}, [], 0
        self.packets = self.again = self.private = self.weak = 0
        self.placed = 0                 # packets that lie outside the stream
        self.sent, self.end = set(), None
        self.runs, self.n_runs = {}, 0  # block number: [(offset, length)]
        self.identity, self.program = {}, None
        self.vcpus = []                 # APIC ids

    def say(self, wrong):
        if len(self.wrong) < WRONG_MAX:
            self.wrong.append(wrong)
        else:
            self.unsaid += 1

    def record(self, at, kind, payload):
        name, fields = LAYOUT[kind]
        self.counts[name] = self.counts.get(name, 0) + 1
        if sum(self.counts.values()) > RECORDS_MAX:
            raise Wrong(f'more than {RECORDS_MAX} records: too many for this '
                        'reader')
        if name not in FOLLOWS[self.last]:
            raise Wrong(f'{name} at {at} after {self.last}')
        self.last = name
        if name not in ('PAGES', 'HEADERS'):
            self.places.setdefault(name, []).append((at, len(payload)))
        cursor, values = Cursor(payload), {}
        for field in fields:
            label, _, form = field.partition(':')
            values[label] = cursor.field(form)
        handler = getattr(self, f'_{name.lower()}', None)
        if handler:
            handler(values, cursor)
        if cursor.at != len(payload):
            raise Wrong(f'{name} at {at}: {len(payload) - cursor.at} '
                        'bytes too many')
        return name, values

    @staticmethod
    def _hello(values, cursor):
        if cursor.at < len(cursor.data):        # of before it ends here
            values['hand-over'] = cursor.number()

    def _session(self, values, _cursor):
        if len(values['session']) != 128:
            raise Wrong(f'a session of {len(values["session"])} bytes')
        self.identity = dict(
            policy=values['policy'], target=values['target'],
            api=f'{values["api-major"]}.{values["api-minor"]}')

    def _block(self, values, _cursor):
        if values['number'] != len(self.blocks):
            raise Wrong(f'block {values["number"]} out of order')
        if len(self.blocks) == BLOCKS_MAX:
            raise Wrong(f'more than {BLOCKS_MAX} blocks')
        self.blocks[values['number']] = values

    def _inside(self, number, offset, length):
        block = self.blocks.get(number)
        if block is None or offset % PAGE or offset + length > block['length']:
            raise Wrong(f'page {offset:#x} is not in block {number}')

    def _image(self, values, _cursor):
        number = values['block']
        self._inside(number, 0, 0)
        if values['layout'] not in (MAPPED, IN_PLACE) or number in self.images:
            raise Wrong(f'block {number} has an image of layout '
                        f'{values["layout"]}, or a second one')
        if values['layout'] == MAPPED:
            for start, end in self._places(values):
                if start % PAGE or end > len(self.view):
                    raise Wrong(f'{start:#x} to {end:#x} is not in the file')
                for other in self.images.values():
                    if any(start < b and a < end
                           for a, b in self._places(other)):
                        raise Wrong(f'images of blocks {other["block"]} and '
                                    f'{number} overlap')
        self.layout = {MAPPED: 'mapped', IN_PLACE: 'in-place'}[values['layout']]
        self.images[number] = values

    def _places(self, image):
        """(start, end) of pages and of headers."""
        length = self.blocks[image['block']]['length']
        return ((image['pages'], image['pages'] + length),
                (image['headers'], image['headers'] +
                 length // PAGE * PACKET_HEADER.size))

    def behind(self, end):
        """Where the stream goes on after a record that ended at @end."""
        if self.last == 'BREAK' and self.layout == 'mapped':
            last = max(image['pages'] + self.blocks[number]['length']
                       for number, image in self.images.items())
            return max(end, -(-last // IMAGE_ALIGN) * IMAGE_ALIGN)
        return end

    def _packet(self, page, header, data):
        flags, iv, _mac = PACKET_HEADER.unpack(header)
        if self.program:                # the lane's: epoch, nonce, tag, zeros
            flags, iv = any(header[32:]), header[4:16]
        if flags:
            self.say(f'flags {flags:#x} of page {page}')
        if iv in self.ivs:
            self.say(f'IV of page {page} was used before')
        if self.packets + self.placed >= self.packets_max:
            raise Wrong(f'more than {self.packets_max} packets; with --packets '
                        'it looks at more')
        self.ivs.add(iv)
        if data:
            self.weak += len(set(data)) < 240       # ciphertext has all 256
        self.again += page in self.sent
        self.sent.add(page)

    def _lane(self, values, cursor):
        if len(values['program']) != 32 or values['count'] > LANE_MAX:
            raise Wrong('a lane whose program has no SHA-256, or '
                        f'{values["count"]} packets')
        for _ in range(values['count']):
            cursor.take(8 + PACKET_HEADER.size + PAGE)
        self.program = values['program'].hex()

    def _sealed(self, _values, cursor):
        cursor.take(PACKET_HEADER.size + PAGE)
        if not self.program:
            raise Wrong('SEALED without LANE')

    def _vcpus(self, values, cursor):
        if not 0 < values['count'] <= VCPUS_MAX:
            raise Wrong(f'{values["count"]} vCPUs')
        self.vcpus = [cursor.number() for _ in range(values['count'])]
        if self.vcpus != sorted(set(self.vcpus)):
            raise Wrong('APIC ids that do not ascend')

    def _vmsa(self, values, cursor):
        if values['number'] != self.counts['VMSA'] - 1:
            raise Wrong(f'registers of vCPU {values["number"]} out of order')
        self._packet(('vCPU', values['number']),
                     cursor.take(PACKET_HEADER.size), cursor.take(PAGE))

    def _headers(self, values, cursor):
        for i in range(values['count']):
            offset = values['offset'] + i * PAGE
            self._inside(values['block'], offset, PAGE)
            self._packet((values['block'], offset),
                         cursor.take(PACKET_HEADER.size), None)
            self.placed += 1

    def _digest(self, values, _cursor):
        digest = hashlib.sha256()
        for number, image in sorted(self.images.items()):
            for start, length in self.runs.get(number, ()):
                for offset in range(start, start + length, PAGE):
                    at = image['headers'] + \
                        offset // PAGE * PACKET_HEADER.size
                    header = self.view[at:at + PACKET_HEADER.size]
                    digest.update(header)
                    at = image['pages'] + offset
                    self._packet((number, offset), header,
                                 self.view[at:at + PAGE])
                    self.placed += 1
        if digest.digest() != values['digest']:
            self.wrong.append('the headers do not have the digest that '
                              'DIGEST says')

    def _shared(self, values, _cursor):
        if self.layout != 'mapped':     # in a file that is not at hand
            return
        found = total = 0
        for number, image in self.images.items():
            private = {offset for start, length in self.runs.get(number, ())
                       for offset in range(start, start + length, PAGE)}
            place = number.to_bytes(8, 'big')
            for offset in self._data_pages(number, image):
                at = image['pages'] + offset
                page = self.view[at:at + PAGE]
                if offset not in private and page != ZERO:
                    total += zlib.crc32(page, zlib.crc32(
                        place + offset.to_bytes(8, 'big')))
                    found += 1
        if (found, total % 2 ** 64) != (values['pages'], values['sum']):
            self.wrong.append(f'the {found} shared pages do not have the sum '
                              'that SHARED says')

    def _data_pages(self, number, image):
        """Offsets of the pages of a mapped block that are no holes."""
        at, last = image['pages'], -PAGE
        for start, end in data_in(self.fd, at,
                                  at + self.blocks[number]['length']):
            first = max((start - at) // PAGE * PAGE, last + PAGE)
            for last in range(first, end - at, PAGE):
                yield last

    def _pages(self, values, cursor):
        for _ in range(values['count']):
            offset = cursor.number()
            self._inside(values['block'], offset, PAGE)
            self._packet((values['block'], offset),
                         cursor.take(PACKET_HEADER.size), cursor.take(PAGE))
            self.packets += 1

    def _state(self, values, cursor):
        self._inside(values['block'], values['offset'], values['length'])
        last = values['offset']
        for _ in range(values['count']):
            offset, length = RUN.unpack(cursor.take(RUN.size))
            end = values['offset'] + values['length']
            if offset < last or not length or offset + length > end:
                raise Wrong(f'run {offset:#x}+{length:#x} out of order')
            last = offset + length
            self.n_runs += 1
            if self.n_runs > RUNS_MAX:
                raise Wrong(f'more than {RUNS_MAX} runs')
            self.private += length // PAGE
            if self.private > self.packets_max:
                raise Wrong(f'more than {self.packets_max} private pages; with '
                            '--packets it looks at more')
            self.runs.setdefault(values['block'], []).append((offset, length))

    def _end(self, values, _cursor):
        self.end = values
        if self.counts.get('VMSA', 0) != len(self.vcpus):
            self.wrong.append(f'registers of {self.counts.get("VMSA", 0)} '
                              f'vCPUs, there are {len(self.vcpus)}')
        for label, seen in (('packets', self.packets),
                            ('private-pages', self.private)):
            if values[label] != seen:
                self.wrong.append(f'END says {values[label]} {label}, '
                                  f'there are {seen}')

    def finish(self):
        if self.last is None:
            self.wrong.append('there is no SEV record in it')
        elif self.end is None:
            self.wrong.append('there is no END record')
        if self.weak:
            self.wrong.append(f'{self.weak} packets are no ciphertext')
        if self.unsaid:
            self.wrong.append(f'{self.unsaid} more like these')

    def result(self, size):
        return dict(
            bytes=size, layout=self.layout, records=self.counts,
            method='lane' if self.program else 'packets',
            lane_program=self.program,
            **({'vcpus': self.vcpus} if self.vcpus else {}),
            packets=self.packets + self.placed,
            sent_again=self.again, private_pages=self.private,
            packet_bytes=(self.packets + self.placed) *
            (PAGE + PACKET_HEADER.size),
            blocks={b['name']: b['length'] for b in self.blocks.values()},
            images={self.blocks[n]['name']: image
                    for n, image in self.images.items()},
            places=self.places,
            private_runs={self.blocks[n]['name']: runs
                          for n, runs in self.runs.items()},
            **self.identity, wrong=self.wrong)


def short(values):
    return ' '.join(
        f'{k}={v.hex()[:16]}...[{len(v)}]' if isinstance(v, bytes) else
        f'{k}={v:#x}' if k in ('policy', 'offset', 'length') else f'{k}={v}'
        for k, v in values.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('stream', help='a file with a migration stream')
    parser.add_argument('--json', action='store_true',
                        help='the totals only, as JSON')
    parser.add_argument('--packets', type=int, default=PACKETS_MAX, metavar='N',
                        help='look at so many, default 2097152: 200 bytes of '
                        'memory each')
    args = parser.parse_args()
    with open(args.stream, 'rb') as f, \
            mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as view:
        analysis = Analysis(view, f.fileno(), args.packets)
        try:
            for at, kind, payload in records(view, f.fileno(),
                                             analysis.behind):
                name, values = analysis.record(at, kind, payload)
                if not args.json:
                    print(f'{at:#012x} {name:9}{short(values)}')
        except (Wrong, UnicodeDecodeError) as error:
            analysis.wrong.append(str(error))
        analysis.finish()
        result = analysis.result(len(view))
    if not args.json:
        del result['private_runs'], result['places'], result['images']
    print(json.dumps(result, indent=None if args.json else 2))
    return 1 if analysis.wrong else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
