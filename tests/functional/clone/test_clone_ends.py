# SPDX-License-Identifier: GPL-2.0-or-later
"""sev-clone that fails or is ended leaves no clone running."""

import contextlib
import json
import os
import re
import shlex
import signal
import sys

from registry import test
from test_clone import LIMIT, TOOL, Tool, status
from verdict import check, wait_until

from sevclone import proof, qmp

GOOD = 3                # starts of QEMU that succeed


class Counted(Tool):
    """After have(), every start of QEMU but the first ones fails."""

    def __init__(self, env):
        super().__init__(env)
        self.folder = env.lab.folder / 'counted'
        self.folder.mkdir(exist_ok=True)
        self.script = self.folder / 'qemu'

    def have(self, name, *words):
        super().have(name, *words)
        self.environ['SEV_CLONE_QEMU'] = str(self.script)
        self.allow(GOOD)

    def allow(self, starts):
        names = ' '.join(map(str, range(starts)))
        folder = shlex.quote(str(self.folder))
        (self.folder / 'started').write_text('')
        for path in self.folder.glob('start-*'):
            path.rmdir()
        self.script.write_text(f'''#!/bin/sh
for i in {names}; do
    mkdir {folder}/start-$i 2>/dev/null || continue
    echo $$ >> {folder}/started
    exec {shlex.quote(str(self.env.lab.binary))} "$@"
done
echo 'broken on purpose' >&2
exit 1
''')
        self.script.chmod(0o755)

    def started(self):
        return [int(pid) for pid in
                (self.folder / 'started').read_text().split()]

    def check_ended(self, count):
        pids = self.started()
        check(len(pids) == count, f'{len(pids)} QEMUs were started')
        alive = [pid for pid in pids if proof.started_at(pid)]
        check(not alive, f'{len(alive)} of {count} QEMUs still run')
        left = [p.name for p in self.run_folder.iterdir() if p.is_dir()]
        check(not left, f'folders are left: {left}')


@test('sev-clone: a run in which one clone fails leaves none', sev=False)
def one_fails(env):
    with Counted(env) as tool:
        tool.have('base')
        for jobs in 1, 2:
            tool.allow(GOOD)
            tool.refused('QEMU ended with exit status 1: broken on purpose',
                         'run', 'base', GOOD + 3, '--jobs', jobs, '--detach')
            tool.check_ended(GOOD)


@test('sev-clone: a run from a pool that runs dry leaves none', sev=False)
def pool_runs_dry(env):
    with Counted(env) as tool:
        tool.have('pooled')
        server = tool.begin('pool', 'pooled', '--size', 2)
        try:
            wait_until('a full pool', LIMIT, lambda: status(tool)
                       .get('waiting') == 2)
            tool.refused('the pool is empty: QEMU ended with exit status 1: '
                         'broken on purpose',
                         'run', 'pooled', GOOD + 1, '--pool', '--detach')
            tool.do('pool', 'pooled', '--close')
            check(server.wait(60) == 0, 'the pool failed')
        finally:
            server.kill()
            server.communicate()
        tool.check_ended(GOOD)


@contextlib.contextmanager
def heard(number):
    """What we start hears the signal, even if we were told to ignore it."""
    old = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, old)


@test('sev-clone: a closed terminal and two signals end the clones', sev=False)
def signals(env):
    with Counted(env) as tool:
        tool.have('base')
        for name, ready, times in (('SIGHUP', 'running', 1),
                                   ('SIGTERM', 'running', 2),
                                   ('SIGTERM', 'pid', 2)):
            tool.allow(GOOD)
            number = signal.Signals[name]
            with heard(number):
                run = tool.begin('run', 'base', GOOD)
            try:
                wait_until('clones', LIMIT, lambda w=ready: sum(
                    w in json.dumps(told) for told in tool.guests()) > 1)
                for _ in range(times):
                    os.kill(run.pid, number)
                run.communicate(timeout=LIMIT)
            finally:
                run.kill()
                run.communicate()
            tool.check_ended(len(tool.started()))


