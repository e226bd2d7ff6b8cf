# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of the port by which a guest learns that it is a clone.

Lines of text.  Guest to host: "ready", "done ID", "failed ID".  Host to guest:
"clone id=... uuid=... mac=... time=...".  What the guest says is not trusted.
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
        self._text = b''

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
            ready, _, _ = select.select([self.socket], [], [], 0.2)
            if not ready:
                if not alive():
                    break
                continue
            data = self.socket.recv(LINE_MAX)
            if not data:
                break
            *lines, self._text = (self._text + data).split(b'\n')
            self._text = self._text[-LINE_MAX:]
            for line in lines:
                word, _, value = line.decode('ascii', 'replace').partition(' ')
                if word in words:
                    return word, value.strip()
        raise Trouble(f'the guest did not say {" or ".join(words)} '
                      f'within {limit} seconds')
