# SPDX-License-Identifier: GPL-2.0-or-later
"""Is that process the one a file speaks of?

A process id in a file says little: the number may be another process' today,
and the file may be wrong.  Nothing is signalled without all of: the kernel's
start time, our user, and a command line that has the words we gave it.  They
are looked at after a pidfd was opened, so that the answer stays true.
"""

import contextlib
import os
import select
import signal
from pathlib import Path


def started_at(pid):
    """The kernel's start time of a process; None when it is no more."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b')')[2].split()
    return None if fields[0] in (b'Z', b'X') else int(fields[19])


def identify(pid):
    """A process id alone may be another's tomorrow."""
    return {'pid': pid, 'started': started_at(pid)}


def is_there(who):
    """Whether the process of a {pid, started} is the one that it was."""
    return started_at(who['pid']) == who['started']


def plausible(who):
    """Whether @who is a {pid, started} at all."""
    return (isinstance(who, dict) and
            all(type(who.get(key)) is int for key in ('pid', 'started')) and
            1 < who['pid'] < 1 << 30)


def _user(pid):
    for line in Path(f'/proc/{pid}/status').read_text('utf-8').splitlines():
        if line.startswith('Uid:'):
            return int(line.split()[1])
    return None


def _has(pid, words):
    """Whether @words stand side by side in the command line."""
    found = Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
    words = [word.encode() for word in words]
    return any(found[i:i + len(words)] == words for i in range(len(found)))


class Proven:
    """A process that is what @who says, and was started with @words."""

    def __init__(self, fd):
        self.fd = fd

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def kill(self, limit):
        """End it; whether it ended within @limit seconds."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.fd, signal.SIGKILL)
        ended = select.poll()
        ended.register(self.fd, select.POLLIN)
        return bool(ended.poll(limit * 1000))


def prove(who, words):
    """A Proven, or None: the process is no more, or it is another."""
    try:
        fd = os.pidfd_open(who['pid'])
    except ProcessLookupError:
        return None
    proven = False
    try:
        # Root may have started a QEMU that runs as somebody else (-runas).
        proven = (is_there(who) and _has(who['pid'], words) and
                  (os.geteuid() == 0 or _user(who['pid']) == os.geteuid()))
    except OSError:
        pass                            # it ended meanwhile
    finally:
        if not proven:
            os.close(fd)
    return Proven(fd) if proven else None
