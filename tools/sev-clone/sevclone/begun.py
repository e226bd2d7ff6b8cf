# SPDX-License-Identifier: GPL-2.0-or-later
"""What this command has begun: it ends with the command, unless let go.

A signal raises KeyboardInterrupt anywhere in the main thread: between the start
of a process and the line that remembers it, too.  So a process is remembered
here before it is started, nothing interrupts that, and whoever ends the command
ends all that stands here.
"""

import contextlib
import signal
import threading

from sevclone import Trouble

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_started = {}           # id: process.Process
_starting = threading.RLock()   # guards that, and is held while one starts
_over = threading.Event()


class _Main:
    """Of the main thread: is it in something whole, and what came meanwhile."""

    depth, pending = 0, False


@contextlib.contextmanager
def whole():
    """What comes meanwhile interrupts afterwards.

    For moments, and for waits that ask is_interrupted().
    """
    if threading.current_thread() is not threading.main_thread():
        yield                           # nothing interrupts other threads
        return
    _Main.depth += 1
    try:
        yield
    finally:
        _Main.depth -= 1
        if _Main.pending and not _Main.depth:
            _Main.pending = False
            raise KeyboardInterrupt


def is_interrupted():
    """Within whole(): is it time to come to its end?"""
    return _Main.pending


def interrupted(_number, _frame):
    """Once: no second signal stops the ending of what was begun."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _Main.depth:
        _Main.pending = True
    else:
        raise KeyboardInterrupt


def end_like_interrupted():
    """By SIGTERM and a closed terminal too; not under nohup."""
    signal.signal(signal.SIGTERM, interrupted)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupted)


@contextlib.contextmanager
def starting(process):
    """@process is ours from here on; it is started within this block."""
    with whole(), _starting:
        if _over.is_set():
            raise Trouble('the command is ending')
        _started[process.id] = process
        yield


def found(process):
    """Somebody else's, which is ours from here on."""
    with starting(process):
        pass


def let_go(process):
    """It lives on without us, or it is no more."""
    with whole(), _starting:
        _started.pop(process.id, None)


def let_go_all(processes):
    """All of them, or none when an interruption came first."""
    with whole():
        for process in processes:
            let_go(process)


def end_all():
    """For the end of a command; nothing can be started any more."""
    with _starting:
        _over.set()
        left = list(_started.values())
    for process in left:
        process.stop()
