# SPDX-License-Identifier: GPL-2.0-or-later
"""The failure matrix: every step of a migration times everything that happens.

faultsteps.py has the rows; those with files are run by faultfiles.py.  One guest is booted and lives through all rows.  A row arms a fault point
(target/i386/sev/test/fault.h) in one of the two QEMUs, starts a migration and, when
the point is reached, lets the event happen.  Then the guest must count on,
where it was or where it went, with its memory as it was; if it stayed, a
second migration, to a fresh target, must succeed.  It may never run twice:
both screens are watched.  Targets are started with -S and continued when the
source says "completed", as libvirt does it; over the long line they are started
without, and run by themselves.
"""

import contextlib
import os
import re
import signal
import time

from faultsteps import EITHER, MOVES, STAYS, STEPS, rows  # noqa: F401
from delayline import DelayLine
from shape import Shape
from tamper import Lines, Proxy
from verdict import MIGRATE_LIMIT, Failed, check, wait_until
from watch import Watch

STALL_MS = 800          # of a point; the event happens meanwhile
DELAY = 0.1             # of the long line, seconds, one way
PATIENCE = 3            # tries of a row, each with a longer stall


class Past:
    """What a guest printed on earlier hosts; the end of it is enough."""

    def __init__(self, guest):
        self._text = guest.text()[-8192:]

    def text(self):
        return self._text


class Result:
    """One line of the table."""

    def __init__(self, way, side, point, event):
        self.way, self.side, self.point, self.event = way, side, point, event
        self.source = self.second = self.said = self.target = ''
        self.good = True


