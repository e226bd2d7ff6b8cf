# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU dies while it makes a template: what is left is whole, or no template.

The guest that is sealed is itself a clone, so that one boot is enough for many
deaths.
"""

import contextlib
import os
import random
import shutil
import signal
import time

from registry import SAID, test
from shape import Shape
from test_template_image import counted_on, template
from verdict import check, wait_until

MOMENTS = 64            # of killing, at random, in each layout; each run has others
# What making a template in a file must come by, whatever else it does.
STEPS = {'save-prepare', 'manifest-write', 'send-start', 'session-write',
         'block-write', 'break-write', 'send-update-data', 'save-complete',
         'state-write', 'end-write', 'device-state'}
# After the file was written nothing but its end is left to do.
LATE = {'send-cancel', 'send-finish'}


def again(env, path, sealed_at, shape=Shape()):
    """A stopped clone that can be made a template in its turn."""
    clone = env.start('again', incoming='defer', ram_file=False, shape=shape)
    clone.cmd('migrate-incoming', uri=f'file:{path}')
    clone.wait_loaded()
    clone.cmd('cont')
    counted_on([clone], sealed_at, 1)
    clone.cmd('stop')
    return clone


def judge(env, uri, sealed_at, shape=Shape(), in_place=False):
    """Load what is left: True, and it counts on, or False, and it says why."""
    clone = env.start('judge', incoming='defer', ram_file=False, shape=shape)
    with contextlib.closing(clone):
        if in_place:
            clone.capability('x-ignore-shared')
        clone.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        info = clone.wait_migration()
        if info['status'] == 'failed':
            SAID.append(info['error-desc'])
            return False
        clone.cmd('cont')
        counted_on([clone], sealed_at)
        return True


def killed(guest):
    with contextlib.suppress(ProcessLookupError):
        os.kill(guest.vm.get_pid(), signal.SIGKILL)
    wait_until(f'{guest.name} to die', 60, lambda: not guest.vm.is_running())


def source_points(guest):
    listed = guest.cmd('qom-get', path='/objects/sev0',
                       property='x-fault-points')
    return [point.partition(' ')[2] for point in listed
            if point.startswith('source ')]


def dies_at(origin, point, uri, capability):
    """Does it die there?  False: it does not come by, and is through."""
    origin.capability(capability)
    origin.cmd('qom-set', path='/objects/sev0', property='x-fault',
               value=f'{point}:1:die')
    with contextlib.suppress(Exception):        # the answer may not come
        origin.cmd('migrate', uri=uri)

    def ended():
        if not origin.vm.is_running():
            return 'died'
        with contextlib.suppress(Exception):    # it dies while we ask
            return origin.migration().get('status') == 'completed' and 'done'
        return None
    return wait_until(f'an end at {point}', 60, ended) == 'died'


def kill_at(env, chosen):
    """Kill it at each of the chosen points, and judge; those that it came by."""
    part = env.lab.large('part.image')
    met = set()
    with template(env, 'steps') as (path, sealed_at):
        with contextlib.closing(again(env, path, sealed_at)) as origin:
            points = [point for point in source_points(origin) if chosen(point)]
        for point in points:
            part.write_bytes(b'')
            with contextlib.closing(again(env, path, sealed_at)) as origin:
                died = dies_at(origin, point, f'file:{part}', 'sev-template')
            if died:
                met.add(point)
            whole = judge(env, f'file:{part}', sealed_at)
            check(whole == (not died or point in LATE), f'{point}: the guest '
                  f'{"died" if died else "lives"}, its template '
                  f'{"loads" if whole else "does not load"}')
    return met


@test('template: killed at every step of making one')
def every_step(env):
    met = kill_at(env, lambda point: point in STEPS | LATE)
    check(STEPS <= met, f'not met: {STEPS - met}')


@test('template: killed at the steps that making one does not come by', slow=True)
def other_steps(env):
    met = kill_at(env, lambda point: point not in STEPS | LATE)
    SAID.append(f'met all the same: {", ".join(sorted(met)) or "none"}')


def moments(seconds, count):
    """When to kill: all over the time that it takes, and a little later."""
    draw = random.Random(os.urandom(8))
    return [draw.uniform(0, 1.1) * seconds for _ in range(count)]


def report(what, seconds, results):
    SAID.append(f'{what}: {len(results)} kills within {seconds:.2f} s, '
                f'{sum(results)} left a whole template, none half of one')


def kill_at_random(env, count):
    part = env.lab.large('part.image')
    with template(env, 'moments') as (path, sealed_at):
        with contextlib.closing(again(env, path, sealed_at)) as origin:
            began = time.monotonic()
            origin.migrate(f'file:{part}', sev_template=True)
            seconds = time.monotonic() - began
        results = []
        for moment in moments(seconds, count):
            part.unlink()
            part.write_bytes(b'')
            with contextlib.closing(again(env, path, sealed_at)) as origin:
                origin.capability('sev-template')
                origin.vm.qmp('migrate', uri=f'file:{part}')
                time.sleep(moment)
                killed(origin)
            results.append(judge(env, f'file:{part}', sealed_at))
        report('one file', seconds, results)


@test('template: killed at random moments of making one', slow=True)
def random_moments(env):
    kill_at_random(env, MOMENTS)


# --- In place: the RAM file becomes the template -------------------------------

def placed(env, path, sealed_at, folder):
    """A clone whose RAM is a shared file, as Kata's template VM has it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    clone = again(env, path, sealed_at,
                  Shape(backend=f'shared:{folder / "memory"}'))
    clone.capability('x-ignore-shared')
    return clone


def judge_placed(env, folder, sealed_at):
    return judge(env, f'exec:cat {folder / "state"}', sealed_at,
                 Shape(backend=f'private:{folder / "memory"}'), True)


def kill_at_random_in_place(env, count):
    folder = env.lab.folder / 'killed'
    with template(env, 'inplace') as (path, sealed_at):
        try:
            uri = f'exec:cat>{folder / "state"}'
            with contextlib.closing(placed(env, path, sealed_at,
                                           folder)) as origin:
                began = time.monotonic()
                origin.migrate(uri)
                seconds = time.monotonic() - began
            results = []
            for moment in moments(seconds, count):
                with contextlib.closing(placed(env, path, sealed_at,
                                               folder)) as origin:
                    (folder / 'state').write_bytes(b'')
                    origin.vm.qmp('migrate', uri=uri)
                    time.sleep(moment)
                    killed(origin)
                time.sleep(0.1)         # what is in cat's pipe
                results.append(judge_placed(env, folder, sealed_at))
            report('in place', seconds, results)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@test('template: killed at random moments of sealing in place', slow=True)
def random_in_place(env):
    kill_at_random_in_place(env, MOMENTS)


@test('template: killed at every step of sealing in place')
def every_step_in_place(env):
    folder = env.lab.folder / 'steps'
    with template(env, 'insteps') as (path, sealed_at):
        try:
            uri = f'exec:cat>{folder / "state"}'
            for point in ('manifest-write', 'session-write', 'break-write',
                          'save-complete', 'send-update-data',
                          'state-write', 'end-write', 'device-state'):
                with contextlib.closing(placed(env, path, sealed_at,
                                               folder)) as origin:
                    died = dies_at(origin, point, uri, 'x-ignore-shared')
                check(died, f'{point} is not met')
                time.sleep(0.1)
                check(not judge_placed(env, folder, sealed_at),
                      f'killed at {point} it left a template that loads')
        finally:
            shutil.rmtree(folder, ignore_errors=True)
