# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process with its folder: sockets, screen, log, who it is."""

import base64
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import uuid

from sevclone import Trouble, begun, places, proof, qmp, store, ui

_draw = random.SystemRandom()
FILE = 'clone.json'
FILE_MAX = 65536
ID = re.compile('[0-9a-f]{12}')

# What a process is, as its file says.  All but a clone have an 'owner', the
# command that makes something of it: without that it is nobody's.
MAKING, STARTING, WAITING, CLONE = 'making', 'starting', 'waiting', 'running'
END_LIMIT = 2           # seconds from a closed monitor to the end of QEMU
KILL_LIMIT = 10
ANSWER_LIMIT = qmp.REPLY_LIMIT
LOG_LINES = 5           # of a log, when QEMU ended
LOG_TAIL = 16384        # bytes of it to look at
SCREEN_MAX = 1 << 18    # bytes kept of what a guest printed

umask = -1              # of QEMU, when it is not to be ours


def mac(text):
    """The address that goes with a UUID."""
    tail = uuid.UUID(text).bytes[-5:]
    return ':'.join(f'{b:02x}' for b in b'\x02' + tail)


def identity():
    """What must differ between clones, as far as a host can choose it."""
    own = uuid.uuid4()
    return {
        'id': own.hex[:12],
        'uuid': str(own),
        'mac': mac(str(own)),
        'cid': _draw.randrange(3, 0xffffffff),
    }


def end_of(code):
    """An exit code of subprocess, in words."""
    if code >= 0:
        return f'QEMU ended with exit status {code}'
    names = {number.value: number.name for number in signal.Signals}
    return f'QEMU was killed by {names.get(-code, f"signal {-code}")}'


class Process:
    """A QEMU that we started, or found again by its folder."""

    def __init__(self, run, info):
        self.run, self.info, self.id = run, info, info['id']
        self.folder = run / self.id
        self.child = None
        self.spawned = None             # wall clock, just before exec
        self.monitor = None
        self._plain = ui.Plain()

    @property
    def pid(self):
        return self.info['pid']

    def path(self, name):
        return self.folder / name

    def words(self):
        """What its command line has, and no other's."""
        return ['-name', f'{self.info["template"]}-{self.id}']

    def alive(self):
        if self.child:
            return self.child.poll() is None
        proven = proof.prove(self.info, self.words())
        with proven or contextlib.nullcontext():
            return proven is not None

    def is_clone(self):
        """One that somebody has, or is about to have."""
        return self.info.get('state') not in (MAKING, WAITING)

    def owned(self):
        return 'owner' in self.info and proof.is_there(self.info['owner'])

    def forsaken(self):
        return 'owner' in self.info and not proof.is_there(self.info['owner'])

    def let_go(self):
        """It is a clone now, whatever becomes of us."""
        self.info.pop('owner', None)
        self.info['state'] = CLONE
        self.save()

    def ended(self):
        """How QEMU ended, and the last lines of its log, as a sentence."""
        how, lines = 'QEMU ended', []
        if self.child:
            with contextlib.suppress(subprocess.TimeoutExpired):
                how = end_of(self.child.wait(END_LIMIT))
        with contextlib.suppress(OSError, Trouble), \
                self.run.below(self.id).open('qemu.log') as log:
            log.seek(max(os.fstat(log.fileno()).st_size - LOG_TAIL, 0))
            text = ui.plain(log.read())
            lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            return f'{how}: {lines[0] if lines else "no message"}'
        return '\n  '.join([f'{how}; the last lines of its log:',
                            *lines[-LOG_LINES:]])

    @contextlib.contextmanager
    def sentence(self):
        """A connection that breaks is a QEMU that ended; say what it said."""
        try:
            yield
        except (qmp.Gone, ConnectionError):
            raise Trouble(self.ended()) from None

    def qmp(self, limit=ANSWER_LIMIT):
        """The monitor, negotiated; one client at a time."""
        if not self.monitor:
            self.monitor = qmp.Qmp(self.run.at(f'{self.id}/qmp'))
        with self.sentence():
            return self.monitor.hello(limit)

    def release(self):
        """Let others use the monitor."""
        if self.monitor:
            self.monitor.close()
            self.monitor = None

    def screen(self, limit=ANSWER_LIMIT):
        """What the guest printed last: text without control characters.

        QEMU keeps as much as fits into its ring, and gives it away once.  So
        what was read lies in a file, which is no longer than SCREEN_MAX.
        """
        said = self.qmp(limit).cmd('ringbuf-read', {
            'device': 'screen', 'size': SCREEN_MAX, 'format': 'base64'}, limit)
        folder = self.run.below(self.id)
        text = folder.read('screen', SCREEN_MAX)
        if said:
            text += self._plain.feed(base64.b64decode(said)).encode()
            text = text[-SCREEN_MAX:]
            folder.write('screen', text)
        return text.decode('utf-8', 'replace')

    def last_line(self):
        """Of the screen, for a sentence; what QEMU cannot say is nothing."""
        with contextlib.suppress(Trouble, OSError):
            return (self.screen().strip().splitlines() or [''])[-1]
        return ''

    def stop(self):
        """End it at once and remove its folder."""
        self.release()
        if self.child:
            self.child.kill()
            self.child.wait()
        elif 'pid' in self.info:
            proven = proof.prove(self.info, self.words())
            with proven or contextlib.nullcontext():
                if proven:
                    proven.kill(KILL_LIMIT)
        with contextlib.suppress(OSError, Trouble):
            self.run.remove(self.id)
        begun.let_go(self)

    def save(self):
        self.run.below(self.id).write(FILE, json.dumps(self.info,
                                                       indent=1).encode())


