# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of the port by which a guest learns that it is a clone.

Lines of text.  Guest to host: "ready", "seeded ID" (the
random pool), "done ID" (clock and hooks too), "failed ID".
Host to guest: "clone id=... uuid=... mac=... time=...".  What the guest says is
not trusted.
"""

import select
import socket
import time

from sevclone import Trouble

LINE_MAX = 512


class Channel:
    """One connection to the socket behind the port."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self._text, self._lines = b'', []

    def close(self):
        self.socket.close()

    def tell(self, who):
        """Say to the guest that it is now this clone.

        May be called before the guest runs: it reads the line first of all.
        """
        words = [f'{key}={who[key]}' for key in ('id', 'uuid', 'mac')]
        self.socket.sendall(f'clone {" ".join(words)} '
                            f'time={time.time():.6f}\n'.encode())

    def wait(self, words, limit, alive=lambda: True):
        """The first of @words that the guest says, as (word, value)."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            while self._lines:
                line = self._lines.pop(0).decode('ascii', 'replace')
                word, _, value = line.partition(' ')
                if word in words:
                    return word, value.strip()
            if not self._read() and not alive():
                break
        raise Trouble(f'the guest did not say {" or ".join(words)} '
                      f'within {limit} seconds')

    def _read(self):
        """Take in what comes within a moment; false when nothing did."""
        ready, _, _ = select.select([self.socket], [], [], 0.2)
        data = ready and self.socket.recv(LINE_MAX)
        if not data:
            return False
        *lines, self._text = (self._text + data).split(b'\n')
        self._text = self._text[-LINE_MAX:]
        self._lines += lines
        return True
