# SPDX-License-Identifier: GPL-2.0-or-later
"""A line between two ends of a migration that is as slow as one wants."""

import contextlib
import socket
import threading
import time


class SlowLine(threading.Thread):
    """Passes one connection on, at @rate bytes per second; 0: it stops soon.

    A Unix socket, because its buffer does not grow: 200 KiB wait in it, not
    the megabytes with which TCP would hide how slow the line is.
    """

    CHUNK = 8192                # bytes
    STANDS_AFTER = 1 << 19

    def __init__(self, folder, port, rate):
        super().__init__(daemon=True)
        self._port, self._rate = port, rate
        path = folder / f'line-{port}'
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self.uri = f'unix:{path}'
        self.start()

    def run(self):
        with self._listener, contextlib.suppress(OSError):
            source, _ = self._listener.accept()
            target = socket.create_connection(('127.0.0.1', self._port))
            with source, target:
                back = threading.Thread(target=self._back, daemon=True,
                                        args=(target, source))
                back.start()
                self._forth(source, target)
                back.join(60)

    @staticmethod
    def _back(target, source):
        with contextlib.suppress(OSError):
            while data := target.recv(65536):
                source.sendall(data)
            source.shutdown(socket.SHUT_WR)

    def _forth(self, source, target):
        free_at, passed = time.monotonic(), 0
        while data := source.recv(self.CHUNK):
            target.sendall(data)
            passed += len(data)
            while self._rate == 0 and passed > self.STANDS_AFTER:
                time.sleep(60)
            if self._rate:
                free_at = max(free_at, time.monotonic() - 0.05)
                free_at += len(data) / self._rate
                time.sleep(max(0, free_at - time.monotonic()))
        target.shutdown(socket.SHUT_WR)
