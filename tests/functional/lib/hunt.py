# SPDX-License-Identifier: GPL-2.0-or-later
"""Look for the guest's secret in everything a host can see of a guest.

The secret is 32 bytes at the start of each of the agent's pages.  Host and
guest compute it from the seed; the bytes themselves pass no shared memory.
"""

import mmap
import os
import re
import struct

from netlab import noise

STREAM_SECRET = 0x736563726574


def needle(seed):
    return struct.pack('<4Q', *(noise(seed ^ STREAM_SECRET, i)
                                for i in range(4)))


def pages(path):
    """(offset, bytes) of the data in a file; holes are skipped."""
    with open(path, 'rb') as f:
        size = os.fstat(f.fileno()).st_size
        offset = 0
        while offset < size:
            try:
                offset = os.lseek(f.fileno(), offset, os.SEEK_DATA)
            except OSError:             # nothing but a hole from here on
                return
            end = os.lseek(f.fileno(), offset, os.SEEK_HOLE)
            yield offset, end
            offset = end


def occurrences(view, what, start, end):
    """Where @what is in a mapped file.

    Not by mmap's find(): Debian 12's Python looks a byte behind the map.
    """
    for found in re.compile(re.escape(what), re.S).finditer(view, start, end):
        yield found.start()


def count(path, what):
    """How often the bytes @what occur in the file."""
    hits = 0
    with open(path, 'rb') as f:
        if os.fstat(f.fileno()).st_size == 0:
            return 0
        with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as view:
            for start, end in pages(path):
                hits += sum(1 for _ in occurrences(view, what, start, end))
    return hits


def offsets(path, what):
    """Where the bytes @what occur."""
    with open(path, 'rb') as f, \
            mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return list(occurrences(view, what, 0, len(view)))


def backing(guest, what):
    """Hits in the RAM file or, of another process, in QEMU's memory files."""
    if guest.ram:
        return count(guest.ram, what)
    return sum(count(path, what) for path in memory_files(guest))


def memory_files(guest):
    """QEMU's memfds, as any process of its user can open them."""
    folder = f'/proc/{guest.vm.get_pid()}/fd'
    for fd in os.listdir(folder):
        path = f'{folder}/{fd}'
        if os.path.islink(path) and os.readlink(path).startswith('/memfd:memory-backend'):
            yield path


def views(guest, what):
    """Hits in every host-side view of a running guest: {view: hits}.

    The guest is stopped for the last three and runs on afterwards.
    """
    lab = guest.lab
    hits = {'RAM file, running': count(guest.ram, what)}
    guest.cmd('stop')
    try:
        hits['RAM file, stopped'] = count(guest.ram, what)
        size = guest.ram.stat().st_size
        for view, dump in (('pmemsave', lambda path: guest.cmd(
                'pmemsave', val=0, size=size, filename=str(path))),
                ('dump-guest-memory', lambda path: guest.cmd(
                    'dump-guest-memory', paging=False,
                    protocol=f'file:{path}'))):
            path = lab.large(f'{guest.name}.{view}')
            dump(path)
            hits[view] = count(path, what)
            path.unlink()
    finally:
        guest.cmd('cont')
    return hits