# sev-clone that stops for good where a signal may come at the worst moment: a
# QEMU was started, and the line that remembers it was not reached.
STALLED = """
import concurrent.futures, sys, time
sys.path.insert(0, {scripts!r})
from sevclone import cli, pool
{where} = lambda *args, real={where}: (real(*args), time.sleep(600))[0]
sys.exit(cli.main())
"""


@test('sev-clone: a signal between the start of a QEMU and its bookkeeping',
      sev=False)
def worst_moment(env):
    with Counted(env) as tool:
        tool.have('base')
        for where, words in (
                ('concurrent.futures.ThreadPoolExecutor.submit', ()),
                ('pool.take', ('--pool',))):
            tool.allow(1)
            server = tool.begin('pool', 'base', '--size', 1) if words else None
            if words:
                wait_until('a full pool', LIMIT, lambda: status(tool, 'base')
                           .get('waiting') == 1)
            real, tool.command = tool.command, (sys.executable, '-c', STALLED
                .format(scripts=str(TOOL.parent), where=where))
            with heard(signal.SIGTERM):
                run = tool.begin('run', 'base', *words)
            tool.command = real
            try:
                # It is there, and its command may know nothing of it yet.
                wait_until('a clone', LIMIT, lambda: any(
                    told['state'] == 'running' for told in tool.guests()))
                run.terminate()
                run.communicate(timeout=LIMIT)
            finally:
                run.kill()
                run.communicate()
                if server:
                    server.kill()
                    server.communicate()
            tool.check_ended(1)


@test('sev-clone: options that cannot be are refused before a guest starts',
      sev=False)
def options(env):
    with Tool(env) as tool:
        for words, said in (
                (('--until', '['), r'"\[" is no regular expression'),
                (('--after', '-1'), r'"-1" is not a number from 0 to 604800'),
                (('--after', 'nan'), r'"nan" is not a number'),
                (('--limit', 'soon'), r'"soon" is not a number'),
                (('--policy', 'zzz'), r'"zzz" is not a policy'),
                (('--policy', '0x9'), r'"0x9" has NOSEND \(bit 3\)'),
                (('--session', '/nowhere'), 'there is no /nowhere/dh-cert'),
                (('--smp', '0'), r'"0" is not a number from 1 to 64')):
            code, _, last = tool.ask('make', 'bad', *words)
            check(code == 2 and re.search(said, last),
                  f'make {" ".join(words)} said "{last}"')
        check(not tool.run_folder.exists(), 'a guest was started')
        for words in ('bad', '--after', 2), ('--after', 2, 'bad'):
            tool.refused("'nosuch' is not a valid device", 'make', *words,
                         '--', '-device', 'nosuch')


@contextlib.contextmanager
def in_progress(tool, name, *words):
    """A make whose guest runs already: (command, what clone.json says)."""
    kind = [] if tool.env.lab.sev else ['--no-sev']
    making = tool.begin('make', name, *kind, *words)
    try:
        [guest] = wait_until('a guest', LIMIT, tool.guests)
        yield making, guest
    finally:
        making.kill()
        making.communicate()


@test('sev-clone make: a QEMU that is killed is the cause it names', sev=False)
def named(env):
    with Tool(env) as tool:
        with in_progress(tool, 'base', '--after', 300) as (making, guest):
            os.kill(guest['pid'], signal.SIGKILL)
            _, said = making.communicate(timeout=60)
        check(making.returncode == 1 and
              'error: QEMU was killed by SIGKILL' in said,
              f'make said "{said}"')


@test('sev-clone stop: leaves a make alone, and what waits in a pool',
      sev=False)
