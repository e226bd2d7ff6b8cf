#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A network of its own for guests that move, with a TCP peer outside them.

      network namespace (anonymous: it goes when its process goes)
      +------------------------------------------------------------+
      |   tap0 --- source QEMU                                     |
      |     \\                                                      |
      |      br0  10.77.0.1   TCP peer: checks and echoes records  |
      |     /                                                      |
      |   tap1 --- target QEMU                                     |
      +------------------------------------------------------------+

NetLab is the tests' end; the process that holds the namespace runs this file.
It hands over tap devices as file descriptors, so QEMU itself stays outside.
"""

import array
import fcntl
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import time

SUBNET = '10.77.0'
PORT = 7000
RECORD_WORDS = 128
RECORD_BYTES = 8 * RECORD_WORDS

TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def noise(stream, i):
    """Word @i of a stream, as tests/guest/agent.c computes it."""
    mask = (1 << 64) - 1
    z = (stream + (i + 1) * 0x9e3779b97f4a7c15) & mask
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & mask
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb & mask
    return z ^ (z >> 31)


def record(seed, number):
    stream = seed ^ 0x746370
    words = [number] + [noise(stream, number * RECORD_WORDS + i)
                        for i in range(1, RECORD_WORDS)]
    return struct.pack(f'<{RECORD_WORDS}Q', *words)


class NetLab:
    """The network, as a context manager."""

    def __init__(self, seed):
        self._seed = seed

    def __enter__(self):
        self._control, theirs = socket.socketpair()
        self._control.settimeout(20)
        user = [] if os.geteuid() == 0 else ['--map-root-user']
        try:
            self._process = subprocess.Popen(
                ['unshare', '--net', *user, sys.executable, __file__,
                 str(theirs.fileno()), hex(self._seed)],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        finally:
            theirs.close()
        try:
            if not self._control.recv(6):
                said = self._process.stderr.read().strip().splitlines()
                raise RuntimeError('no network namespace with a bridge; run '
                                   f'this as root ({said[-1] if said else ""})')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._control.close()           # the other end takes that as its end
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stderr.close()

    def tap(self):
        """A new port of the bridge, as a file descriptor."""
        self._control.send(b'tap')
        _, fds, _, _ = socket.recv_fds(self._control, 16, 1)
        if not fds:
            said = self._process.stderr.read().strip().splitlines()
            raise RuntimeError('no tap device on the bridge: '
                               f'{said[-1] if said else "nothing says why"}')
        return fds[0]

    def connections(self):
        """What the peer saw, one dictionary per connection ever made."""
        self._control.send(b'stat')
        return json.loads(self._control.recv(65536))


# --- Inside the namespace --------------------------------------------------


def ip(*words):
    subprocess.run(['ip', *words], check=True)


def open_tap(number):
    fd = os.open('/dev/net/tun', os.O_RDWR)
    name = f'tap{number}'
    request = struct.pack('16sH22x', name.encode(),
                          IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    fcntl.ioctl(fd, TUNSETIFF, request)
    ip('link', 'set', name, 'master', 'br0', 'up')
    return fd


class Connection:
    """One TCP connection: verify every byte, send it back."""

    def __init__(self, sock, address, seed):
        self.sock, self.seed, self.pending = sock, seed, b''
        self.seen = dict(address=address[0], records=0, open=True, bad=0,
                         gap_ms=0.0, last=time.monotonic())

    def turn(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b''
        if not data:
            self.seen['open'] = False
            return False
        self.pending += data
        while len(self.pending) >= RECORD_BYTES:
            got = self.pending[:RECORD_BYTES]
            self.pending = self.pending[RECORD_BYTES:]
            if got != record(self.seed, self.seen['records']):
                self.seen['bad'] += 1
            now = time.monotonic()
            gap = (now - self.seen['last']) * 1000
            self.seen.update(last=now, gap_ms=max(self.seen['gap_ms'], gap))
            self.seen['records'] += 1
            self.sock.sendall(got)
        return True


def serve(control, seed):
    ip('link', 'set', 'lo', 'up')
    ip('link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0')
    ip('addr', 'add', f'{SUBNET}.1/24', 'dev', 'br0')
    ip('link', 'set', 'br0', 'up')
    listener = socket.create_server(('', PORT))
    watch = selectors.DefaultSelector()
    watch.register(control, selectors.EVENT_READ)
    watch.register(listener, selectors.EVENT_READ)
    connections, taps = [], []
    control.send(b'ready\n')
    while True:
        for key, _ in watch.select():
            if key.fileobj is control:
                order = control.recv(4)
                if order == b'stat':
                    seen = [c.seen for c in connections]
                    control.send(json.dumps(seen).encode())
                elif order[:3] == b'tap':
                    taps.append(open_tap(len(taps)))
                    fds = array.array('i', [taps[-1]])
                    control.sendmsg([b'tap'], [(socket.SOL_SOCKET,
                                                socket.SCM_RIGHTS, fds)])
                    os.close(taps[-1])  # QEMU's copy keeps the device alive
                else:
                    return
            elif key.fileobj is listener:
                connections.append(Connection(*listener.accept(), seed))
                watch.register(connections[-1].sock, selectors.EVENT_READ,
                               connections[-1])
            elif not key.data.turn():
                watch.unregister(key.fileobj)


if __name__ == '__main__':
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2], 0))
