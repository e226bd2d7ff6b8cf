# SPDX-License-Identifier: GPL-2.0-or-later
"""A QMP client: one connected socket, one command at a time, events kept."""

import json
import select
import socket
import time

from sevclone import Trouble

REPLY_LIMIT = 60        # seconds


class Refused(Trouble):
    """QEMU answered a command with an error; the text is QEMU's sentence."""


class Gone(Trouble):
    """The other end of the socket is not there any more."""


class Silent(Trouble):
    """The other end is there, and says nothing."""


class Qmp:
    """One client of one monitor.  Not for two threads at once."""

    def __init__(self, where):
        """@where: a connected socket, or the path of a listening one."""
        if isinstance(where, socket.socket):
            self.socket = where
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(where))
            except OSError as error:
                self.socket.close()
                raise Gone(f'no QEMU answers at {where}: {error}') from error
        self._text = b''
        self._lines = []
        self.events = []
        self.greeted = False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self, end):
        """Take in what comes; at least one whole line, before @end."""
        while not self._lines:
            left = end - time.monotonic()
            ready, _, _ = select.select([self.socket], [], [], max(left, 0))
            if not ready:
                raise Silent('QEMU does not answer on its monitor')
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b''
            if not data:
                raise Gone('QEMU ended')
            self._text += data
            *whole, self._text = self._text.split(b'\n')
            self._lines += [line for line in whole if line.strip()]
        return json.loads(self._lines.pop(0))

    def send(self, command, arguments=None):
        """Send without waiting for the reply; read it with reply()."""
        message = {'execute': command}
        if arguments:
            message['arguments'] = arguments
        try:
            self.socket.sendall(json.dumps(message).encode() + b'\n')
        except OSError as error:
            raise Gone(f'QEMU ended: {error}') from error

    def reply(self, limit=REPLY_LIMIT):
        end = time.monotonic() + limit
        while True:
            message = self._read(end)
            if 'event' in message:
                self.events.append(message)
            elif 'error' in message:
                raise Refused(message['error']['desc'])
            elif 'return' in message:
                return message['return']

    def cmd(self, command, arguments=None, limit=REPLY_LIMIT):
        self.send(command, arguments)
        return self.reply(limit)

    def hello(self, limit=REPLY_LIMIT):
        """Negotiate; the greeting comes when QEMU has started."""
        if not self.greeted:
            self.send('qmp_capabilities')
            self.reply(limit)
            self.greeted = True
        return self

    def event(self, wanted, limit):
        """The next event that @wanted(event) is true of; older ones first."""
        end = time.monotonic() + limit
        while True:
            while self.events:
                event = self.events.pop(0)
                if wanted(event):
                    return event
            message = self._read(end)
            if 'event' in message:
                self.events.append(message)


def stamp(event):
    """When QEMU says the event was, in seconds of the wall clock."""
    at = event['timestamp']
    return at['seconds'] + at['microseconds'] / 1e6
