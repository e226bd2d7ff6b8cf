# SPDX-License-Identifier: GPL-2.0-or-later
"""A second local user against sev-clone: nobody else's file is believed.

The victim is a user of its own, and root; the attacker is another user.  What
the attacker can name, the victim must neither end, delete, nor start.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from registry import SAID, test
from sevlib import ROOT
from verdict import Skip, check, wait_until

VICTIM, ATTACKER = 64321, 64322         # nobody has these numbers
LIMIT = 60
NOBODY = {'pid': 999999999, 'started': 1}       # a command that is no more
SPEC = {'version': 1, 'created': 1, 'bare': False, 'accel': 'tcg',
        'machine': 'q35', 'cpu': 'EPYC-v4', 'memory_mib': 256, 'smp': 1,
        'sev': None, 'net': 'none', 'vsock': False, 'extra': [],
        'boot_seconds': 1.0, 'point': 'ready',
        'image': {'file': 'image', 'bytes': 5, 'sha256': '0'}}


class Street:
    """A folder that two users can enter, and each has a home in."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Skip('needs root, to be two other users')
        self.top = Path(tempfile.mkdtemp(prefix='sev-street-', dir='/var/tmp'))
        self.top.chmod(0o755)
        self.victim = self.folder(self.top / 'victim', VICTIM)
        self.attacker = self.folder(self.top / 'attacker', ATTACKER)
        # The checkout may be where others cannot read.
        self.tool = self.top / 'bin/sev-clone'
        shutil.copytree(ROOT / 'tools/sev-clone/sevclone', self.top / 'bin/sevclone',
                        ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(ROOT / 'tools/sev-clone/sev-clone', self.tool)
        subprocess.run(['chmod', '-R', 'a+rX', self.top / 'bin'], check=True)
        self.started = self.top / 'started'
        self.started.mkdir()
        self.started.chmod(0o777)
        self.qemu = self.top / 'bin/qemu'
        self.qemu.write_text(f'#!/bin/sh\ntouch {self.started}/qemu\nexit 1\n')
        self.qemu.chmod(0o755)
        self._victims = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self._victims:
            child.kill()
            child.wait()
        shutil.rmtree(self.top, ignore_errors=True)

    @staticmethod
    def folder(path, user, mode=0o700):
        path.mkdir(parents=True)
        os.chown(path, user, user)
        path.chmod(mode)
        return path

    def process(self, user):
        """One of the victim's that has nothing to do with clones."""
        self._victims.append(subprocess.Popen(['sleep', '600'], user=user,
                                              group=user))
        return self._victims[-1]

    def precious(self, user):
        path = self.folder(self.top / f'precious-{user}', user)
        (path / 'file').write_text('dear')
        os.chown(path / 'file', user, user)
        return path

    def ask(self, user, *words, umask=0o022, **variables):
        """(exit code, output) of the tool, run by @user."""
        environ = {'PATH': os.environ['PATH'], 'HOME': str(self.victim),
                   'SEV_CLONE_QEMU': str(self.qemu),
                   'PYTHONDONTWRITEBYTECODE': '1',
                   **{k: str(v) for k, v in variables.items()}}
        done = subprocess.run(
            [sys.executable, self.tool, *map(str, words)], env=environ,
            user=user, group=user, extra_groups=[], umask=umask, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
            check=False, cwd='/')
        return done.returncode, done.stdout + done.stderr

    def refused(self, pattern, user, *words, **variables):
        code, said = self.ask(user, *words, **variables)
        SAID.append(said.strip())
        check(code == 1 and re.search(pattern, said),
              f'sev-clone {" ".join(words)} said "{said.strip()}"')


def plant(run, template, about, owner=NOBODY):
    """What looks like a clone that a dead command had begun."""
    folder = run / 'abcdefabcdef'
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (folder / 'clone.json').write_text(json.dumps(
        {'id': 'abcdefabcdef', 'template': template, 'state': 'making',
         'owner': owner, **about}))
    return folder


def identify(child):
    stat = Path(f'/proc/{child.pid}/stat').read_text()
    return {'pid': child.pid,
            'started': int(stat.rpartition(')')[2].split()[19])}


def given(path, user):
    """All of @path belongs to @user."""
    for each in (path, *path.rglob('*')):
        os.chown(each, user, user, follow_symlinks=False)


@test('sev-clone: a planted clone.json ends nothing of the victim', sev=False)
def planted(_env):
    with Street() as street:
        for user in VICTIM, 0:
            spared = street.process(user)
            runs = street.folder(street.attacker / f'run-{user}', ATTACKER,
                                 0o755)
            plant(runs / 'sev-clone', 'base', identify(spared))
            given(runs, ATTACKER)
            street.attacker.chmod(0o755)
            for words in (('list',), ('stop', 'base'), ('rm', 'base'),
                          ('run', 'base')):
                street.refused(f'belongs to user {ATTACKER}', user, *words,
                               SEV_CLONE_RUN=runs / 'sev-clone',
                               SEV_CLONE_HOME=street.victim / 'none')
            check(spared.poll() is None, f'a process of {user} was ended')


@test('sev-clone: the run folder is no name that another user may take first',
      sev=False)
def squatted(_env):
    with Street() as street:
        spared = street.process(VICTIM)
        guessed = Path(f'/tmp/sev-clone-{VICTIM}')
        runtime = street.folder(street.attacker / 'runtime', ATTACKER, 0o755)
        street.attacker.chmod(0o755)
        plant(guessed, 'base', identify(spared))
        plant(runtime / 'sev-clone', 'base', identify(spared))
        try:
            given(guessed, ATTACKER)
            given(runtime, ATTACKER)
            for variables in {}, {'XDG_RUNTIME_DIR': runtime}:
                code, said = street.ask(VICTIM, 'list', **variables)
                check(code == 0, f'list said {said}')
                check(spared.poll() is None, 'a process was ended')
                street.ask(VICTIM, 'make', 'x', '--after', 1, '--kernel',
                           '/dev/null', **variables)
            check([p.name for p in guessed.iterdir()] == ['abcdefabcdef'],
                  'something was made in the folder of another')
            made = list(street.victim.glob('.local/share/sev-clone/.run-*'))
            check(len(made) == 1, f'it ran in {made}')
        finally:
            shutil.rmtree(guessed)


@test('sev-clone: in its own folder, too, only its own processes and folders '
      'go', sev=False)
def own_folder(_env):
    with Street() as street:
        spared, precious = street.process(VICTIM), street.precious(VICTIM)
        run = street.folder(street.victim / 'run', VICTIM)
        plant(run, 'base', identify(spared))
        (run / '111111111111').symlink_to(precious)
        (precious / 'clone.json').write_text(json.dumps(
            {'id': '111111111111', 'template': 'base', 'state': 'making',
             'owner': NOBODY, 'pid': 999999998, 'started': 1}))
        for text in '[]', '{"pid": "self"}', '{"pid": -1, "started": null}', '':
            folder = run / f'{len(text):012x}'
            folder.mkdir()
            (folder / 'clone.json').write_text(text)
        given(run, VICTIM)
        given(precious, VICTIM)
        for words in ('list',), ('stop', 'base'):
            _, said = street.ask(VICTIM, *words, SEV_CLONE_RUN=run)
            check('Traceback' not in said, f'{words[0]} said {said}')
        check(spared.poll() is None, 'a process was ended')
        check((precious / 'file').exists(), 'another folder was emptied')


@contextlib.contextmanager
def lying_pool(path, user, reply):
    """Answers every request for a process with @reply."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        os.chown(path, user, user)
        path.chmod(0o777)
        server.listen(8)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        client.recv(4096)
                        client.sendall(json.dumps(reply).encode() + b'\n')
        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


def template(home, user, **other):
    folder = home / 'base'
    folder.mkdir(parents=True)
    (folder / 'image').write_text('image')
    (folder / 'template.json').write_text(json.dumps({**SPEC, **other}))
    given(home, user)
    home.chmod(0o700)
    folder.chmod(0o700)
    return home


@test('sev-clone: a pool that lies deletes nothing and ends nothing',
      sev=False)
def pools(_env):
    with Street() as street:
        home = template(street.top / 'home', 0)
        spared, precious = street.process(0), street.precious(0)
        for user in 0, ATTACKER:
            run = street.folder(street.top / f'run-{user}', user,
                                0o700 if user == 0 else 0o755)
            lies = [{'folder': str(precious), 'info': {
                **about, 'id': ident, 'template': 'base', 'state': 'running'}}
                    for about in ({}, identify(spared))
                    for ident in ('abcdefabcdef', '../../precious-0')]
            for number, reply in enumerate([*lies, [], 1, {'info': []}]):
                with lying_pool(run / 'base.pool', user, reply):
                    code, said = street.ask(0, 'run', 'base', '--pool',
                                            SEV_CLONE_RUN=run,
                                            SEV_CLONE_HOME=home)
                (run / 'base.pool').unlink()
                check(code == 1 and 'Traceback' not in said,
                      f'lie {number}: run said {said}')
                check((precious / 'file').exists(), f'lie {number} deleted')
                check(spared.poll() is None, f'lie {number} ended a process')


@test('sev-clone run: starts nothing that another user\'s template asks for',
      sev=False)
def homes(_env):
    with Street() as street:
        run = street.folder(street.victim / 'run', VICTIM)
        theirs = template(street.attacker / 'home', ATTACKER)
        for path in street.attacker, theirs, theirs / 'base':
            path.chmod(0o755)
        mine = template(street.victim / 'home', VICTIM)
        for user, home, said in (
                (VICTIM, theirs, f'belongs to user {ATTACKER}'),
                (0, theirs, f'belongs to user {ATTACKER}'),
                (0, mine, f'belongs to user {VICTIM}')):
            street.refused(said, user, 'run', 'base', SEV_CLONE_HOME=home,
                           SEV_CLONE_RUN=run if user else street.top / 'run')
        check(not list(street.started.iterdir()), 'a QEMU was started')
        spec = mine / 'base/template.json'
        shutil.copy(spec, street.attacker / 'template.json')
        for do, said in (
                (lambda: os.chown(spec, ATTACKER, ATTACKER), 'belongs to user'),
                (lambda: spec.chmod(0o666), 'has mode 0666'),
                (lambda: (spec.unlink(), spec.symlink_to(
                    street.attacker / 'template.json')), 'cannot be read'),
                (lambda: (mine / 'base').chmod(0o777), 'has mode 0777'),
                (lambda: mine.chmod(0o777), 'has mode 0777'),
                (lambda: mine.chmod(0o755), 'has mode 0755'),
                (lambda: (mine.rename(mine.with_name('other')),
                          mine.symlink_to('other')), 'is a symbolic link')):
            do()
            street.refused(said, VICTIM, 'run', 'base', SEV_CLONE_RUN=run,
                           SEV_CLONE_HOME=mine)
        check(not list(street.started.iterdir()), 'a QEMU was started')


@test('sev-clone: a template.json is QEMU arguments of known kinds, no more',
      sev=False)
def kinds(_env):
    with Street() as street:
        run = street.folder(street.victim / 'run', VICTIM)
        for number, other in enumerate((
                {'image': {**SPEC['image'], 'file': '../other'}},
                {'image': {**SPEC['image'], 'file': '/etc/passwd'}},
                {'image': []}, {'extra': 'x'}, {'extra': [['x']]},
                {'flash': ['1,file=/x']}, {'sev': {'policy': '1'}},
                {'memory_mib': '1,x=y'}, {'accel': None})):
            home = template(street.victim / f'home-{number}', VICTIM, **other)
            street.refused(r'is not what "make" writes \(\w+\)', VICTIM, 'run',
                           'base', SEV_CLONE_HOME=home, SEV_CLONE_RUN=run)
        check(not list(street.started.iterdir()), 'a QEMU was started')


@test('sev-clone: what leads to its folders is no other user\'s to exchange',
      sev=False)
def ways(_env):
    with Street() as street:
        mine = street.victim / 'mine'
        for path, user, mode, said in (
                (mine / 'open', VICTIM, 0o777, 'has mode 0777'),
                (mine / 'theirs', ATTACKER, 0o755,
                 f'belongs to user {ATTACKER}')):
            street.folder(path, user, mode)
            template(path / 'home', VICTIM)
            os.chown(mine, VICTIM, VICTIM)
            street.refused(said, VICTIM, 'run', 'base',
                           SEV_CLONE_HOME=path / 'home')
        link = street.victim / 'link'
        link.symlink_to(mine / 'open')
        os.chown(link, VICTIM, VICTIM, follow_symlinks=False)
        street.refused('has mode 0777', VICTIM, 'run', 'base',
                       SEV_CLONE_HOME=link / 'home')
        sticky = street.folder(street.top / 'sticky', 0, 0o1777)
        (sticky / 'way').symlink_to(mine)
        os.chown(sticky / 'way', ATTACKER, ATTACKER, follow_symlinks=False)
        street.refused(f'is a link of user {ATTACKER}', VICTIM, 'list',
                       SEV_CLONE_HOME=sticky / 'way/home')
        check(not list(street.started.iterdir()), 'a QEMU was started')


@test('sev-clone: with umask 0 it makes nothing that others can touch',
      sev=False)
def umasks(_env):
    with Street() as street:
        _, said = street.ask(VICTIM, 'make', 'base', '--after', '1',
                             '--kernel', '/dev/null', umask=0)
        wait_until('QEMU', 5, lambda: list(street.started.iterdir()))
        check('QEMU ended with exit status 1' in said, f'make said {said}')
        made = list(street.victim.rglob('*'))
        check(made, 'it made nothing')
        for path in made:
            mode = path.lstat().st_mode & 0o777
            check(not mode & 0o077, f'{path.name} has mode {mode:04o}')


@test('sev-clone: a home that cannot be written to is named, with a remedy',
      sev=False)
def unwritable(_env):
    with Street() as street:
        home = street.folder(street.top / 'fixed', 0, 0o755)
        code, said = street.ask(VICTIM, 'list', HOME=home)
        check(code == 0, f'list said {said}')
        street.refused(f'{home}.* cannot be made .*SEV_CLONE_HOME', VICTIM,
                       'make', 'base', '--after', '1', '--kernel', '/dev/null',
                       HOME=home)
        street.refused('set HOME', VICTIM, 'list', HOME='')
