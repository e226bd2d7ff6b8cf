#!/usr/bin/env python3
#
# Make openssl.txt: keys, signatures and ciphertext by OpenSSL, through
# Python's cryptography package, for tests/unit/psp/test-psp-openssl.c.
#
# SPDX-License-Identifier: GPL-2.0-or-later

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def put(name, value):
    print(name, value.hex())


def put_xts():
    key = bytes(range(32))
    plain = bytes((7 * i + 3) & 0xff for i in range(4096))
    page = 0x123456789
    tweak = page.to_bytes(16, "little")
    enc = Cipher(algorithms.AES(key), modes.XTS(tweak)).encryptor()
    put("xts-key", key)
    put("xts-page", page.to_bytes(8, "big"))
    put("xts-plain", plain)
    put("xts-cipher", enc.update(plain) + enc.finalize())


def put_point(name, public):
    n = public.public_numbers()
    put(name + "-x", n.x.to_bytes(48, "big"))
    put(name + "-y", n.y.to_bytes(48, "big"))


def put_ecdh():
    a = ec.generate_private_key(ec.SECP384R1())
    b = ec.generate_private_key(ec.SECP384R1())
    put("ecdh-a-d", a.private_numbers().private_value.to_bytes(48, "big"))
    put_point("ecdh-a", a.public_key())
    put_point("ecdh-b", b.public_key())
    put("ecdh-z", a.exchange(ec.ECDH(), b.public_key()))


def put_ecdsa(name, algorithm):
    key = ec.generate_private_key(ec.SECP384R1())
    message = b"signed by OpenSSL with " + name.encode()
    r, s = utils.decode_dss_signature(key.sign(message,
                                               ec.ECDSA(algorithm)))
    put(name + "-message", message)
    put_point(name, key.public_key())
    put(name + "-r", r.to_bytes(48, "big"))
    put(name + "-s", s.to_bytes(48, "big"))


def put_rsa(name, bits, algorithm):
    key = rsa.generate_private_key(65537, bits)
    message = b"signed by OpenSSL with " + name.encode()
    pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    n = key.public_key().public_numbers()
    put(name + "-message", message)
    put(name + "-n", n.n.to_bytes(bits // 8, "big"))
    put(name + "-e", n.e.to_bytes(3, "big"))
    put(name + "-sig", key.sign(message, pss, algorithm))


put_xts()
put_ecdh()
put_ecdsa("ecdsa256", hashes.SHA256())
put_ecdsa("ecdsa384", hashes.SHA384())
put_rsa("rsa2048", 2048, hashes.SHA256())
put_rsa("rsa4096", 4096, hashes.SHA384())