class Matrix:
    """One guest and the rows it goes through, over one line."""

    ways = ('line',)
    held = ('-S',)

    def __init__(self, env, **options):
        self.env = env
        self.options = dict(mem=160, ram_file=False,
                            boot=dict(mib=8, tick=100), **options)
        env.host('a').trust(env.host('b'))
        env.host('b').trust(env.host('a'))
        self.here = 'a'
        self.guest = env.boot('matrix', 'a', **self.options)

    def close(self):
        self.guest.close()

    # --- Two ends ---

    @contextlib.contextmanager
    def target(self, exit_on_error=False):
        """A QEMU that waits on the other host; (it, its port)."""
        there = 'b' if self.here == 'a' else 'a'
        target = self.env.start('target', there, incoming='defer',
                                extra=self.held, **self.options)
        try:
            self.prepared(target)
            port = target.listen(None, exit_on_error)
            yield target, port
        finally:
            if target is not self.guest:
                target.close()

    def prepared(self, target):
        """What @target needs to know before it listens."""

    def line(self, port, edit):
        return Line(port, edit)

    def moved(self, target):
        """The guest is @target's now."""
        target.came_from = Past(self.guest)
        target.wait_loaded()
        self.runs(target)
        target.wait_ticks(2)
        old, self.guest = self.guest, target
        self.here = 'b' if self.here == 'a' else 'a'
        old.close()

    def runs(self, target):
        """The guest has arrived: let it run."""
        target.cmd('cont')

    def move(self):
        """A migration that nothing disturbs."""
        with self.target() as (target, port):
            self.guest.cmd('migrate-set-parameters', max_bandwidth=1 << 30)
            info = self.guest.migrate(f'tcp:127.0.0.1:{port}')
            check(info['status'] == 'completed',
                  f'the second migration: {info}')
            self.moved(target)

    # --- A row ---

    def row(self, way, side, point, event):
        """Run one row; a stall that was over too soon is tried again."""
        step = STEPS[way][side][point]
        for attempt in range(PATIENCE):
            result = Result(way, side, point, event)
            if self._attempt(result, step, STALL_MS * 4 ** attempt):
                break
        else:
            raise Failed(f'{point}, {event}: no stall was long enough')
        return result

    def _attempt(self, result, step, stall_ms):
        before = self.guest.ticks()[-1][0]
        exits = base(result.event) == 'fail' and result.side == 'target'
        edit = step.other[1]() if step.other and step.other[0] == 'line' \
            else None
        with self.target(exits) as (target, port), \
                self.line(port, edit) as line, Watch(self.guest, target):
            ends = {'source': self.guest, 'target': target}
            arm(ends, result, step, stall_ms)
            in_time = self._happens(result, ends, line)
            self._judge(result, step, target, in_time)
            if result.source == MOVES:
                self.moved(target)
        if result.source == STAYS:
            check(self.guest.wait_ticks(2)[-1][0] >= before + 2,
                  'ticks were lost')
            self.move()
            result.second = 'succeeds'
        return in_time

    def _happens(self, result, ends, line):
        """Migrate until the point is reached, then the event.

        False if the step went on before the event was through.
        """
        event, armed = result.event, ends[result.side]
        self.guest.cmd('migrate-set-parameters', max_bandwidth=1 << 30)
        try:
            self.guest.cmd('migrate', uri=line.uri)
        except Failed as error:
            result.said = str(error)
        reached(armed, result.point)
        if base(event) in ('fail', 'die'):
            return True
        if event == 'kill':
            os.kill(ends['target'].vm.get_pid(), signal.SIGKILL)
            wait_until('the end of the target', 20,
                       lambda: not running(ends['target']))
            time.sleep(0.2)             # its kernel has said so; the line passes it on
        elif event == 'cut':
            line.cut()
        elif event == 'cut main':
            line.cut_main()
        in_time = f'x-fault: going on at {result.point}' not in armed.log()
        if event == 'cancel':
            cancel(self.guest)
        elif event == 'stop/cont':
            stop_cont(self.guest)
        if running(armed):
            fault(armed, '')
        return in_time

    def _judge(self, result, step, target, in_time):
        """What became of both ends; anything, if the event was not @in_time."""
        event = result.event
        refused = bool(result.said)
        if refused:
            info = {'status': 'failed', 'error-desc': result.said}
        else:
            info = self.guest.wait_migration()
        result.said = info.get('error-desc', '')
        expected = step.outcome.get(
            base(event), MOVES if event == 'stop/cont' else STAYS)
        if step.other and expected != STAYS and base(event) != 'fail':
            expected = STAYS
        if not in_time:
            expected = EITHER
        got = MOVES if info['status'] == 'completed' else STAYS
        check(expected in (got, EITHER),
              f'the guest {got}, expected: {expected} ({info})')
        result.source = got
        if got == STAYS:
            # Upstream cuts the line first, and may see that before the cancel.
            check(info['status'] in ('failed', 'cancelled') if event == 'cancel'
                  else info['status'] == 'failed', f'the source says {info}')
            if base(event) == 'fail':
                pattern = step.sentence(result.point, event)
                said = result.said + '\n' + self.guest.log()[-4000:]
                check(re.search(pattern, said, re.M),
                      f'the source says "{result.said}"')
            result.target = 'waits' if refused else target_ends(target)


class Long(Matrix):
    """Over a line with a delay, to targets that run when they may."""

    ways = ('long line, runs',)
    held = ()

    def line(self, port, _edit):
        return DelayLine(port, DELAY)

    def runs(self, target):
        """It does, or says why it does not: GO was lost."""
        said = target.migration().get('error-desc', '')
        time.sleep(0.2)
        if not target.cmd('query-status')['running']:
            check('so it is paused' in said, f'the target does not run: {said}')
            target.cmd('cont')

    def _judge(self, result, step, target, in_time):
        super()._judge(result, step, target, in_time)
        if result.source == STAYS and running(target):
            time.sleep(2 * DELAY)       # what is on its way
            runs = {}
            with contextlib.suppress(Failed):   # it ends under our question
                runs = target.cmd('query-status')
            check(not runs.get('running'), 'the guest runs twice')


class ByLane(Matrix):
    """Pages are sealed and opened by a program in the guest."""

    ways = ('line, lane',)

    def __init__(self, env):
        super().__init__(env, shape=Shape(sev=',lane=on'))
        self.prepared(self.guest)

    def prepared(self, target):
        """It may be the source of the next row."""
        target.cmd('migrate-set-parameters', sev_method='lane')


