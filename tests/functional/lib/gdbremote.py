# SPDX-License-Identifier: GPL-2.0-or-later
"""The few words of GDB's remote protocol that read and write memory in QEMU.

A connection stops the guest; closing it lets the guest go on.
"""

import socket

from verdict import Failed, check


class Gdb:
    """A debugger on the host; addresses are virtual or physical ones."""

    def __init__(self, guest, physical=False):
        path = guest.lab.large(f'{guest.name}.gdb')
        guest.cmd('human-monitor-command',
                  command_line=f'gdbserver unix:{path},server=on,wait=off')
        self._guest = guest
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._pending = b''
        mode = f'Qqemu.PhyMemMode:{int(physical)}'
        check(self._ask(mode) == 'OK', f'gdbstub refuses {mode}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ask('D')
        self._socket.close()
        self._guest.cmd('human-monitor-command', command_line='gdbserver none')

    def _byte(self):
        while not self._pending:
            self._pending = self._socket.recv(65536)
            if not self._pending:
                raise Failed('gdbstub hung up')
        byte, self._pending = self._pending[:1], self._pending[1:]
        return byte

    def _ask(self, text, stops=False):
        data = text.encode()
        self._socket.sendall(b'$' + data + b'#%02x' % (sum(data) & 0xff))
        while True:
            while self._byte() != b'$':         # acknowledgements
                pass
            answer = b''
            while (byte := self._byte()) != b'#':
                answer += byte
            self._byte(), self._byte()          # checksum
            self._socket.sendall(b'+')
            if stops or not answer.startswith(b'T'):    # why it stopped
                return answer.decode()

    def resume(self, packet):
        """Continue or step: why it stopped again, or did not go on."""
        self._socket.settimeout(10)
        return self._ask(packet, stops=True)

    def read(self, address, length):
        """Bytes, or None where the stub has none."""
        answer = self._ask(f'm{address:x},{length:x}')
        return None if answer.startswith('E') else bytes.fromhex(answer)

    def write(self, address, data):
        """Whether the stub wrote the bytes."""
        return self._ask(f'M{address:x},{len(data):x}:{data.hex()}') == 'OK'
