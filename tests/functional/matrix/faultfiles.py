# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of the failure matrix whose other end is a file.

Makers: a guest becomes a template.  Clones: a guest is loaded from one.
Disks: the file's disk is full.
"""

import contextlib
import re
import shutil
import subprocess
import time

from faults import (PATIENCE, STALL_MS, Matrix, Result, base, fault, stop_cont,
                    target_ends)
from faultsteps import EITHER, LOST_GUEST, MADE, STAYS, STEPS
from shape import Shape
from test_template import seal
from verdict import MIGRATE_LIMIT, Failed, Skip, check, wait_until

GONE = r'was sealed in the file of its memory'


def on(guest, name, state=True):
    guest.capability(name, state)


class Makers(Matrix):
    """One guest that is made a template, over and over."""

    ways = ('template', 'template, pipe', 'template, in place')

    def __init__(self, env):
        self.env, self.guest, self.in_place = env, None, None
        self.folder = env.lab.folder / 'maker'
        self.folder.mkdir()
        self.options = dict(mem=160, ram_file=False,
                            boot=dict(mib=8, tick=100))

    def close(self):
        if self.guest:
            self.guest.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _guest(self, in_place):
        """The guest of the last row, or a new one if that was lost."""
        if self.guest and self.in_place != in_place:
            self.guest.close()
            self.guest = None
        if not self.guest:
            shape = Shape(backend=f'shared:{self.folder / "memory"}') \
                if in_place else Shape()
            self.guest = self.env.boot('maker', shape=shape, **self.options)
            self.in_place = in_place
        return self.guest

    def _lost(self):
        self.guest.close()
        self.guest = None
        (self.folder / 'memory').unlink()

    def uri(self, way):
        path = self.folder / 'image'
        return f'file:{path}' if way == 'template' else f'exec:cat > {path}'

    def row(self, way, side, point, event):
        step = STEPS[way][side][point]
        for attempt in range(PATIENCE):
            result = Result(way, side, point, event)
            if self._make(result, step, STALL_MS * 4 ** attempt):
                return result
        raise Failed(f'{point}, {event}: no stall was long enough')

    def _make(self, result, step, stall_ms):
        in_place = 'in place' in result.way
        capability = 'x-ignore-shared' if in_place else 'sev-template'
        guest = self._guest(in_place)
        guest.cmd('stop')
        before = guest.sound_ticks()[-1][0]
        on(guest, capability)
        event = result.event
        action = event if base(event) == 'fail' else f'stall={stall_ms}'
        fault(guest, f'{result.point}:{step.nth}:{action}')
        in_time = self._happens(result, guest, len(guest.log()))
        info = guest.wait_migration()
        result.said = info.get('error-desc', '')
        expected = step.outcome.get(base(event), MADE
                                    if event == 'stop/cont' else STAYS)
        got = MADE if info['status'] == 'completed' else STAYS
        if got == STAYS and in_place and not self._runs(guest):
            got = LOST_GUEST
        check(expected in (got, EITHER) or not in_time, f'the guest: {got}, expected: {expected} '
              f'({info})')
        result.source = got
        self._says(result, step, info)
        if got == LOST_GUEST or in_place and got == MADE:
            self._lost()
            return in_time
        if got == MADE:
            self._whole()
        on(guest, capability, False)
        if not guest.cmd('query-status')['running']:
            guest.cmd('cont')
        check(guest.wait_ticks(2)[-1][0] >= before + 2, 'ticks were lost')
        if got == STAYS:
            self._again(result, capability)
        return in_time

    def _happens(self, result, guest, start):
        """False if the step went on before the event was through."""
        guest.cmd('migrate', uri=self.uri(result.way))
        wait_until(f'fault at {result.point}', MIGRATE_LIMIT, lambda:
                   f'at {result.point}\n' in guest.log()[start:], 0.005)
        if base(result.event) == 'fail':
            return True
        in_time = f'x-fault: going on at {result.point}' not in \
            guest.log()[start:]
        if result.event == 'cancel':
            guest.cmd('migrate_cancel')
        else:
            stop_cont(guest)
        fault(guest, '')
        return in_time

    @staticmethod
    def _runs(guest):
        try:
            guest.cmd('cont')
        except Failed as error:
            check(re.search(GONE, str(error)), str(error))
            return False
        return True

    @staticmethod
    def _says(result, step, info):
        if base(result.event) == 'fail' and result.source != MADE:
            pattern = step.sentence(result.point, result.event)
            check(info['status'] == 'failed' and
                  re.search(pattern, result.said, re.M),
                  f'it ended: {info}')

    def _whole(self):
        """Is what was made a template that opens?"""
        path = self.folder / 'image'
        said = self.guest.cmd('query-sev-template', path=str(path),
                              verify=True)
        check(said['whole'], f'the template is not whole: {said}')
        path.unlink()

    def _again(self, result, capability):
        """The next attempt makes a template; the guest runs on after it."""
        guest = self.guest
        guest.cmd('stop')
        on(guest, capability)
        (self.folder / 'image').unlink(missing_ok=True)

        def started():
            try:
                guest.cmd('migrate', uri=self.uri(result.way))
            except Failed as error:
                check('cleaned up' in str(error), str(error))
                return None
            return True
        wait_until('start of the second attempt', 30, started)
        info = guest.wait_migration()
        check(info['status'] == 'completed', f'the second attempt: {info}')
        result.second = 'succeeds'
        if self.in_place:
            self._lost()
            return
        self._whole()
        on(guest, capability, False)
        guest.cmd('cont')
        guest.wait_ticks(2)


class Clones(Matrix):
    """Clones of one template that do not load; and then one that does."""

    ways = ('clone', 'clone, eager', 'clone, in place')

    def __init__(self, env):
        self.env, self.made = env, {}
        self.folder = env.lab.folder / 'clones'
        self.folder.mkdir()
        self.options = dict(mem=160, ram_file=False,
                            boot=dict(mib=8, tick=100))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _template(self, in_place):
        """(uri of the template, what a clone's memory is)"""
        if in_place not in self.made:
            memory, image = self.folder / 'memory', self.folder / str(in_place)
            shape = Shape(backend=f'shared:{memory}') if in_place else Shape()
            origin = self.env.boot('origin', shape=shape, **self.options)
            with contextlib.closing(origin):
                if in_place:
                    origin.cmd('stop')
                    info = origin.migrate(f'exec:cat > {image}',
                                          x_ignore_shared=True)
                    check(info['status'] == 'completed', f'{info}')
                else:
                    seal(self.env, origin, image)
            self.made[in_place] = (
                (f'exec:cat {image}', Shape(backend=f'private:{memory}'))
                if in_place else (f'file:{image}', Shape()))
        return self.made[in_place]

    def row(self, way, side, point, event):
        result = Result(way, side, point, event)
        step = STEPS[way][side][point]
        with self._clone(way) as (clone, uri):
            fault(clone, f'{point}:{step.nth}:{event}')
            with contextlib.suppress(Failed):       # it may die of the answer
                clone.cmd('migrate-incoming', uri=uri, exit_on_error=False)
            result.target = target_ends(clone)
            if event != 'die':
                check(result.target.startswith('failed'),
                      f'the clone {result.target}')
                pattern = step.sentence(point, event)
                check(re.search(pattern, result.target, re.M), result.target)
        result.source = 'template as it was'
        with self._clone(way) as (clone, uri):
            clone.cmd('migrate-incoming', uri=uri, exit_on_error=False)
            clone.wait_resumed()
            clone.wait_ticks(2)
        result.second = 'a clone runs'
        return result

    @contextlib.contextmanager
    def _clone(self, way):
        in_place = 'in place' in way
        uri, shape = self._template(in_place)
        clone = self.env.start('clone', incoming='defer', shape=shape,
                               **self.options)
        try:
            if in_place:
                on(clone, 'x-ignore-shared')
            if 'eager' in way:
                clone.cmd('migrate-set-parameters', sev_template_open='eager')
            yield clone, uri
        finally:
            clone.close()


class Disks(Makers):
    """Files on a disk with little room."""

    ways = ('disk, file', 'disk, exec', 'disk, template',
            'disk, template, pipe', 'disk, in place')

    def __init__(self, env):
        super().__init__(env)
        self.here = 'a'
        env.host('a').trust(env.host('b'))
        env.host('b').trust(env.host('a'))

    @contextlib.contextmanager
    def _disk(self, kib):
        """A folder whose disk has room for @kib KiB."""
        folder = self.folder / 'disk'
        folder.mkdir()
        # A disk of no size has no limit.
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o',
                               f'size={max(kib, 4)}k', 'none', str(folder)],
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise Skip(f'no small disk: {done.stderr.strip()}')
        if not kib:
            (folder / 'filled').write_bytes(bytes(4096))
        try:
            yield folder
        finally:
            time.sleep(0.1)             # "cat" goes after its pipe
            subprocess.run(['umount', '-l', str(folder)], check=True)
            folder.rmdir()

    def row(self, way, side, point, event):
        result = Result(way, side, f'room for {point}', 'disk full')
        step = STEPS[way][side][point]
        in_place = 'in place' in way
        guest = self._guest(in_place)
        capability = 'x-ignore-shared' if in_place else \
            'sev-template' if 'template' in way else None
        if capability:
            guest.cmd('stop')
            on(guest, capability)
        before = guest.sound_ticks()[-1][0]
        with self._disk(int(point)) as folder:
            path = folder / 'image'
            guest.cmd('migrate', uri=f'file:{path}' if
                      way in ('disk, file', 'disk, template')
                      else f'exec:cat > {path}')
            info = guest.wait_migration()
        result.said = info.get('error-desc', '')
        check(info['status'] == 'failed' and re.search(step.says, result.said),
              f'it ended: {info}')
        result.source = STAYS
        if in_place and not self._runs(guest):
            result.source = LOST_GUEST
        expected = step.outcome.get('fail', STAYS)
        check(expected in (EITHER, result.source), f'the guest: '
              f'{result.source}, expected: {expected}')
        if result.source == LOST_GUEST:
            self._lost()
            return result
        if capability:
            on(guest, capability, False)
        if not guest.cmd('query-status')['running']:
            guest.cmd('cont')
        check(guest.wait_ticks(2)[-1][0] >= before + 2, 'ticks were lost')
        if capability:
            result.way = way.replace('disk, ', '')
            self._again(result, capability)
            result.way = way
        else:
            self.move()
            result.second = 'succeeds'
        return result
