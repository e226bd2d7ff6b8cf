# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's docker-registry on the loopback, with TLS, and how much goes to it."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading

import pki
from verdict import Failed, Skip, wait_until

CONFIG = '''version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http:
  addr: {address}
  relativeurls: true
  tls: {{certificate: {tls}/server-cert.pem, key: {tls}/server-key.pem}}
'''


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Counter:
    """A line to a port that counts the bytes in both directions."""

    def __init__(self, port):
        self.port, self.sent, self.received = port, 0, 0
        self.server = socket.create_server(('127.0.0.1', 0))
        self.address = f'127.0.0.1:{self.server.getsockname()[1]}'
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.server.accept()
                far = socket.create_connection(('127.0.0.1', self.port))
                for ends in ((near, far, 'sent'), (far, near, 'received')):
                    threading.Thread(target=self._copy, args=ends,
                                     daemon=True).start()

    def _copy(self, one, other, count):
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                setattr(self, count, getattr(self, count) + len(data))
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def close(self):
        self.server.close()


class Registry:
    """A registry with a folder of its own; ends with the test."""

    def __init__(self, folder):
        self.program = shutil.which('docker-registry')
        if not self.program or not shutil.which('skopeo'):
            raise Skip('needs skopeo and docker-registry: '
                       'scripts/overlay/deps.sh registry')
        self.folder, self.port = folder, free_port()
        self.tls = pki.make(folder / 'tls')
        # As skopeo wants it: a folder in which *.crt are authorities.
        self.trusted = folder / 'trusted'
        self.trusted.mkdir()
        shutil.copy(self.tls / 'ca-cert.pem', self.trusted / 'ca.crt')
        self.line = Counter(self.port)
        self.child = None

    def __enter__(self):
        config = self.folder / 'registry.yml'
        config.write_text(CONFIG.format(
            root=self.folder / 'registry', address=f'127.0.0.1:{self.port}',
            tls=self.tls))
        with open(self.folder / 'registry.log', 'wb') as log:
            self.child = subprocess.Popen(
                [self.program, 'serve', str(config)], stdout=log, stderr=log,
                env={**os.environ, 'OTEL_TRACES_EXPORTER': 'none'})
        try:
            wait_until('docker-registry', 60, self._answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _answers(self):
        if self.child.poll() is not None:
            raise Failed('docker-registry ended: ' + (
                self.folder / 'registry.log').read_text()[-300:])
        context = ssl.create_default_context(cafile=self.tls / 'ca-cert.pem')
        with contextlib.suppress(OSError), socket.create_connection(
                ('127.0.0.1', self.port), 5) as plain:
            context.wrap_socket(plain, server_hostname='localhost').close()
            return True
        return False

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.line.close()
        shutil.rmtree(self.folder / 'registry', ignore_errors=True)

    def reference(self, name):
        """Through the line that counts."""
        return f'{self.line.address}/{name}'

    def sent(self):
        """Bytes to the registry since the last call."""
        sent, self.line.sent = self.line.sent, 0
        return sent

    def received(self):
        """Bytes from the registry since the last call."""
        received, self.line.received = self.line.received, 0
        return received
