# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates that are mapped: first touch, sealing in place, chains."""

import contextlib
import os
import re
import shutil
import signal
import struct

import hunt
from image import Image
from registry import test
from shape import Shape
from test_hops import rebooted
from test_template import seal
from verdict import MIGRATE_LIMIT, Failed, check, wait_until


def start_clones(env, image, count, stem='clone', **options):
    clones = [env.start(stem, incoming=f'file:{image}', ram_file=False,
                        **options) for _ in range(count)]
    for clone in clones:
        clone.wait_resumed()
    return clones


def maps(guest, path):
    """Is the RAM of this guest a mapping of the file?"""
    with open(f'/proc/{guest.vm.get_pid()}/maps', encoding='utf-8') as f:
        return any(str(path) in line and 'rw-p' in line for line in f)


def counted_on(clones, sealed_at, more=4):
    for clone in clones:
        ticks = clone.wait_ticks(more)
        check(ticks[0][0] > sealed_at,
              f'{clone.name} began at tick {ticks[0][0]}')


@contextlib.contextmanager
def template(env, name, **options):
    """(file, tick it was sealed at) of a guest that is gone."""
    path = env.lab.large(f'{name}.image')
    origin = env.boot(name, **options)
    with contextlib.closing(origin):
        sealed_at = seal(env, origin, path)
    try:
        yield path, sealed_at
    finally:
        path.unlink(missing_ok=True)


@test('template: clones share the file and open pages at first touch')
def first_touch(env):
    with template(env, 'mapped') as (path, sealed_at):
        image = Image(path)
        check(not image.wrong, f'the template is wrong: {image.wrong}')
        check(image.found['layout'] == 'mapped', image.found['layout'])
        clones = start_clones(env, path, 3)
        for clone in clones:
            check(maps(clone, path), f'{clone.name} does not map the template')
        path.unlink()                   # it lives as long as a clone does
        counted_on(clones, sealed_at)
        for clone in clones:
            clone.cmd('stop')           # everything newer goes to DRAM
            clone.cmd('cont')
        counted_on(clones, sealed_at, 3)
        for clone in clones:
            clone.close()


@test('template: a clone that is reset boots again')
def reset(env):
    """Its firmware lets devices fill pages that nobody has opened so far."""
    with template(env, 'reset') as (path, sealed_at):
        clone, = start_clones(env, path, 1)
        counted_on([clone], sealed_at)
        rebooted(clone)
        clone.sound_ticks()
        clone.close()


@test('template: four vCPUs touch a clone at once')
def four_vcpus(env):
    with template(env, 'four', smp=4) as (path, sealed_at):
        clones = start_clones(env, path, 2, smp=4)
        counted_on(clones, sealed_at)
        for clone in clones:
            clone.close()


@test('template: a clone becomes a template, and migrates away')
def chained(env):
    with template(env, 'chain') as (path, sealed_at):
        [clone] = start_clones(env, path, 1)
        counted_on([clone], sealed_at)
        second = env.lab.large('chain2.image')
        sealed_again = seal(env, clone, second)
        check(not Image(second).wrong, 'the second template is wrong')
        clone.cmd('cont')               # it is still sealed for the most part
        clone.wait_ticks(2)
        [grandchild] = start_clones(env, second, 1, 'grandchild')
        second.unlink()
        counted_on([grandchild], sealed_again)
        clone.capability('sev-template', False)
        with env.target(ram_file=False) as target:
            uri = f'tcp:127.0.0.1:{target.listen(clone)}'
            info = clone.migrate(uri)
            check(info['status'] == 'completed', f'a clone away: {info}')
            target.wait_loaded()
            if not target.cmd('query-status')['running']:
                target.cmd('cont')
            target.wait_ticks(4)
        grandchild.close()
        clone.close()


# --- In place, in Kata's way -------------------------------------------------

def kata_seal(env, folder):
    """What Kata does to make a template; the tick it was sealed at."""
    ram, state = folder / 'memory', folder / 'state'
    origin = env.boot('kata', ram_file=False,
                      shape=Shape(backend=f'shared:{ram}'))
    with contextlib.closing(origin):
        origin.cmd('stop')
        sealed_at = origin.sound_ticks()[-1][0]
        origin.capability('x-ignore-shared')
        info = origin.migrate(f'exec:cat>{state}')
        check(info['status'] == 'completed', f'sealing in place: {info}')
        if env.lab.sev:
            cannot_run(origin)
        os.kill(origin.vm.get_pid(), signal.SIGKILL)
    wait_until('the state file', 5, lambda: state.stat().st_size > 100000)
    return sealed_at