def stop_all(processes):
    for process in processes:
        process.stop()


def listener(path):
    """Others are told the path, so it is bound by its path."""
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(str(path))
    except OSError as error:
        server.close()
        raise Trouble(f'no socket at {path}: {error}; SEV_CLONE_RUN names '
                      'another folder') from error
    server.listen(8)
    return server


def spawn(binary, arguments, who, template, state):
    """Start QEMU, ours until it is let_go(); when that fails nothing of it is left."""
    run = places.run(make=True)
    process = Process(run, {'template': template, 'state': state,
                            'owner': proof.identify(os.getpid()), **who})
    with begun.starting(process):
        try:
            with contextlib.ExitStack() as servers:
                run.make(process.id)
                _execute(process, binary, arguments, servers)
            process.save()
        except OSError as error:
            process.stop()
            raise Trouble(f'cannot start {binary}: {error}') from error
        except BaseException:
            process.stop()
            raise
    return process


def _execute(process, binary, arguments, servers):
    """We listen, so nobody waits for QEMU to be ready to."""
    folder, info = process.run.below(process.id), process.info
    monitor, console, clone = (
        servers.enter_context(listener(folder / name)).fileno()
        for name in ('qmp', 'console', 'clone'))
    command = [
        binary, *process.words(),
        '-chardev', f'socket,id=qmp,fd={monitor},server=on,wait=off',
        '-mon', 'chardev=qmp,mode=control',
        '-chardev', f'socket,id=console,fd={console},server=on,wait=off',
        '-chardev', f'ringbuf,id=screen,size={SCREEN_MAX}',
        '-chardev', 'hub,id=serial,chardevs.0=console,chardevs.1=screen',
        '-serial', 'chardev:serial',
        '-chardev', f'socket,id=clone,fd={clone},server=on,wait=off',
        *arguments]
    folder.create('screen').close()
    with folder.create('qemu.log') as log:
        process.spawned = time.time()
        process.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=[monitor, console, clone], start_new_session=True,
            umask=umask)
    info.update(proof.identify(process.child.pid), spawned=process.spawned)


def believable(info, name):
    """Whether a clone.json says what one says."""
    return (isinstance(info, dict) and info.get('id') == name and
            isinstance(info.get('template'), str) and
            store.NAME.fullmatch(info['template']) is not None and
            info.get('state') in (MAKING, STARTING, WAITING, CLONE) and
            proof.plausible(info) and
            ('owner' not in info or proof.plausible(info['owner'])))


def find(run, name):
    """The process of a folder in @run, dead or alive; None: it says nothing."""
    if not ID.fullmatch(name):
        return None
    try:
        info = json.loads(run.below(name).read(FILE, FILE_MAX))
    except (OSError, ValueError, Trouble):
        return None
    return Process(run, info) if believable(info, name) else None


def running(template=None):
    """The processes whose folders are in places.run().

    What dead ones left goes, unless somebody is about to read its log.
    """
    run = places.run()
    for name in run.names() if run else ():
        process = find(run, name)
        if process is None:
            continue
        alive = process.alive()
        if not alive and process.owned():
            continue
        if not alive:
            with contextlib.suppress(OSError):
                run.remove(name)
        elif template in (None, process.info['template']):
            yield process


def sweep():
    """End what commands that are no more had begun; returns these."""
    left = [process for process in running() if process.forsaken()]
    stop_all(left)
    return left
