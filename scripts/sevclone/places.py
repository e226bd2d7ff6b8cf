# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are: QEMU, kernel, firmware, templates, running clones."""

import os
import shutil
from pathlib import Path

from sevclone import Trouble

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ('/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_CODE.fd',
            '/usr/share/edk2/x64/OVMF_CODE.4m.fd')


def builds():
    return [Path(p) for p in (os.environ.get('BUILD'), ROOT / 'build') if p]


def first(candidates):
    return next((p for p in map(Path, candidates) if p.exists()), None)


def qemu(given=None):
    """The QEMU to use: the one named, built, installed with us, or in PATH."""
    given = given or os.environ.get('SEV_CLONE_QEMU')
    if given:
        found = shutil.which(given)
        if not found:
            raise Trouble(f'there is no QEMU at {given}')
        return str(Path(found).absolute())
    found = first([b / 'obj/qemu-system-x86_64' for b in builds()] +
                  [ROOT.parent / 'bin/qemu-system-x86_64'])   # installed
    found = found or shutil.which('qemu-system-x86_64')
    if not found:
        raise Trouble('no qemu-system-x86_64 found: run "make build", or name '
                      'one with --qemu')
    return str(found)


def emulator():
    """What starts a clone for libvirt; beside the QEMU that was installed."""
    found = ROOT.parent / 'libexec/sev-clone-qemu'
    if not found.exists():
        raise Trouble('libvirt needs what is installed: "make install", and '
                      'the sev-clone from there')
    return str(found)


def kernel(given, initrd):
    """(kernel, initrd or None): those named, or the test guest's."""
    if given:
        for path in filter(None, (given, initrd)):
            if not os.access(path, os.R_OK):
                raise Trouble(f'{path} cannot be read')
        return given, initrd
    for build in builds():
        folder = build / 'guest/bookworm'
        if (folder / 'initrd-clone.img').exists():
            return (str(folder / 'vmlinuz'),
                    initrd or str(folder / 'initrd-clone.img'))
    raise Trouble('which kernel? Name one with --kernel (and --initrd); '
                  'tests/guest/build.sh makes a small guest to try')


def firmware(given):
    """(code, variables) of a UEFI firmware in two flash files."""
    code = first([given] if given else FIRMWARE)
    if not code:
        raise Trouble(f'there is no firmware at {given or FIRMWARE[0]}: '
                      'install the package ovmf, or use --firmware')
    variables = code.with_name(code.name.replace('CODE', 'VARS'))
    if variables == code or not variables.exists():
        raise Trouble(f'no flash variables beside {code}; split firmware is '
                      'needed (OVMF_CODE and OVMF_VARS)')
    return str(code), str(variables)


def home():
    """Where templates live."""
    if 'SEV_CLONE_HOME' in os.environ:
        return Path(os.environ['SEV_CLONE_HOME'])
    data = os.environ.get('XDG_DATA_HOME') or Path.home() / '.local/share'
    return Path(data) / 'sev-clone'


def run():
    """Where running clones have their sockets and logs; short, for sockets."""
    if 'SEV_CLONE_RUN' in os.environ:
        return Path(os.environ['SEV_CLONE_RUN'])
    if os.environ.get('XDG_RUNTIME_DIR'):
        return Path(os.environ['XDG_RUNTIME_DIR']) / 'sev-clone'
    if os.getuid() == 0:
        return Path('/run/sev-clone')
    return Path(f'/tmp/sev-clone-{os.getuid()}')


def private_folder(path):
    """Make a folder that only we can enter; refuse somebody else's."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise Trouble(f'{path} belongs to somebody else, or others may write '
                      'there')
    return path