class Encrypted(Matrix):
    """An SEV-ES guest with two vCPUs, whose registers are packets as well."""

    ways = ('line, es',)

    def __init__(self, env):
        super().__init__(env, shape=Shape(firmware='es'), policy=0x5, smp=2)


class Channels(Matrix):
    """The same with two channels of multifd."""

    ways = ('channels',)

    def __init__(self, env):
        super().__init__(env)
        self._switch(self.guest)

    @staticmethod
    def _switch(guest):
        guest.capability('multifd')
        guest.cmd('migrate-set-parameters', multifd_channels=2)

    def prepared(self, target):
        self._switch(target)

    def line(self, port, _edit):
        return ChannelLines(port)


def run(env, wanted):
    """Run rows, yield their results; a guest that was lost is replaced."""
    from faultfiles import Clones, Disks, Makers    # it builds on this module
    matrix = None
    try:
        for row in wanted:
            if matrix and row[0] not in matrix.ways:
                matrix.close()
                matrix = None
            try:
                matrix = matrix or next(
                    kind for kind in (Matrix, Long, ByLane, Encrypted, Channels, Makers,
                                      Clones, Disks)
                    if row[0] in kind.ways)(env)
                yield matrix.row(*row)
            except Exception as error:      # one row's, not the others'
                result = Result(*row)
                result.good, result.said = False, f'{error}'
                yield result
                if matrix:
                    matrix.close()
                matrix = None
    finally:
        if matrix:
            matrix.close()


# --- Pieces of a row ------------------------------------------------------------


class Line(Proxy):
    """A proxy that goes with the row."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()
        self.finish()


class ChannelLines(Lines):
    """The lines of a migration with multifd; the first one is the main one."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def uri(self):
        return f'tcp:127.0.0.1:{self.port}'

    def cut(self):
        self.cut_one(1)

    def cut_main(self):
        self.cut_one(0)


def base(event):
    """'fail' of 'fail=7'"""
    return event.partition('=')[0]


def fault(guest, text):
    guest.cmd('qom-set', path='/objects/sev0', property='x-fault', value=text)


def points(guest):
    """['source save-prepare', ...]"""
    return guest.cmd('qom-get', path='/objects/sev0', property='x-fault-points')


def arm(ends, result, step, stall_ms):
    action = result.event if base(result.event) in ('fail', 'die') else \
        f'stall={stall_ms}'
    fault(ends[result.side], f'{result.point}:{step.nth}:{action}')
    if step.other and step.other[0] in ends:
        fault(ends[step.other[0]], step.other[1])


def reached(guest, point, limit=MIGRATE_LIMIT):
    """Wait until @guest says that its fault fired."""
    wait_until(f'fault at {point}', limit,
               lambda: f'at {point}\n' in guest.log(), 0.005)


def running(guest):
    return guest.vm.is_running()


def cancel(guest):
    """It may be too late, which is said."""
    try:
        guest.cmd('migrate_cancel')
    except Failed as error:
        check('too late to cancel' in str(error), str(error))


def stop_cont(guest):
    """Both may come when the migration has gone on."""
    for name in ('stop', 'cont'):
        try:
            guest.cmd(name)
        except Failed as error:
            check(re.search(r'not finalized yet|migrated away|sealed in|'
                            r'template is being made|previous migration',
                            str(error)), str(error))
        time.sleep(0.05)


def target_ends(target):
    """The target's last words: it failed, ended, or has the guest too."""
    def over():
        if not running(target):
            return ended(target)
        try:
            info = target.migration()
        except Failed:                  # it ended under our question
            return None
        if info.get('status') in ('failed', 'completed'):
            return f'{info["status"]}: {info.get("error-desc", "")}'
        return None
    return wait_until('end of the target', 60, over)


def ended(target):
    code = target.vm.exitcode()
    if code == -signal.SIGKILL:
        return 'was killed'
    lines = [line for line in target.log().splitlines()
             if 'warning:' not in line and 'x-fault: fail at' not in line]
    return f'exits {code}: {lines[-1].partition(": ")[2] if lines else ""}'
