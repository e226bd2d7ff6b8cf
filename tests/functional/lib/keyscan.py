# SPDX-License-Identifier: GPL-2.0-or-later
"""Look for AES keys in the memory of a process.

A cipher keeps its key expanded, and an AES-128 key schedule shows: of its 44
words, word n is word n-4 xor word n-1 except in every fourth place.  The first
four words are the key itself.
"""

import contextlib
import re

WORDS = 44
ROUNDS = 10
MOST = 256 << 20                # of one mapping: guest RAM is larger, or a file

# Three words that follow from those before, one that does not; ten times.
SCHEDULE = re.compile(rb'(?=(?:\0{12}(?!\0{4}).{4}){%d})' % ROUNDS, re.S)
MAPPING = re.compile(r'^([0-9a-f]+)-([0-9a-f]+) rw-p [0-9a-f]+ \S+ \S+ *(.*)$',
                     re.M)


def mappings(pid):
    """The bytes of each private mapping that can be written to."""
    with open(f'/proc/{pid}/maps', encoding='utf-8') as maps:
        text = maps.read()
    with open(f'/proc/{pid}/mem', 'rb', 0) as mem:
        for start, end, name in MAPPING.findall(text):
            start, end = int(start, 16), int(end, 16)
            if name in ('', '[heap]') and end - start <= MOST:
                yield present(pid, mem, start, end)


def present(pid, mem, start, end, page=4096):
    """A mapping's bytes without the pages that nobody ever touched."""
    with open(f'/proc/{pid}/pagemap', 'rb', 0) as pagemap:
        pagemap.seek(start // page * 8)
        entries = pagemap.read((end - start) // page * 8)
    found = bytearray()
    for number in range(len(entries) // 8):
        if entries[number * 8 + 7] & 0xc0:
            mem.seek(start + number * page)
            with contextlib.suppress(OSError):      # it was unmapped since
                found += mem.read(page)
    return bytes(found)


def keys(pid):
    """The AES-128 keys whose schedules lie in the memory of the process."""
    found = set()
    for data in mappings(pid):
        bits = int.from_bytes(data, 'little')
        follows = (bits ^ bits >> 96 ^ bits >> 128).to_bytes(len(data),
                                                             'little')
        for match in SCHEDULE.finditer(follows):
            at = match.start() - 4
            if at >= 0 and at % 4 == 0 and at + 4 * WORDS <= len(data):
                found.add(data[at:at + 16])
    return found


def hits(pid, what):
    """How often any of the byte strings is there."""
    return sum(data.count(each) for data in mappings(pid) for each in what)
