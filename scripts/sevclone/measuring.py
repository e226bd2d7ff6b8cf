# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a clone takes and what it costs: times, and guest RAM from smaps."""

import time
from pathlib import Path

from sevclone import cloning, ui

SETTLE = 3              # seconds before memory is read
GUEST = 1 << 20         # mappings smaller than this are not guest memory


def mappings(pid):
    """(name, {field: KiB}) of each mapping in /proc/PID/smaps."""
    name, fields = None, {}
    for line in Path(f'/proc/{pid}/smaps').read_text('utf-8').splitlines():
        head = line.split(None, 5)
        if '-' in head[0] and not head[0].endswith(':'):
            if name is not None:
                yield name, fields
            name, fields = (head[5] if len(head) > 5 else ''), {}
            low, high = head[0].split('-')
            fields['bytes'] = int(high, 16) - int(low, 16)
        elif head[-1] == 'kB':
            fields[head[0][:-1]] = int(head[1])
    if name is not None:
        yield name, fields


def guest_memory(pid, sizes):
    """PSS and private bytes of the guest's RAM, shadow and flash included.

    @sizes: lengths of the guest's RAM blocks; a mapping of QEMU's is one of
    them when its length is, give or take the guard pages.
    """
    pss = private = 0
    for _, fields in mappings(pid):
        near = any(0 <= fields['bytes'] - size <= 8192 for size in sizes)
        if near and fields['bytes'] >= GUEST // 4:
            pss += fields['Pss'] << 10
            private += (fields['Private_Dirty'] +
                        fields['Private_Clean']) << 10
    return pss, private


def sizes(template):
    return [template.spec['memory_mib'] << 20, *template.spec.get('flash', ())]


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
        read = [guest_memory(c.pid, sizes(template)) for c, _ in made]
    finally:
        for clone, _ in made:
            clone.stop()
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
                           ('distinct', 'to re-seeded')):
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
