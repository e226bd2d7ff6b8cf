# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways a migration stream can take from one QEMU to the next.

A channel is a function (env, source, target) that makes both ends ready and
returns their two addresses.  On the ONE_WAY ones nobody answers, and the
stream is complete before the target opens it.
"""

import datetime
import ipaddress
import os
import socket

from guest import free_port
from verdict import Failed, Skip

ONE_WAY = ('fd (pipe)', 'exec', 'file', 'file with offset')


def tcp(_env, _source, _target):
    uri = f'tcp:127.0.0.1:{free_port()}'
    return uri, uri


def unix(env, _source, _target):
    # A socket's path is short; a build directory's need not be.
    path = f'{env.short_folder()}/migrate.sock'
    if os.path.exists(path):
        os.unlink(path)
    return f'unix:{path}', f'unix:{path}'


def _hand_over(guest, fd):
    guest.vm.send_fd_scm(fd=fd)
    guest.cmd('getfd', fdname='channel')
    os.close(fd)
    return 'fd:channel'


def fd_socket(_env, source, target):
    ends = socket.socketpair()
    return tuple(_hand_over(guest, end.detach())
                 for guest, end in zip((source, target), ends))


def fd_pipe(_env, source, target):
    receive, send = os.pipe()
    return _hand_over(source, send), _hand_over(target, receive)


def _image(env):
    path = env.lab.large('channel.image')
    path.unlink(missing_ok=True)
    return path


def execute(env, _source, _target):
    path = _image(env)
    return f'exec:cat > {path}', f'exec:cat {path}'


def file(env, _source, _target):
    uri = f'file:{_image(env)}'
    return uri, uri


def file_offset(env, _source, _target):
    uri = f'file:{_image(env)},offset=0x11000'
    return uri, uri


def vsock(_env, _source, _target):
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            probe.bind((1, socket.VMADDR_PORT_ANY))     # 1: this machine
            port = probe.getsockname()[1]
            probe.listen()
            with socket.socket(socket.AF_VSOCK) as peer:
                peer.settimeout(2)
                peer.connect((1, port))
    except (AttributeError, OSError) as error:
        raise Skip('this machine has no vsock to itself '
                   '(module vsock_loopback)') from error
    return f'vsock:1:{port}', f'vsock:1:{port}'


def rdma(_env, _source, _target):
    uri = f'rdma:127.0.0.1:{free_port()}'
    return uri, uri


def _credentials(source, target, kind, folders, **options):
    for guest, endpoint, folder in zip((source, target), ('client', 'server'),
                                       folders):
        guest.cmd('object-add', qom_type=kind, id='tls0', endpoint=endpoint,
                  dir=str(folder), **options)
        guest.cmd('migrate-set-parameters', tls_creds='tls0',
                  tls_hostname='localhost' if endpoint == 'client' else '')
    return tcp(None, source, target)


def tls_psk(env, source, target):
    folder = env.lab.folder / 'tls-psk'
    folder.mkdir(exist_ok=True)
    keys = folder / 'keys.psk'
    if not keys.exists():
        keys.write_text(f'qemu:{os.urandom(32).hex()}\n')
        keys.chmod(0o600)
    return _credentials(source, target, 'tls-creds-psk', (folder, folder))


def tls_x509(env, source, target):
    folder = env.lab.folder / 'tls-x509'
    if not folder.exists():
        folder.mkdir()
        make_x509(folder)
    return _credentials(source, target, 'tls-creds-x509', (folder, folder),
                        verify_peer=True)


CHANNELS = {
    'tcp': tcp, 'unix': unix, 'fd (socket)': fd_socket,
    'fd (pipe)': fd_pipe, 'exec': execute, 'file': file,
    'file with offset': file_offset, 'vsock': vsock, 'rdma': rdma,
    'tcp with TLS (x509)': tls_x509, 'tcp with TLS (psk)': tls_psk,
}


def make_x509(folder):
    """An authority, and a server and a client that it vouches for."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise Failed('python3-cryptography is missing; "make deps"') from error

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def make(text, key, issuer, issuer_key, extensions):
        now = datetime.datetime.utcnow()
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(
            name(issuer), name(text), key.public_key(),
            x509.random_serial_number(), now - day, now + day)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        made = builder.sign(issuer_key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def usage(ca):
        return x509.KeyUsage(not ca, False, False, False, False, ca, False,
                             False, False)

    def save(file_name, data):
        path = folder / file_name
        path.write_bytes(data)
        path.chmod(0o600)

    ca_key = ec.generate_private_key(ec.SECP256R1())
    save('ca-cert.pem', make('authority', ca_key, 'authority', ca_key, [
        (x509.BasicConstraints(True, None), True), (usage(True), True)]))
    for end in ('server', 'client'):
        key = ec.generate_private_key(ec.SECP256R1())
        save(f'{end}-cert.pem', make(end, key, 'authority', ca_key, [
            (x509.BasicConstraints(False, None), True), (usage(False), True),
            (x509.SubjectAlternativeName([
                x509.DNSName('localhost'),
                x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]), False)]))
        save(f'{end}-key.pem', key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
