# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates for TLS between two QEMUs, as tls-creds-x509 wants them."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


def _certificate(name, key, issuer, issuer_key, extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (x509.CertificateBuilder()
               .subject_name(_name(name)).issuer_name(_name(issuer))
               .public_key(key.public_key())
               .serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=1))
               .not_valid_after(now + datetime.timedelta(days=2)))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(ca):
    return x509.KeyUsage(
        digital_signature=True, key_encipherment=not ca, key_cert_sign=ca,
        crl_sign=ca, content_commitment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False)


def _write(folder, stem, certificate, key=None):
    (folder / f'{stem}-cert.pem').write_bytes(certificate.public_bytes(PEM))
    if key:
        path = folder / f'{stem}-key.pem'
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))


def make(folder):
    """An authority, a server called localhost and a client, in @folder."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {who: rsa.generate_private_key(65537, 2048)
            for who in ('ca', 'server', 'client')}
    _write(folder, 'ca', _certificate(
        'test authority', keys['ca'], 'test authority', keys['ca'],
        [x509.BasicConstraints(ca=True, path_length=None), _usage(ca=True)]))
    for who, purpose in (('server', ExtendedKeyUsageOID.SERVER_AUTH),
                         ('client', ExtendedKeyUsageOID.CLIENT_AUTH)):
        names = x509.SubjectAlternativeName(
            [x509.DNSName('localhost'),
             x509.IPAddress(ipaddress.ip_address('127.0.0.1'))])
        _write(folder, who, _certificate(
            'localhost', keys[who], 'test authority', keys['ca'],
            [x509.BasicConstraints(ca=False, path_length=None),
             _usage(ca=False), x509.ExtendedKeyUsage([purpose]), names]),
               keys[who])
    return folder


def use(guest, folder, endpoint):
    """Let a guest's migrations be encrypted; @endpoint: client or server."""
    guest.cmd('object-add', qom_type='tls-creds-x509', id='tls0',
              endpoint=endpoint, dir=str(folder), verify_peer=True)
    guest.cmd('migrate-set-parameters', tls_creds='tls0',
              tls_hostname='localhost')


def drop(guest):
    guest.cmd('migrate-set-parameters', tls_creds='', tls_hostname='')
    guest.cmd('object-del', id='tls0')