def stop(env):
    with Tool(env) as tool:
        with in_progress(tool, 'pooled', '--after', 5) as (making, _):
            tool.refused('no clone of "pooled" is running.* Ctrl-C', 'stop',
                         'pooled')
            _, said = making.communicate(timeout=LIMIT)
            check(making.returncode == 0, f'make said "{said}"')
        server = tool.begin('pool', 'pooled', '--size', 2)
        try:
            wait_until('a full pool', LIMIT, lambda: status(tool)
                       .get('waiting') == 2)
            tool.refused('2 wait in the pool', 'stop', 'pooled')
            tool.do('run', 'pooled', '--pool', '--detach')
            wait_until('a refilled pool', LIMIT, lambda: status(tool)
                       .get('waiting') == 2)
            check(len(tool.do('stop', 'pooled')) == 1, 'stop ended others')
            tool.do('run', 'pooled', 2, '--pool', '--detach')
            check(status(tool)['taken'] == 3, 'the pool lost processes')
            tool.do('stop', 'pooled')
        finally:
            server.kill()
            server.communicate()
        tool.do('list')                 # ends what the killed pool left
        left = tool.guests()
        check(not left, f'the killed pool left {left}')


@test('sev-clone: the next command tidies up behind a killed make', sev=False)
def tidied(env):
    with Tool(env) as tool:
        for words in ('list',), ('rm', 'base'):
            with in_progress(tool, 'base', '--after', 300) as (making, guest):
                making.kill()
                making.communicate()
                tool.do(*words)
                check(proof.started_at(guest['pid']) is None,
                      'its guest runs on')
                left = [*tool.home.iterdir(), *tool.run_folder.iterdir()]
                check(not left, f'left behind: {left}')
        tool.refused('there is no template "base"', 'rm', 'base')


@contextlib.contextmanager
def pool_of(tool, size):
    """A full pool of the template "pooled"."""
    server = tool.begin('pool', 'pooled', '--size', size)
    try:
        full(tool, size)
        yield server
    finally:
        server.kill()
        server.communicate()


def waiting(tool):
    """PIDs of the processes that wait in pools."""
    return {told['pid'] for told in tool.guests()
            if told['state'] == 'waiting'}


def full(tool, size):
    wait_until('a full pool', LIMIT, lambda: status(tool)
               .get('waiting') == size)


@test('sev-clone pool: sees its template replaced and its processes killed',
      sev=False)
def pool_sees(env):
    with Tool(env) as tool:
        tool.have('pooled', '--after', 2)
        with pool_of(tool, 2):
            tool.make('pooled', '--after', 2, '--replace', '--smp', 2)
            [clone] = tool.do('run', 'pooled', '--pool', '--detach')
            with qmp.Qmp(f'{clone["folder"]}/qmp') as monitor:
                cpus = monitor.hello().cmd('query-cpus-fast')
            check(len(cpus) == 2, f'a clone of two CPUs has {len(cpus)}')
            full(tool, 2)
            killed = waiting(tool)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            wait_until('others', LIMIT, lambda:
                       len(waiting(tool) - killed) == 2)
            full(tool, 2)


@test('sev-clone pool: ends when its template is gone', sev=False)
def pool_gone(env):
    with Tool(env) as tool:
        tool.have('pooled', '--after', 2)
        with pool_of(tool, 1) as server:
            (tool.home / 'pooled').rename(tool.home / 'other')
            check(server.wait(60) == 1, 'the pool did not fail')
            check('there is no template "pooled"' in server.stderr.read(),
                  'the pool does not say why')


@test('sev-clone rm: closes the pool, and leaves no clone out of sight',
      sev=False)
def rm(env):
    with Tool(env) as tool:
        tool.have('pooled', '--after', 2)
        with pool_of(tool, 2) as server:
            [clone] = tool.do('run', 'pooled', '--detach')
            [row] = tool.do('list')
            check([c['id'] for c in row['clones']] == [clone['id']] and
                  len(row['waiting']) == 2, f'list says {row}')
            tool.refused(r'has clones that run \(1\): "sev-clone stop pooled"',
                         'rm', 'pooled')
            check(status(tool)['waiting'] == 2, 'rm closed the pool')
            tool.do('rm', 'pooled', '--force')
            check(server.wait(60) == 0, 'the pool failed')
        [row] = tool.do('list')
        check(row['gone'] and [c['id'] for c in row['clones']] == [clone['id']]
              and not row['waiting'], f'list says {row}')
        tool.do('stop', 'pooled')
        check(tool.do('list') == [], 'something is left')
