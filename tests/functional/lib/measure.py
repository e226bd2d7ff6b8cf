#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest owner's side of a launch: make a session, check the measurement.

Written from the formulas of the SEV API alone, with Python's standard library
and the openssl command; it shares no code with the secure processor it checks.

   owner                                       platform
     | <-------- PDH certificate --------------- |
     | -- owner's DH certificate, session -----> |   LAUNCH_START
     |                                           |   ... firmware is measured
     | <-------- MEASURE, MNONCE --------------- |   LAUNCH_MEASURE
"""

import base64
import hashlib
import hmac
import secrets
import struct
import subprocess

CERT_LEN = 0x824
P384_INFO = bytes.fromhex('3076301006072a8648ce3d020106052b8104002203620004')
USAGE_PDH, ALGO_ECDH, CURVE_P384 = 0x1003, 3, 2
USAGE_PEK, ALGO_ECDSA, USAGE_NONE = 0x1002, 2, 0x1000


def openssl(*words, data=None):
    return subprocess.run(['openssl', *words], input=data, check=True,
                          capture_output=True).stdout


def hmac256(key, *parts):
    return hmac.new(key, b''.join(parts), hashlib.sha256).digest()


def aes128_ctr(key, iv, data):
    return openssl('enc', '-aes-128-ctr', '-K', key.hex(), '-iv', iv.hex(),
                   data=data)


def kdf(key, label, context=b''):
    """SP 800-108 in counter mode, one block; both integers little endian."""
    return hmac256(key, struct.pack('<I', 1), label.encode(), b'\0', context,
                   struct.pack('<I', 128))[:16]


# --- Certificates: P-384 numbers are little endian in 72 bytes -------------


def certificate(x, y):
    """A DH certificate around a public key.  Nobody checks its signature."""
    head = struct.pack('<IBBHII', 1, 0, 0, 0, USAGE_PDH, ALGO_ECDH)
    key = struct.pack('<I72s72s', CURVE_P384, x[::-1], y[::-1])
    cert = bytearray((head + key).ljust(CERT_LEN, b'\0'))
    struct.pack_into('<II', cert, 0x414, USAGE_PEK, ALGO_ECDSA)
    struct.pack_into('<II', cert, 0x61c, USAGE_NONE, 0)
    return bytes(cert)


def public_key(cert):
    """The key of a SEV certificate, in the form openssl reads."""
    usage, = struct.unpack_from('<I', cert, 0x008)
    curve, x, y = struct.unpack_from('<I72s72s', cert, 0x010)
    if (len(cert), usage, curve) != (CERT_LEN, USAGE_PDH, CURVE_P384):
        raise ValueError('not a PDH certificate on P-384')
    return P384_INFO + x[47::-1] + y[47::-1]


# --- The session -----------------------------------------------------------


class Session:
    """The owner's half of the key agreement with one platform."""

    def __init__(self, pdh, policy, folder):
        self.policy = policy
        self.tek, self.tik = secrets.token_bytes(16), secrets.token_bytes(16)
        shared, own = self._agree(pdh, folder)
        self.cert = certificate(own[-96:-48], own[-48:])
        self.blob = self._wrap(shared)

    @staticmethod
    def _agree(pdh, folder):
        key, peer = folder / 'owner.pem', folder / 'platform.der'
        openssl('genpkey', '-algorithm', 'EC', '-out', str(key),
                '-pkeyopt', 'ec_paramgen_curve:P-384')
        peer.write_bytes(public_key(pdh))
        shared = openssl('pkeyutl', '-derive', '-inkey', str(key),
                         '-peerform', 'DER', '-peerkey', str(peer))
        own = openssl('pkey', '-in', str(key), '-pubout', '-outform', 'DER')
        key.unlink()
        peer.unlink()
        return shared, own

    def _wrap(self, shared):
        nonce, iv = secrets.token_bytes(16), secrets.token_bytes(16)
        master = kdf(shared, 'sev-master-secret', nonce)
        kek, kik = kdf(master, 'sev-kek'), kdf(master, 'sev-kik')
        wrapped = aes128_ctr(kek, iv, self.tek + self.tik)
        return (nonce + wrapped + iv + hmac256(kik, wrapped) +
                hmac256(self.tik, struct.pack('<I', self.policy)))

    def options(self, folder):
        """The files QEMU's sev-guest object takes, as its properties."""
        files = {'dh-cert-file': folder / 'owner.cert',
                 'session-file': folder / 'owner.session'}
        for path, blob in zip(files.values(), (self.cert, self.blob)):
            path.write_bytes(base64.b64encode(blob))
        return files


# --- The measurement -------------------------------------------------------


def launch_digest(firmware):
    """Everything that was measured, in order: here the firmware image only."""
    image = firmware.read_bytes()
    return hashlib.sha256(image.ljust(-(-len(image) // 16) * 16, b'\0')).digest()


def measurement(tik, api_major, api_minor, build, policy, digest, mnonce):
    return hmac256(tik, struct.pack('<BBBBI', 4, api_major, api_minor, build,
                                    policy), digest, mnonce)


def matches(session, sev, measured, firmware):
    """Is @measured (base64, from QMP) what this firmware must give?

    @sev is what query-sev answers.  Returns (expected, found) in hex.
    """
    found = base64.b64decode(measured)
    expected = measurement(session.tik, sev['api-major'], sev['api-minor'],
                           sev['build-id'], session.policy,
                           launch_digest(firmware), found[32:48])
    return expected.hex(), found[:32].hex()


def self_test():
    """Published vectors (AMD's sev-tool, virtee's sev)."""
    unhex = bytes.fromhex
    assert (kdf(bytes(16), 'sev-master-secret', bytes(16)) ==
            unhex('ab4d269fcc62bedb4511d56c386ce706'))
    master = kdf(bytes(16), 'sev-master-secret', bytes(16))
    kek, kik = kdf(master, 'sev-kek'), kdf(master, 'sev-kik')
    wrapped = aes128_ctr(kek, bytes(16), bytes(32))
    assert wrapped == unhex('2137bc7f9bb8bd7c3e55a576a15d3454'
                            'b3856b8ba27afadf46dcfee9f02c02c4')
    assert hmac256(kik, wrapped) == unhex('3176c0752738bd9d5e86689534020f52'
                                          '8c088f16238826b000b327dee6aeed7d')
    assert measurement(
        unhex('66320db73158a35a255d051758e95ed4'), 0, 0x12, 0x0f, 0,
        hashlib.sha256(b'').digest(),
        unhex('4fbe0bedbad6c86ae8f68971d103e554')) == unhex(
            '6faab2daae389bcd3405a05d6cafe33c0414f7bedd0bae19ba5f38b7fd1664ea')


if __name__ == '__main__':
    self_test()
    print('measure.py: the published vectors hold')
