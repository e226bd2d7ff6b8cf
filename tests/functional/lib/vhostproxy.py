# SPDX-License-Identifier: GPL-2.0-or-later
"""Between QEMU and a vhost-user daemon: offers VIRTIO_F_ACCESS_PLATFORM.

virtiofsd does not offer it, and QEMU refuses such a device to an SEV guest, as
it does under KVM.  Where there is no IOMMU the bit asks nothing of the daemon,
and QEMU does not ask it back: the guest puts into the ring what the host may
see, at the addresses it has.
"""

import array
import contextlib
import os
import socket
import struct
import threading

GET_FEATURES = 1
ACCESS_PLATFORM = 1 << 33
HEADER = struct.Struct('<III')          # request, flags, length of the rest
FDS = 16


class Proxy:
    """Listens at @path, connects to @daemon; one connection."""

    def __init__(self, path, daemon):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._daemon = str(daemon)
        self._open = [self._listener]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            qemu, _ = self._listener.accept()
            daemon = socket.socket(socket.AF_UNIX)
            self._open += [qemu, daemon]
            daemon.connect(self._daemon)
            threading.Thread(target=self._forward, daemon=True,
                             args=(daemon, qemu, self._answer)).start()
            self._forward(qemu, daemon, lambda _, body: body)

    @staticmethod
    def _answer(request, body):
        if request == GET_FEATURES:
            return struct.pack('<Q', struct.unpack('<Q', body)[0]
                               | ACCESS_PLATFORM)
        return body

    @staticmethod
    def _forward(source, target, change):
        with contextlib.suppress(OSError):
            while True:
                head, fds = receive(source, HEADER.size)
                if not head:
                    break
                request, _, length = HEADER.unpack(head)
                body = receive(source, length)[0] if length else b''
                send(target, head + change(request, body), fds)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def receive(sock, length):
    """(exactly so many bytes, file descriptors); (b'', []) at the end."""
    data, fds = b'', []
    while len(data) < length:
        more, got, _, _ = socket.recv_fds(sock, length - len(data), FDS)
        if not more:
            return b'', []
        data, fds = data + more, fds + list(got)
    return data, fds


def send(sock, data, fds):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))]
    sent = sock.sendmsg([data], rights if fds else [])
    sock.sendall(data[sent:])
    for fd in fds:
        os.close(fd)
