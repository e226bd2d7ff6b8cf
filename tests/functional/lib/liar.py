# SPDX-License-Identifier: GPL-2.0-or-later
"""A target that is no QEMU: it speaks the protocol well, and lies.

It has a trusted platform's certificates, which are public, and no key.  What it
reads it keeps, so that it can also say what an honest target would: the digest
of all that was sent (docs/interop/sev-record.rst), in a second implementation.
"""

import base64
import contextlib
import hashlib
import re
import socket
import struct

MESSAGE = struct.Struct('>HH')
RECORD = struct.Struct('>4sHHQ')
ENTRY, PACKET_HEADER, PAGE = 8, 52, 4096
HELLO, CERTS, SESSION, PAGES, END, ACK, GO = 1, 2, 4, 6, 9, 14, 15
LAST = max(HELLO, CERTS, SESSION, PAGES, END, ACK, GO)

SHUT, PONG, REQ_PAGES_ID, REQ_PAGES, RECV_BITMAP, RESUME_ACK, SWITCHOVER_ACK = \
    range(1, 8)
RP_CERTS, RP_REFUSAL, RP_ACK = 0x5e01, 0x5e02, 0x5e03

PING = 0x5e000000           # and the number of it
PING_COMMAND = b'\x08\x00\x02\x00\x04'


def blob(data):
    return struct.pack('>Q', len(data)) + data


def record(kind, payload=b''):
    return RECORD.pack(b'SEVR', 1, kind, len(payload)) + payload


def message(kind, body=b''):
    return MESSAGE.pack(kind, len(body)) + body


def records(data):
    """(offset, type, whole record) of every one that is complete."""
    at = 0
    header = re.compile(rb'SEVR\x00\x01\x00[\x01-\x0f]')
    while found := header.search(data, at):
        at = found.start()
        _, _, kind, length = RECORD.unpack_from(data, at)
        end = at + RECORD.size + length
        if end > len(data):
            return
        yield at, kind, data[at:end]
        at = end


def reduced(pages):
    """A PAGES record without the data of its packets."""
    fixed = RECORD.size + 16
    out = pages[:fixed]
    for at in range(fixed, len(pages), ENTRY + PACKET_HEADER + PAGE):
        out += pages[at:at + ENTRY + PACKET_HEADER]
    return out


def digest(data):
    """What the acknowledgement of this stream has to name."""
    seen = hashlib.sha256(b'SEV hand-over 1')
    begun = False
    for at, kind, whole in records(data):
        begun = begun or kind == SESSION
        if begun:
            seen.update(reduced(whole) if kind == PAGES else whole)
        if kind == END:
            seen.update(data[at + len(whole):])
            return hashlib.sha256(seen.digest()).digest()
    raise ValueError('no END record')


def whole(data):
    """Is this all of a stream: END, the devices, and their description?"""
    at = data.rfind(b'{"configuration"')
    return data[at - 6:at - 4] == b'\0\6' and \
        len(data) == at + int.from_bytes(data[at - 4:at], 'big')


def ack(name, status=0, report=b''):
    return message(RP_ACK, record(ACK, blob(name) + struct.pack('>Q', status)
                                  + blob(report)))


class Liar:
    """One connection; a context manager."""

    def __init__(self, host):
        answer = host.platform_certs()
        parts = (base64.b64decode(answer[name]) for name in
                 ('sev-pdh', 'sev-plat-cert', 'sev-amd-cert'))
        self.certs = message(RP_CERTS, record(CERTS, b''.join(map(blob, parts))))
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(60)
        self.uri = f'tcp:127.0.0.1:{self._listener.getsockname()[1]}'
        self.line, self.data, self.answered = None, b'', 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        if self.line:
            self.line.close()

    def accept(self):
        self.line, _ = self._listener.accept()
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, data):
        """The source may have hung up: that is its answer."""
        with contextlib.suppress(OSError):
            self.line.sendall(data)

    def read(self, seconds):
        """What comes within so many seconds; b'' when the line is at its end."""
        self.line.settimeout(seconds)
        try:
            got = self.line.recv(1 << 20)
        except TimeoutError:
            return None
        except OSError:
            return b''
        self.data += got
        self._answer_pings()
        return got

    def _answer_pings(self):
        """An honest target's PONGs; without them the guest is not stopped."""
        while (value := struct.pack('>I', PING + self.answered + 1)) and \
                PING_COMMAND + value in self.data:
            self.say(message(PONG, value))
            self.answered += 1

    def read_until(self, kind):
        """... the source has sent a record of this kind; or it hung up."""
        while kind not in (k for _, k, _ in records(self.data)):
            if not self.read(30):
                return False
        return True

    def read_all(self):
        """All of the stream, to the last byte; or it hung up."""
        self.read_until(END)
        while not whole(self.data) and self.read(30):
            pass

    def reach(self, state):
        """Answer as an honest target would, until the source is in @state."""
        self.accept()
        if state == 'quiet':
            return
        self.read_until(HELLO)
        if state != 'asked':
            self.say(self.certs)
            self.read_until(SESSION)
        if state in ('sent', 'judging', 'given'):
            self.read_all()
