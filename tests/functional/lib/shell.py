# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell inside the guest, on a virtio port (tests/guest/init)."""

import re
import socket
import time

from verdict import BOOT_LIMIT, Failed, check


class Shell:
    """Commands for the guest's busybox; only one at a time."""

    def __init__(self, guest):
        self._guest = guest
        self._path = guest.lab.large(f'{guest.name}.shell')
        self._socket = None
        self._number = 0

    @property
    def args(self):
        return ['-chardev', f'socket,id=shell,path={self._path},server=on,'
                'wait=off', '-device', 'virtio-serial-pci,id=shell-bus',
                '-device', 'virtserialport,bus=shell-bus.0,nr=1,chardev=shell,'
                'name=shell']

    def close(self):
        if self._socket:
            self._socket.close()
            self._socket = None
        self._path.unlink(missing_ok=True)

    def again(self):
        """The guest booted anew: so does its shell."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def start(self, command):
        """Run a command and do not wait for what it says."""
        if not self._socket:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(str(self._path))
        self._number += 1
        mark = f'=={self._number}=='
        # The mark is put together there, so that no echo looks like it.
        self._socket.sendall(f'{command}\necho "=={self._number}="=$?\n'
                             .encode())
        return mark

    def run(self, command, limit=BOOT_LIMIT):
        """Run a command; (exit code, what it printed)."""
        mark = self.start(command)
        end, seen = time.monotonic() + limit, b''
        while True:
            found = re.search(re.escape(mark).encode() + rb'(\d+)\r?\n', seen)
            if found:
                text = seen[:found.start()].decode('utf-8', 'replace')
                return int(found.group(1)), text.replace('\r', '')
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f'{self._guest.name}: "{command}" did not end '
                             f'within {limit} seconds; it said {seen[-200:]}')
            self._socket.settimeout(min(left, 1))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                self._guest.alive()
                continue
            if not data:
                raise Failed(f'{self._guest.name}: QEMU hung up')
            seen += data

    def must(self, command, limit=BOOT_LIMIT):
        """Run a command that has to succeed; what it printed."""
        code, text = self.run(command, limit)
        check(code == 0, f'{self._guest.name}: "{command}" ended with {code}: '
              f'{text.strip()[-300:]}')
        return text.strip()
