#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the seeds of fuzz-query.c: small templates of each layout, all whole.

usage: seed.py FOLDER           (tests/fuzz/sev-query/corpus)
"""

import hashlib
import struct
import sys
import zlib
from pathlib import Path

PAGE, HEADER, ALIGN = 4096, 52, 65536
STREAM, MAPPED, IN_PLACE = 1, 2, 3
HERE, VERIFY, WITH_RAM, NO_VERIFIER = 1, 2, 4, 8
MANIFEST, SESSION, BLOCK, PAGES, STATE, BREAK, END, IMAGE, HEADERS, DIGEST, \
    SHARED = 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
END_SECTION = b'\x10sev-template-end\0\0\0\0\0\0\0\1'


def record(kind, *values):
    """Numbers have 64 bits; texts and blobs their length before them."""
    payload = b''
    for value in values:
        if isinstance(value, int):
            payload += struct.pack('>Q', value)
        else:
            data = value.encode() if isinstance(value, str) else value
            payload += struct.pack('>Q', len(data)) + data
    return struct.pack('>4sHHQ', b'SEVR', 1, kind, len(payload)) + payload


def raw(kind, payload):
    return struct.pack('>4sHHQ', b'SEVR', 1, kind, len(payload)) + payload


def page(n):
    return bytes([n]) * PAGE


class Template:
    """Two blocks of four pages; page 1 of each is private, page 2 shared."""

    def __init__(self, layout):
        self.layout, self.images, self.parts = layout, [], {}
        self.blocks = [('ram', 4 * PAGE), ('rom', 4 * PAGE)]

    def head(self):
        text = 'ab' * 32
        out = record(MANIFEST, self.layout, 1, 1, 55, 1, PAGE, 2, 8 * PAGE, text,
                     'bWVhc3VyZQ==', 'pc-q35-10.0', 1, 1, 'EPYC-v4', text, text)
        out += record(SESSION, 1, 1, 1, 55, 1, 'bWVhc3VyZQ==', text,
                      bytes(2084), bytes(128))
        for number, (name, length) in enumerate(self.blocks):
            out += record(BLOCK, number, length, name)
        at = ALIGN
        for number, (_, length) in enumerate(self.blocks):
            if self.layout == STREAM:
                continue
            if self.layout == MAPPED:
                self.images.append((at, at + PAGE))
                out += record(IMAGE, number, 1, MAPPED, at + PAGE, at)
                at += PAGE + length
            elif number == 0:
                out += record(IMAGE, number, 1, IN_PLACE, 0, 0)
        return out + record(BREAK)

    def tail(self):
        out, total = b'', 0
        for number, (table, pages) in enumerate(self.images):
            self.parts[table + HEADER] = bytes(HEADER)
            self.parts[pages + PAGE] = page(7)
            self.parts[pages + 2 * PAGE] = page(9)
            place = struct.pack('>QQ', number, 2 * PAGE)
            total += zlib.crc32(page(9), zlib.crc32(place))
        if self.layout != MAPPED:
            one = struct.pack('>Q', PAGE) + bytes(HEADER) + page(7)
            out += b'a page of section ram'
            out += raw(PAGES, struct.pack('>QQ', 1, 1) + one)
        if self.layout == STREAM:
            out += raw(PAGES, struct.pack('>QQ', 0, 1) + one)
        if self.layout == IN_PLACE:
            out += raw(HEADERS, struct.pack('>QQQ', 0, PAGE, 1) + bytes(HEADER))
        for number, (_, length) in enumerate(self.blocks):
            out += raw(STATE, struct.pack('>QQQQQQ', number, 0, length, 1, PAGE,
                                          PAGE))
        if self.layout == MAPPED:
            out += record(DIGEST, hashlib.sha256(bytes(2 * HEADER)).digest())
            out += record(SHARED, 2, total)
        out += record(END, 0 if self.layout == MAPPED else 2, 2)
        return b'section sev' + out + b'devices' + END_SECTION

    def file(self):
        head, tail = self.head(), self.tail()
        at = ALIGN * 2 if self.layout == MAPPED else len(head)
        self.parts[0] = head
        self.parts[at] = tail + hashlib.sha256(head + tail).digest() + b'rest'
        size = max(place + len(data) for place, data in self.parts.items())
        out = bytearray(size)
        for place, data in self.parts.items():
            out[place:place + len(data)] = data
        return bytes(out)


def seed(choices, data):
    """The parts that fuzz-query.c puts together: no page of zeros."""
    out, skip = bytes([choices]), 0
    for at in range(0, len(data), PAGE):
        part = data[at:at + PAGE]
        if part == bytes(PAGE):
            skip += 1
        else:
            out += struct.pack('>HH', skip, len(part)) + part
            skip = 0
    return out


def main():
    folder = Path(sys.argv[1])
    for name, layout in (('mapped', MAPPED), ('stream', STREAM),
                         ('in-place', IN_PLACE)):
        for choices in (HERE | VERIFY | WITH_RAM, HERE | NO_VERIFIER, 0):
            (folder / f'{name}-{choices}').write_bytes(
                seed(choices, Template(layout).file()))


if __name__ == '__main__':
    main()
