# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process with its folder: sockets, screen, log, who it is."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from pathlib import Path

from sevclone import Trouble, places, qmp

_draw = random.SystemRandom()
FILE = 'clone.json'

# What a process is, as its file says.  All but a clone have an 'owner', the
# command that makes something of it: without that it is nobody's.
MAKING, STARTING, WAITING, CLONE = 'making', 'starting', 'waiting', 'running'
END_LIMIT = 2           # seconds from a closed monitor to the end of QEMU
LOG_LINES = 5           # of a log, when QEMU ended


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


def started_at(pid):
    """The kernel's start time of a process; None when it is no more."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b')')[2].split()
    return None if fields[0] == b'Z' else int(fields[19])


def end_of(code):
    """An exit code of subprocess, in words."""
    if code >= 0:
        return f'QEMU ended with exit status {code}'
    names = {number.value: number.name for number in signal.Signals}
    return f'QEMU was killed by {names.get(-code, f"signal {-code}")}'


def identify(pid):
    """A process id alone may be another's tomorrow."""
    return {'pid': pid, 'started': started_at(pid)}


def is_there(who):
    """Whether the process of a {pid, started} is the one that it was."""
    return started_at(who['pid']) == who['started']


class Process:
    """A QEMU that we started, or found again by its folder."""

    def __init__(self, folder, info):
        self.folder, self.info = Path(folder), info
        self.child = None
        self.spawned = None             # wall clock, just before exec
        self.monitor = None

    @property
    def pid(self):
        return self.info['pid']

    def path(self, name):
        return self.folder / name

    def alive(self):
        if self.child and self.child.poll() is not None:
            return False
        return is_there(self.info)

    def is_clone(self):
        """One that somebody has, or is about to have."""
        return self.info.get('state') not in (MAKING, WAITING)

    def owned(self):
        return 'owner' in self.info and is_there(self.info['owner'])

    def forsaken(self):
        return 'owner' in self.info and not is_there(self.info['owner'])

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
        with contextlib.suppress(OSError):
            text = self.path('qemu.log').read_text('utf-8', 'replace')
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

    def qmp(self, limit=qmp.REPLY_LIMIT):
        """The monitor, negotiated; one client at a time."""
        if not self.monitor:
            self.monitor = qmp.Qmp(self.path('qmp'))
        with self.sentence():
            return self.monitor.hello(limit)

    def release(self):
        """Let others use the monitor."""
        if self.monitor:
            self.monitor.close()
            self.monitor = None

    def stop(self):
        """End it at once and remove its folder."""
        self.release()
        if self.child:
            self.child.kill()
            self.child.wait()
        elif 'pid' in self.info and self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            end = time.monotonic() + 10
            while started_at(self.pid) and time.monotonic() < end:
                time.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self):
        path = self.path(FILE)
        path.with_suffix('.new').write_text(json.dumps(self.info, indent=1),
                                            'utf-8')
        os.replace(path.with_suffix('.new'), path)


def uninterrupted(work, *args):
    """Do it in a thread of its own: Ctrl-C ends our waiting, not the work."""
    worker = threading.Thread(target=work, args=args)
    worker.start()
    worker.join()


def stop_all(processes):
    def stop():
        for process in processes:
            process.stop()
    uninterrupted(stop)


def listener(path):
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
    folder = places.private_folder(places.run()) / who['id']
    folder.mkdir(mode=0o700)
    process = Process(folder, {'template': template, 'state': state,
                               'owner': identify(os.getpid()), **who})
    try:
        with contextlib.ExitStack() as servers:
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
    folder, info = process.folder, process.info
    monitor, console, clone = (
        servers.enter_context(listener(folder / name)).fileno()
        for name in ('qmp', 'console', 'clone'))
    command = [
        binary, '-name', f'{info["template"]}-{info["id"]}',
        '-chardev', f'socket,id=qmp,fd={monitor},server=on,wait=off',
        '-mon', 'chardev=qmp,mode=control',
        '-chardev', f'socket,id=console,fd={console},server=on,wait=off,'
        f'logfile={folder / "screen"}',
        '-serial', 'chardev:console',
        '-chardev', f'socket,id=clone,fd={clone},server=on,wait=off',
        *arguments]
    (folder / 'screen').touch(mode=0o600)
    with (folder / 'qemu.log').open('wb') as log:
        process.spawned = time.time()
        process.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=[monitor, console, clone], start_new_session=True)
    info.update(identify(process.child.pid), spawned=process.spawned)


def running(template=None):
    """The processes whose folders are in places.run().

    What dead ones left goes, unless somebody is about to read its log.
    """
    for path in sorted(places.run().glob('*/' + FILE)):
        try:
            info = json.loads(path.read_text('utf-8'))
            process = Process(path.parent, info)
            alive = process.alive()
        except (OSError, ValueError, KeyError):
            continue
        if not alive and process.owned():
            continue
        if not alive:
            shutil.rmtree(path.parent, ignore_errors=True)
        elif template in (None, info['template']):
            yield process


def sweep():
    """End what commands that are no more had begun; returns these."""
    left = [process for process in running() if process.forsaken()]
    for process in left:
        process.stop()
    return left
