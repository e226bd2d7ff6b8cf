# SPDX-License-Identifier: GPL-2.0-or-later
"""The man in the middle: a TCP proxy between two ends of a migration."""

import contextlib
import select
import socket
import threading
import time


class Proxy(threading.Thread):
    """Forward one connection; let @edit look at every byte from the source.

    @edit(offset, data) returns the bytes to pass on, or None to cut the line.
    @record, a file opened for writing, gets what the source sent.
    """

    def __init__(self, port, edit=None, record=None):
        super().__init__(daemon=True)
        self._target, self._edit, self._record = port, edit, record
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(60)
        self.port = self._listener.getsockname()[1]
        self.passed, self._ends = 0, ()
        self.start()

    @property
    def uri(self):
        return f'tcp:127.0.0.1:{self.port}'

    def cut(self):
        """Cut the line now, for both ends."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def finish(self):
        """Wait until both ends have hung up: the record is complete then."""
        self.join(20)

    def run(self):
        with self._listener:
            try:
                source, _ = self._listener.accept()
            except TimeoutError:
                return
        with source, socket.create_connection(('127.0.0.1', self._target),
                                              timeout=60) as target:
            self._ends = source, target
            try:
                self._forward(source, target)
            except OSError:
                pass                    # one end hung up; so do we

    def _forward(self, source, target):
        buffer = bytearray(1 << 18)
        open_ends = [source, target]
        while open_ends:
            ready, _, _ = select.select(open_ends, [], [], 60)
            if not ready:
                return
            for end in ready:
                length = end.recv_into(buffer)
                other = target if end is source else source
                if not length:
                    open_ends.remove(end)
                    other.shutdown(socket.SHUT_WR)
                    continue
                data = memoryview(buffer)[:length]
                if end is source:
                    data = self._inspect(data)
                    if data is None:
                        return
                other.sendall(data)

    def _inspect(self, data):
        if self._record:
            self._record.write(data)
        offset, self.passed = self.passed, self.passed + len(data)
        return self._edit(offset, data) if self._edit else data


class Lines(threading.Thread):
    """Forward every connection to a target; one of them can be cut.

    @edit(number, offset, data) sees what the source sends on each connection,
    numbered as they come, and returns the bytes to pass on, or None to cut
    that connection.
    """

    def __init__(self, port, edit=None):
        super().__init__(daemon=True)
        self._target, self._edit = port, edit
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(120)
        self.port = self._listener.getsockname()[1]
        self.count, self._ends = 0, {}
        self.start()

    def run(self):
        with self._listener, contextlib.suppress(OSError):
            while True:
                source, _ = self._listener.accept()
                threading.Thread(target=self._forward, daemon=True,
                                 args=(self.count, source)).start()
                self.count += 1

    def stop(self):
        """Cut what is left, and take no more."""
        self._listener.close()
        for number in list(self._ends):
            self.cut_one(number)

    def cut_one(self, number):
        """Cut one connection now, for both ends; it may just be coming."""
        end = time.monotonic() + 20
        while number not in self._ends and time.monotonic() < end:
            time.sleep(0.005)
        for end in self._ends.get(number, ()):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _forward(self, number, source):
        passed, buffer = 0, bytearray(1 << 18)
        with source, contextlib.suppress(OSError), socket.create_connection(
                ('127.0.0.1', self._target), timeout=60) as target:
            self._ends[number] = source, target
            while True:
                ready, _, _ = select.select([source, target], [], [], 120)
                for end in ready:
                    length = end.recv_into(buffer)
                    data = memoryview(buffer)[:length]
                    if end is source and length and self._edit:
                        data = self._edit(number, passed, data)
                        passed += length
                    if not length or data is None:
                        return
                    (target if end is source else source).sendall(data)
                if not ready:
                    return


def cut_after(limit):
    """An edit that ends the stream after @limit bytes."""
    def edit(offset, data):
        return data if offset + len(data) <= limit else None
    return edit


def flip_in_packet(number=10):
    """An edit that changes one bit in the data of a packet.

    Finds the @number-th PAGES record by its header (magic, version, type) and
    flips a bit in the ciphertext of its first packet.
    """
    header = b'SEVR' + bytes([0, 1, 0, 6])
    to_data = 16 + 16 + 8 + 52      # record header, block and count, offset,
    seen, position = 0, None        # packet header

    def edit(offset, data):
        nonlocal seen, position
        if position is None:
            text, at = bytes(data), 0
            while (at := text.find(header, at)) >= 0:
                seen += 1
                if seen == number:
                    position = offset + at + to_data + 100
                    break
                at += 1
        if position is not None and offset <= position < offset + len(data):
            data[position - offset] ^= 1
        return data
    return edit
