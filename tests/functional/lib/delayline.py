# SPDX-License-Identifier: GPL-2.0-or-later
"""A long line between two ends of a migration: every byte arrives late."""

import contextlib
import queue
import socket
import threading
import time


class DelayLine:
    """Forward one TCP connection, each byte @seconds late, both ways.

    What one end sent before it hung up still arrives; so does the end.
    @look(is_source, data) sees bytes when they are sent, before the delay, and
    returns True to cut the line: nothing arrives any more, in either direction.
    """

    def __init__(self, port, seconds, look=None):
        self._target, self._seconds, self._look = port, seconds, look
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(60)
        self.port = self._listener.getsockname()[1]
        self._ends, self._threads, self._cut = (), [], False
        self._started = threading.Thread(target=self._run, daemon=True)
        self._started.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()
        self.finish()

    @property
    def uri(self):
        return f'tcp:127.0.0.1:{self.port}'

    def cut(self):
        self._cut = True
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def finish(self):
        self._listener.close()
        self._started.join(20)
        for thread in self._threads:
            thread.join(20)
        for end in self._ends:
            end.close()

    def _run(self):
        try:
            source, _ = self._listener.accept()
            target = socket.create_connection(('127.0.0.1', self._target), 60)
        except OSError:
            return
        self._ends = source, target
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for reader, writer in ((source, target), (target, source)):
            late = queue.Queue()
            for work, end in ((self._read, reader), (self._write, writer)):
                self._threads.append(threading.Thread(
                    target=work, daemon=True,
                    args=(end, late, reader is source)))
        for thread in self._threads:
            thread.start()

    def _read(self, end, late, is_source):
        data = b'first'
        while data:
            try:
                data = end.recv(1 << 18)
            except OSError:
                data = b''
            if data and self._look and self._look(is_source, data):
                self.cut()
            late.put((time.monotonic() + self._seconds, data))

    def _write(self, end, late, _is_source):
        data = b'first'
        while data:
            due, data = late.get()
            time.sleep(max(0, due - time.monotonic()))
            with contextlib.suppress(OSError):
                if self._cut:
                    return
                if data:
                    end.sendall(data)
                else:
                    end.shutdown(socket.SHUT_WR)