def cannot_run(origin):
    # QEMU says "completed" before it lets go of its own run state.
    wait_until('the end of the migration', MIGRATE_LIMIT, lambda: origin.cmd(
        'query-status')['status'] != 'finish-migrate')
    try:
        origin.cmd('cont')
    except Failed as refused:
        check('sealed in the file of its memory' in str(refused), str(refused))
    else:
        raise Failed('a guest that was sealed in place runs again')


def kata_clone(env, folder):
    clone = env.start('kata-clone', incoming='defer', ram_file=False,
                      extra=('-S',),
                      shape=Shape(backend=f'private:{folder / "memory"}'))
    clone.capability('x-ignore-shared')
    clone.cmd('migrate-incoming', uri=f'exec:cat {folder / "state"}')
    return clone


@test("template: Kata's sequence, sealed in place", sev=False)
def kata(env):
    folder = env.lab.folder / 'kata'
    folder.mkdir()
    try:
        sealed_at = kata_seal(env, folder)
        state = folder / 'state'
        if env.lab.sev:
            image = Image(state)
            check(image.found['layout'] == 'in-place', f'{image.found}')
            for path in (state, folder / 'memory'):
                hits = hunt.count(path, env.lab.needle())
                check(not hits, f'{hits} hits in {path.name}')
        size = state.stat().st_size
        check(size < 8 << 20, f'{size} bytes beyond the RAM file')
        clones = [kata_clone(env, folder) for _ in range(3)]
        for clone in clones:
            clone.wait_loaded()
        shutil.rmtree(folder)           # as "factory destroy" may, any time
        for clone in clones:
            clone.cmd('cont')
        counted_on(clones, sealed_at)
        for clone in clones:
            clone.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- When packets are opened -------------------------------------------------

def private_bytes(guest, path):
    """Memory that this process has of the mapping of @path for itself alone."""
    found, mine = 0, False
    with open(f'/proc/{guest.vm.get_pid()}/smaps', encoding='utf-8') as f:
        for line in f:
            if re.match(r'[0-9a-f]+-[0-9a-f]+ ', line):
                mine = str(path) in line
            elif mine and line.startswith('Private_Dirty:'):
                found += int(line.split()[1]) << 10
    return found


def spare_pages(guest, block='/rom@etc/acpi/tables'):
    """Pages with memory behind what this block, which may grow, uses."""
    said = guest.cmd('human-monitor-command', command_line='info ramblock')
    [line] = [line for line in said.splitlines() if block in line]
    used, room, host = (int(word, 16) for word in line.split()[4:7])
    check(used < room, f'{block} uses all of its room: {line}')
    with open(f'/proc/{guest.vm.get_pid()}/pagemap', 'rb') as f:
        f.seek((host + used) // 4096 * 8)
        entries = struct.iter_unpack('<Q', f.read((room - used) // 4096 * 8))
        return sum(entry >> 63 for entry, in entries)


def opened(env, path, sealed_at, when):
    clone = env.start(when, incoming='defer', ram_file=False)
    clone.cmd('migrate-set-parameters', sev_template_open=when)
    clone.cmd('migrate-incoming', uri=f'file:{path}')
    clone.wait_resumed()
    counted_on([clone], sealed_at)
    return clone


@test('template: eager, swept, at first touch: the same guest')
def when_opened(env):
    with template(env, 'when') as (path, sealed_at):
        size = len(Image(path).private_pages()) * 4096
        eager = opened(env, path, sealed_at, 'eager')
        check(not maps(eager, path), 'an eager clone maps the template')
        eager.close()
        touch = opened(env, path, sealed_at, 'first-touch')
        own = private_bytes(touch, path)
        check(own < size / 4, f'{own} of {size} bytes are its own')
        spare = spare_pages(touch)
        check(not spare, f'{spare} pages have memory that nobody sees')
        touch.close()
        swept = opened(env, path, sealed_at, 'sweep')
        wait_until('the sweep', 60,
                   lambda: private_bytes(swept, path) > size * 0.7)
        counted_on([swept], sealed_at, 2)
        swept.close()
