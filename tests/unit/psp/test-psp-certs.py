#!/usr/bin/env python3
#
# Are the exported certificates what another reader of AMD's formats accepts?
# A second implementation of section "Certificates" of the API, by Python's
# cryptography package.  usage: test-psp-certs.py SEV-PSP
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import os
import struct
import subprocess
import sys
import tempfile

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric import utils
except ImportError:
    print("1..0 # SKIP Python's cryptography package is not here")
    sys.exit(0)

CERT = 0x824
USAGE = {"OCA": 0x1001, "PEK": 0x1002, "PDH": 0x1003, "CEK": 0x1004}


def le(data):
    return int.from_bytes(data, "little")


class SevCert:
    def __init__(self, name, data):
        assert len(data) == CERT
        self.name = name
        self.signed = data[:0x414]
        version, self.api, _, usage, self.algo = struct.unpack_from(
            "<I2sHII", data)
        assert version == 1 and usage == USAGE[name]
        self.usage = usage
        assert le(data[0x10:0x14]) == 2         # P-384
        self.key = ec.EllipticCurvePublicNumbers(
            le(data[0x14:0x14 + 72]), le(data[0x5c:0x5c + 72]),
            ec.SECP384R1()).public_key()
        self.pubkey = data[0x10:0x414]
        self.slots = [(le(data[at:at + 4]), le(data[at + 4:at + 8]),
                       data[at + 8:at + 0x208]) for at in (0x414, 0x61c)]

    def signed_by(self, signer):
        for usage, algo, sig in self.slots:
            if usage == signer.usage and algo == signer.algo == 2:
                der = utils.encode_dss_signature(le(sig[:72]),
                                                 le(sig[72:144]))
                signer.key.verify(der, self.signed, ec.ECDSA(hashes.SHA256()))
                return True
        return False

    def signed_by_ask(self, ask):
        for usage, algo, sig in self.slots:
            if usage == 0x13 and algo == 1:
                ask.verify(sig[:ask.size], self.signed)
                return True
        return False


class AmdCert:
    def __init__(self, data, usage):
        (version, self.key_id, self.certifying_id, got, _, e_bits,
         n_bits) = struct.unpack_from("<I16s16sI16sII", data)
        assert version == 1 and got == usage and e_bits == n_bits == 2048
        self.size = n_bits // 8
        at = 0x40
        e = le(data[at:at + self.size])
        n = le(data[at + self.size:at + 2 * self.size])
        self.key = rsa.RSAPublicNumbers(e, n).public_key()
        self.signed = data[:at + 2 * self.size]
        self.sig = data[at + 2 * self.size:]
        assert len(self.sig) == self.size

    def verify(self, sig, message):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        self.key.verify(sig[::-1], message, pss, hashes.SHA256())

    def signed_by(self, signer):
        assert self.certifying_id == signer.key_id
        signer.verify(self.sig, self.signed)
        return True


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as f:
        return f.read()


def main(tool):
    count = 0

    def check(what, fine):
        nonlocal count
        count += 1
        print(f"{'ok' if fine else 'not ok'} {count} - {what}")

    with tempfile.TemporaryDirectory() as tmp:
        env = dict(os.environ, SEV_PSP_DIR=os.path.join(tmp, "host"))
        out = os.path.join(tmp, "certs")
        subprocess.run([tool, "export", "--out", out], env=env, check=True,
                       stdout=subprocess.DEVNULL)
        shown = subprocess.run([tool, "fingerprint"], env=env, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        plat = read(out, "plat.cert")
        amd = read(out, "amd.cert")
        pdh = SevCert("PDH", read(out, "pdh.cert"))
        pek = SevCert("PEK", plat[:CERT])
        oca = SevCert("OCA", plat[CERT:2 * CERT])
        cek = SevCert("CEK", plat[2 * CERT:])
        ask = AmdCert(amd[:832], 0x13)
        ark = AmdCert(amd[832:], 0)

    check("ARK by itself", ark.signed_by(ark))
    check("ASK by ARK", ask.signed_by(ark))
    check("CEK by ASK", cek.signed_by_ask(ask))
    check("PEK by CEK", pek.signed_by(cek))
    check("PEK by OCA", pek.signed_by(oca))
    check("OCA by itself", oca.signed_by(oca))
    check("PDH by PEK", pdh.signed_by(pek))
    check("PDH not by CEK", not pdh.signed_by(cek))
    check("PDH for ECDH", pdh.algo == 3)
    check("key ids", (ark.key_id, ask.key_id) ==
          (b"SOFTWARE-PSP-ARK", b"SOFTWARE-PSP-ASK"))
    check("API bytes", {c.api for c in (pdh, pek, oca, cek)} ==
          {bytes([1, 55])})
    check("fingerprint",
          hashlib.sha256(pdh.pubkey).hexdigest() in shown)
    try:
        pek.signed = pek.signed[:-1] + b"\1"
        check("a changed PEK", not pek.signed_by(oca))
    except InvalidSignature:
        check("a changed PEK", True)
    print(f"1..{count}")


main(sys.argv[1])
