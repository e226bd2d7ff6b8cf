# SPDX-License-Identifier: GPL-2.0-or-later
"""A process as Go's os/exec starts it, and what its console says."""

import fcntl
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

EXTRA = 3               # the number of the first file that a child inherits


class Process:
    """@files: the numbers that the child sees, and what they are here."""

    def __init__(self, arguments, environ, files, log):
        self.status, self.lock = None, threading.Lock()
        # Ours may have the very numbers that the child shall see.
        away = {there: fcntl.fcntl(here, fcntl.F_DUPFD_CLOEXEC, 100)
                for there, here in files.items()}
        try:
            self.pid = os.posix_spawn(
                arguments[0], arguments, environ, setsid=True, file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, '/dev/null', os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log),
                     os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    *((os.POSIX_SPAWN_DUP2, here, there)
                      for there, here in away.items())])
        finally:
            for here in away.values():
                os.close(here)

    def poll(self, flags=os.WNOHANG):
        """None while it runs; any thread may ask."""
        with self.lock:
            if self.status is None:
                pid, status = os.waitpid(self.pid, flags)
                if pid:
                    self.status = status
            return self.status

    def kill(self):
        """SIGKILL is the only end that the runtime knows."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.poll(0)


def _connected(path, process):
    while process.poll() is None:
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(str(path))
            return peer
        except OSError:                 # not yet
            peer.close()
            time.sleep(0.002)
    return None


def record(console, screen, process):
    """Write to @screen what the @process says on the socket @console."""
    def follow():
        peer = _connected(console, process)
        if peer is None:
            return
        with peer, Path(screen).open('ab', buffering=0) as out:
            try:
                while data := peer.recv(65536):
                    out.write(data)
            except ConnectionError:     # it was killed
                pass
    threading.Thread(target=follow, daemon=True).start()


def installed(folder, qemu, wrapper):
    """What 'make install' leaves of a QEMU and of Kata's "path" for it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'qemu-system-x86_64').symlink_to(Path(qemu).resolve())
    return shutil.copy(wrapper, folder / 'qemu-kata')
