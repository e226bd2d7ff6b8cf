# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a clone takes and what it costs: times, and guest RAM from smaps."""

import re
import time
from pathlib import Path

from sevclone import cloning, process, ui

SETTLE = 3              # seconds before memory is read


def ranges(ramblocks):
    """[(start, end, name)] of host memory from the text of "info ramblock".

    Only plaintext that belongs to another block has no name there.
    """
    found = []
    for line in ramblocks.splitlines():
        words = line.split()
        host = [w for w in words if re.fullmatch('0x[0-9a-f]{16}', w)]
        if len(host) >= 4:              # offset, used, total, host address
            start, length = int(host[3], 16), int(host[2], 16)
            name = 'plaintext' if words[1].isalpha() else words[0]
            found.append((start, start + length, name))
    return found


def mappings(pid):
    """(start, {field: KiB}) of each mapping in /proc/PID/smaps."""
    start, fields = None, {}
    for line in Path(f'/proc/{pid}/smaps').read_text('utf-8').splitlines():
        words = line.split()
        if '-' in words[0] and not words[0].endswith(':'):
            if start is not None:
                yield start, fields
            start, fields = int(words[0].partition('-')[0], 16), {}
        elif words[-1] == 'kB':
            fields[words[0][:-1]] = int(words[1])
    if start is not None:
        yield start, fields


def by_block(pid, ramblocks):
    """{name: (PSS, private)} in bytes: RAM, its shadow, flash, ROMs.

    @ramblocks: what HMP's "info ramblock" of that process says.
    """
    blocks = ranges(ramblocks)
    found = {}
    for start, fields in mappings(pid):
        for low, high, name in blocks:
            if low <= start < high:
                pss, private = found.get(name, (0, 0))
                found[name] = (pss + (fields['Pss'] << 10), private +
                               ((fields['Private_Dirty'] +
                                 fields['Private_Clean']) << 10))
                break
    return found


def guest_memory(pid, ramblocks):
    """Bytes of (PSS, private) of all RAM blocks together."""
    read = by_block(pid, ramblocks).values()
    return sum(pss for pss, _ in read), sum(private for _, private in read)


def ramblocks_of(clone):
    said = clone.qmp().cmd('human-monitor-command',
                           {'command-line': 'info ramblock'})
    clone.release()
    return said


def timed(binary, template, runs, reseed, progress):
    took = []
    for i in range(runs):
        clone, times = cloning.one(binary, template, reseed)
        clone.stop()
        took.append(times)
        progress.bar('one at a time', i + 1, runs)
    return {key: ui.spread([t[key] for t in took]) for key in took[0]}


def pooled(binary, template, runs, reseed, progress):
    took = []
    for i in range(runs):
        waiting = cloning.ready(cloning.start(binary, template), template)
        try:
            took.append(cloning.fill(waiting, template, reseed))
        finally:
            waiting.stop()
        progress.bar('started beforehand', i + 1, runs)
    return {key: ui.spread([t[key] for t in took]) for key in took[0]}


def memory(binary, template, count, reseed, progress):
    made = cloning.many(binary, template, count, 2, reseed, progress)
    try:
        time.sleep(SETTLE)
        read = [guest_memory(c.pid, ramblocks_of(c)) for c, _ in made]
    finally:
        process.stop_all(clone for clone, _ in made)
    return {'clones': count,
            'pss_bytes': sum(r[0] for r in read) // count,
            'private_bytes': sum(r[1] for r in read) // count}


def bench(binary, template, runs, alive, progress):
    reseed = cloning.has_helper(template)
    said = {'template': template.name,
            'boot_seconds': template.spec['boot_seconds'],
            'fresh': timed(binary, template, runs, reseed, progress),
            'pool': pooled(binary, template, runs, reseed, progress),
            'memory': [memory(binary, template, n, reseed, progress)
                       for n in sorted({1, alive})]}
    progress.clear()
    return said


def lines(said):
    rows = [['', 'p50', 'p99', 'runs']]
    for kind, what in (('fresh', 'from exec'), ('pool', 'from a pool')):
        for key, label in (('resume', 'to RESUME'),
                           ('seeded', 'to re-seeded'),
                           ('distinct', 'to distinct')):
            if key in said[kind]:
                s = said[kind][key]
                rows.append([f'{what} {label}', ui.ms(s['p50']),
                             ui.ms(s['p99']), s['n']])
    out = ui.table(rows)
    out.append(f'the template\'s own boot: {said["boot_seconds"]:.2f} s')
    for m in said['memory']:
        out.append(f'guest memory of each of {m["clones"]}: '
                   f'{ui.mib(m["pss_bytes"])} PSS, '
                   f'{ui.mib(m["private_bytes"])} private')
    return out
