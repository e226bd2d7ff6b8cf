# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes to move in and out of a guest: disk images and an HTTP server."""

import hashlib
import http.server
import os
import threading

from verdict import check

MIB = 1 << 20


def disk(lab, name, content=b'', size=8 * MIB):
    """A raw image: (path, sha256); random bytes unless there is a content."""
    path = lab.large(name)
    data = content or os.urandom(size)
    data += bytes(-len(data) % 512)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def drive(path, device, number, snapshot=False):
    """Arguments for a raw disk on @device, a PCI device's or bus member's name."""
    return ['-drive', f'if=none,id=disk{number},format=raw,file={path}'
            + (',snapshot=on' if snapshot else ''),
            '-device', f'{device},drive=disk{number}']


class Server:
    """GET: random bytes.  POST: the sha256 of what came in."""

    def __init__(self, size=4 * MIB):
        self.data = os.urandom(size)
        self.sha256 = hashlib.sha256(self.data).hexdigest()

    def __enter__(self):
        data = self.data

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self, body):
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self._answer(data)

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                self._answer(hashlib.sha256(body).hexdigest().encode())

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                                       Handler)
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        """As a guest behind QEMU's user network sees it."""
        return f'http://10.0.2.2:{self._server.server_address[1]}/'


def both_ways(guest, device, image, wanted):
    """Read all of a disk, turn some of it around on itself, look at the image.

    @guest has must(); the disk's SHA-256 is @wanted before.
    """
    check(guest.must(f'sha256sum < {device}').split()[0] == wanted,
          f'{device} does not read as it is')
    guest.must(f'head -c 1000000 {device} | tac > /tmp/half; '
               f'dd if=/tmp/half of={device} bs=4k conv=notrunc,fsync 2>/dev/null'
               '; echo 3 > /proc/sys/vm/drop_caches')
    there = guest.must(f'sha256sum < {device}').split()[0]
    check(there != wanted and there == digest(image),
          f'what was written to {device} is not in the image')
