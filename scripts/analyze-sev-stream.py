#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a recorded migration stream or a template: what SEV put into it.

Prints every record (pages in short), then totals and what is wrong, if
anything is: a record that does not decode or comes out of order, a page
outside its block, an IV used twice, a packet that is no ciphertext.

The exit code is 0 only if the stream is whole.  Format: see
docs/interop/sev-record.md; this reader shares no code with the writer.
"""

import argparse
import hashlib
import json
import mmap
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
}
ZERO = bytes(PAGE)
MAPPED, IN_PLACE = 2, 3
IMAGE_ALIGN = 64 * 1024
PAYLOAD_MAX = 16 + 64 * (8 + PACKET_HEADER.size + PAGE)

# What may follow what; None is the beginning.
FOLLOWS = {
    None: ('HELLO', 'MANIFEST', 'SESSION'),
    'HELLO': ('SESSION', 'BREAK'),
    'MANIFEST': ('SESSION', 'BREAK'),
    'SESSION': ('BLOCK', 'BREAK'),
    'BLOCK': ('BLOCK', 'IMAGE', 'BREAK', 'PAGES', 'STATE'),
    'IMAGE': ('IMAGE', 'BREAK'),
    'PAGES': ('PAGES', 'HEADERS', 'BREAK', 'STATE', 'END'),
    'HEADERS': ('HEADERS', 'STATE'),
    'BREAK': ('SESSION', 'BLOCK', 'PAGES', 'HEADERS', 'BREAK', 'STATE', 'END'),
    'STATE': ('STATE', 'DIGEST', 'SHARED', 'END', 'BREAK'),
    'DIGEST': ('SHARED', 'END'),
    'SHARED': ('END',),
    'END': (),
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
            return self.blob().decode('ascii')
        return self.blob() if kind == 'blob' else self.number()


def find_magic(view, start):
    """Where the next one is, or -1.

    Not by mmap's find(): Debian 12's Python looks a byte behind the map.
    """
    found = re.compile(re.escape(MAGIC)).search(view, start)
    return found.start() if found else -1


def records(view, behind):
    """(offset, type, payload) of every record; other bytes are QEMU's own.

    @behind(end) is where to go on after the record that ends at @end: an image
    of RAM is full of bytes that look like anything.
    """
    at = find_magic(view, 0)
    while at >= 0:
        if len(view) - at < HEADER.size:
            return
        _, version, kind, length = HEADER.unpack_from(view, at)
        if version == VERSION and kind in LAYOUT and length <= PAYLOAD_MAX:
            end = at + HEADER.size + length
            if end > len(view):
                raise Wrong(f'{LAYOUT[kind][0]} at {at} is cut short')
            yield at, kind, view[at + HEADER.size:end]
            at = find_magic(view, behind(end))
        else:                           # four bytes of a page that look alike
            at = find_magic(view, at + 1)


class Analysis:
    """The rules of a stream, and what was seen."""

    def __init__(self, view):
        self.view, self.images, self.layout = view, {}, 'stream'
        self.places = {}                # record: [(offset, payload length)]
        self.last, self.blocks, self.ivs = None, {}, set()
        self.counts, self.wrong = {}, []
        self.packets = self.again = self.private = self.weak = 0
        self.placed = 0                 # packets that lie outside the stream
        self.sent, self.end = set(), None
        self.runs = {}                  # block number: [(offset, length)]
        self.identity = {}

    def record(self, at, kind, payload):
        name, fields = LAYOUT[kind]
        self.counts[name] = self.counts.get(name, 0) + 1
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

    def _session(self, values, _cursor):
        if len(values['session']) != 128:
            raise Wrong(f'a session of {len(values["session"])} bytes')
        self.identity = dict(
            policy=values['policy'], target=values['target'],
            api=f'{values["api-major"]}.{values["api-minor"]}')

    def _block(self, values, _cursor):
        if values['number'] != len(self.blocks):
            raise Wrong(f'block {values["number"]} out of order')
        self.blocks[values['number']] = values

    def _inside(self, number, offset, length):
        block = self.blocks.get(number)
        if block is None or offset % PAGE or offset + length > block['length']:
            raise Wrong(f'page {offset:#x} is not in block {number}')

    def _image(self, values, _cursor):
        self._inside(values['block'], 0, 0)
        if values['layout'] == MAPPED:
            length = self.blocks[values['block']]['length']
            for start, size in ((values['pages'], length),
                                (values['headers'],
                                 length // PAGE * PACKET_HEADER.size)):
                if start % PAGE or start + size > len(self.view):
                    raise Wrong(f'{start:#x}+{size:#x} is not in the file')
        self.layout = {MAPPED: 'mapped', IN_PLACE: 'in-place'}[values['layout']]
        self.images[values['block']] = values

    def behind(self, end):
        """Where the stream goes on after a record that ended at @end."""
        if self.last == 'BREAK' and self.layout == 'mapped':
            last = max(image['pages'] + self.blocks[number]['length']
                       for number, image in self.images.items())
            return max(end, -(-last // IMAGE_ALIGN) * IMAGE_ALIGN)
        return end

    def _packet(self, page, header, data):
        flags, iv, _mac = PACKET_HEADER.unpack(header)
        if flags:
            self.wrong.append(f'flags {flags:#x} of page {page}')
        if iv in self.ivs:
            self.wrong.append(f'IV of page {page} was used before')
        self.ivs.add(iv)
        if data:
            self.weak += len(set(data)) < 240       # ciphertext has all 256
        self.again += page in self.sent
        self.sent.add(page)

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
            for offset in range(0, self.blocks[number]['length'], PAGE):
                at = image['pages'] + offset
                page = self.view[at:at + PAGE]
                if offset not in private and page != ZERO:
                    place = number.to_bytes(8, 'big') + offset.to_bytes(8, 'big')
                    total += zlib.crc32(page, zlib.crc32(place))
                    found += 1
        if (found, total % 2 ** 64) != (values['pages'], values['sum']):
            self.wrong.append(f'the {found} shared pages do not have the sum '
                              'that SHARED says')

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
            self.private += length // PAGE
            self.runs.setdefault(values['block'], []).append((offset, length))

    def _end(self, values, _cursor):
        self.end = values
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

    def result(self, size):
        return dict(
            bytes=size, layout=self.layout, records=self.counts,
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
    args = parser.parse_args()
    with open(args.stream, 'rb') as f, \
            mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as view:
        analysis = Analysis(view)
        try:
            for at, kind, payload in records(view, analysis.behind):
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
